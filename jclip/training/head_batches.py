"""What re-projection heads are trained on, and the loss of a batch of it (paper 2, training)."""

import dataclasses
from typing import Literal, NamedTuple, get_args

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from jclip.errors import InputError
from jclip.heads import EmbeddingHead, Head, HeadConfig, TextAxis
from jclip.heads.scoring import unit_length
from jclip.training.head_losses import (
    Margin,
    binary_cross_entropy,
    hard_negative_triplet_loss,
    hardest_wrong_image,
    random_wrong_image,
    score_info_nce,
    self_distillation_loss,
    triplet_loss,
    wrong_pairs,
)

Stage = Literal["warm-up", "hard-negatives"]
HeadLoss = Literal[
    "triplet", "triplet_hardest", "info_nce", "bce_random", "bce_hardest", "self_distillation"
]
SameImage = Literal["masked", "negatives"]

# In the paper's code; a head with a learned scale needs none.
TEMPERATURE = 0.07


class CaptionPairs(NamedTuple):
    """Images and their captions, for the warm-up; on the device.

    `images` `[N, D]` and `captions` `[C, D]` are CLIP's embeddings, not normalised;
    `caption_images` `[C]` is the image of each caption, and `examples` `[E]` are the captions that
    are used, each with its image.
    """

    images: Float[Array, "n d"]
    captions: Float[Array, "c d"]
    caption_images: Int[Array, " c"]
    examples: Int[Array, " e"]


class BoxCaptions(NamedTuple):
    """Boxes, each with its right caption and its own hard negatives; on the device.

    `images` `[I, D]` and `captions` `[C, D]` are CLIP's embeddings, not normalised. `boxes` `[N]`
    are rows of images, `positives` `[N]` and `negatives` `[N, K]` rows of captions, -1 where a box
    has fewer negatives, and `examples` `[E]` are the boxes that are used.
    """

    images: Float[Array, "i d"]
    captions: Float[Array, "c d"]
    boxes: Int[Array, " n"]
    positives: Int[Array, " n"]
    negatives: Int[Array, "n k"]
    examples: Int[Array, " e"]


HeadData = CaptionPairs | BoxCaptions


@dataclasses.dataclass(frozen=True)
class HeadRecipe:
    """How heads are trained, but for seeds, learning rates and margins.

    Args:
        stage: Warm-up on captions (`CaptionPairs`), or training against hard negatives
            (`BoxCaptions`).
        loss: triplet sums over all negatives, as in the paper; hard negatives have triplets only.
        epochs: Passes over the examples.
        batch_size: Examples per step.
        patience: End a run after this many epochs without a lower validation loss.
        same_image: Whether other captions of an image are masked, or negatives as in the paper's
            code.
        text_axis: Along which hard negatives are normalised in training; captions in the paper's
            code.

    Raises:
        InputError: a constant is out of range, or the stage has no such loss.
    """

    stage: Stage = "warm-up"
    loss: HeadLoss = "triplet"
    epochs: int = 10
    batch_size: int = 256
    patience: int | None = None
    same_image: SameImage = "masked"
    text_axis: TextAxis = "features"

    def __post_init__(self):
        for name, value in (("epochs", self.epochs), ("patience", self.patience)):
            if value is not None and value < 1:
                raise InputError(f"{name} {value}: 1 or more is expected")
        if self.batch_size < 2:
            raise InputError(f"batch size {self.batch_size}: 2 or more is expected")
        if self.stage == "hard-negatives" and not self.loss.startswith("triplet"):
            triplets = [loss for loss in get_args(HeadLoss) if loss.startswith("triplet")]
            raise InputError(f"hard negatives have no loss {self.loss}: {' or '.join(triplets)}")

    def check(self, config: HeadConfig) -> None:
        """Refuse a head whose scores the loss cannot take.

        Raises:
            InputError: its scores are no probabilities, for binary cross-entropy.
        """
        if self.loss.startswith("bce") and not config.gives_probabilities:
            raise InputError(
                f"the loss {self.loss} needs scores between 0 and 1, not {config.score_function}"
            )


RECIPES: dict[Stage, tuple[float, float]] = {
    "warm-up": (5e-5, 0.2),
    "hard-negatives": (1e-5, 0.05),
}
"""The paper's learning rate and margin of each stage."""


def loss_of_batch(
    recipe: HeadRecipe,
    head: Head,
    data: HeadData,
    rows: Int[Array, " b"],
    margin: Margin,
    key: Key[Array, ""],
) -> Float[Array, ""]:
    """The loss of some examples `rows` `[B]` of the data, captions or boxes; -1 for none.

    `margin` is that of triplets, and `key` for what a loss draws.
    """
    present, rows = rows >= 0, jnp.maximum(rows, 0)
    hardest = recipe.loss.endswith("hardest")
    if isinstance(data, BoxCaptions):
        captions = jnp.concatenate([data.positives[rows, None], data.negatives[rows]], axis=1)
        images, texts = data.images[data.boxes[rows]], data.captions[jnp.maximum(captions, 0)]
        there, axis = captions >= 0, {}
        if isinstance(head, EmbeddingHead):
            axis = {"text_axis": recipe.text_axis, "present": there}
        wrong = there[:, 1:] & present[:, None]
        scores = head.scores(images, texts, **axis)
        return hard_negative_triplet_loss(scores, wrong, margin, hardest=hardest)
    image_rows = data.caption_images[rows]
    images, texts = data.images[image_rows], data.captions[rows]
    masked = image_rows if recipe.same_image == "masked" else None
    wrong, scores = wrong_pairs(present, masked), head.similarity(images, texts)
    match recipe.loss:
        case "triplet" | "triplet_hardest":
            return triplet_loss(scores, wrong, margin, hardest=hardest)
        case "info_nce":
            temperature = 1.0 if head.config.learned_scale else TEMPERATURE
            return score_info_nce(scores, wrong, present, temperature)
        case "self_distillation":
            cosines = jnp.matmul(unit_length(images), unit_length(texts).T, precision="highest")
            return self_distillation_loss(scores, cosines, present)
    if recipe.loss == "bce_random":
        chosen = random_wrong_image(key, wrong)
    else:
        chosen = hardest_wrong_image(images, texts, wrong)
    # The one example of a last batch may have nothing that is wrong.
    return binary_cross_entropy(scores, chosen, present & wrong.any(axis=0))


def batches_of(examples: Int[Array, " e"], batch_size: int) -> Int[Array, "s b"]:
    """Examples in steps of one size, the last one filled up with -1."""
    filled = jnp.pad(examples, (0, -len(examples) % batch_size), constant_values=-1)
    return filled.reshape(-1, batch_size)
