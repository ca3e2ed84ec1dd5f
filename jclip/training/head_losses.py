"""Losses of re-projection heads, as pure functions over the scores of a batch (paper 2, training).

Row i of `scores` `[N, N]` is an image, column i the text that belongs to it. `wrong` says which of
the other pairs are wrong; a pair that is neither on the diagonal nor wrong counts as nothing, such
as two captions of one image. `present` `[N]` says which rows are there, and do not just fill up the
last batch of an epoch. `margin` is by how much a right score has to be higher than a wrong one;
`hardest` is whether only the highest wrong score of each row, column or box counts.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from jclip.training.losses import pair_log_likelihoods

Margin = float | Float[Array, ""]


def wrong_pairs(
    present: Bool[Array, " n"], image_rows: Int[Array, " n"] | None = None
) -> Bool[Array, "n n"]:
    """Which pairs of a batch are wrong: those of two different rows that are present.

    With `image_rows` `[N]`, the image that each row is about, another caption of the same image is
    not wrong; without, it is, as in the paper's code.
    """
    wrong = present[:, None] & present & ~jnp.eye(len(present), dtype=bool)
    return wrong if image_rows is None else wrong & (image_rows[:, None] != image_rows)


def triplet_loss(
    scores: Float[Array, "n n"],
    wrong: Bool[Array, "n n"],
    margin: Margin,
    *,
    hardest: bool = False,
) -> Float[Array, ""]:
    """Sum of max(0, margin + wrong score - right score), for each image and for each text."""
    right = jnp.diagonal(scores)
    by_image = _hinge(scores - right[:, None], wrong, margin)
    by_text = _hinge(scores - right, wrong, margin)
    if hardest:
        by_image, by_text = by_image.max(axis=1), by_text.max(axis=0)
    return by_image.sum() + by_text.sum()


def hard_negative_triplet_loss(
    scores: Float[Array, "n k_plus_1"],
    wrong: Bool[Array, "n k"],
    margin: Margin,
    *,
    hardest: bool = False,
) -> Float[Array, ""]:
    """Sum of max(0, margin + wrong score - right score): each box against its own negatives.

    `scores` are `[N, 1 + K]` here, the right caption first, and `wrong` `[N, K]` is which negatives
    there are.
    """
    by_box = _hinge(scores[:, 1:] - scores[:, :1], wrong, margin)
    return (by_box.max(axis=1) if hardest else by_box).sum()


def _hinge(excess, wrong, margin):
    return jnp.where(wrong, jax.nn.relu(margin + excess), 0.0)


def score_info_nce(
    scores: Float[Array, "n n"],
    wrong: Bool[Array, "n n"],
    present: Bool[Array, " n"],
    temperature: float,
) -> Float[Array, ""]:
    """`info_nce` of scores that need not be cosines, averaged over the rows that are present.

    Scores are divided by `temperature`: 0.07 in the paper's code, which does not train it.
    """
    own = jnp.eye(len(scores), dtype=bool)
    logits = jnp.where(wrong | own, scores / temperature, -jnp.inf)
    return -_mean(pair_log_likelihoods(logits), present)


def binary_cross_entropy(
    scores: Float[Array, "n n"],
    wrong_image: Int[Array, " n"],
    present: Bool[Array, " n"],
) -> Float[Array, ""]:
    """Mean of -log p(right) - log(1 - p(wrong)), halved: one wrong image for each text.

    Scores are probabilities; `wrong_image` is the row of the image of each text's wrong pair.
    """
    smallest = jnp.finfo(scores.dtype).tiny
    right = jnp.log(jnp.maximum(jnp.diagonal(scores), smallest))
    wrong = jnp.log(jnp.maximum(1 - scores[wrong_image, jnp.arange(len(scores))], smallest))
    return -_mean(right + wrong, present) / 2


def random_wrong_image(key: Key[Array, ""], wrong: Bool[Array, "n n"]) -> Int[Array, " n"]:
    """For each text one of its wrong images, all equally likely.

    The paper's code permutes the images, so that a few texts get their own as a wrong one.
    """
    return jax.random.categorical(key, jnp.where(wrong, 0.0, -jnp.inf), axis=0)


def hardest_wrong_image(
    images: Float[Array, "n d"], texts: Float[Array, "n d"], wrong: Bool[Array, "n n"]
) -> Int[Array, " n"]:
    """For each text the wrong image with the largest inner product.

    Images and texts `[N, D]` are as CLIP gives them, not the head.
    """
    products = jnp.matmul(images, texts.T, precision="highest")
    return jnp.argmax(jnp.where(wrong, products, -jnp.inf), axis=0)


def self_distillation_loss(
    scores: Float[Array, "n n"], targets: Float[Array, "n n"], present: Bool[Array, " n"]
) -> Float[Array, ""]:
    """Mean squared difference between a head's scores and CLIP's own cosines."""
    return _mean((scores - targets) ** 2, present[:, None] & present)


def _mean(values, counted):
    return jnp.where(counted, values, 0.0).sum() / jnp.maximum(counted.sum(), 1)
