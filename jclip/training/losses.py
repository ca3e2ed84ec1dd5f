"""Losses as pure functions over batches."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def info_nce(
    image_embeddings: Float[Array, "n e"],
    text_embeddings: Float[Array, "n e"],
    logit_scale: Float[Array, ""],
) -> Float[Array, ""]:
    """CLIP's symmetric contrastive loss: row i of each matrix belongs to row i of the other.

    Args:
        image_embeddings: `[N, E]`, of length 1.
        text_embeddings: `[N, E]`, of length 1.
        logit_scale: logarithm of the factor of the cosines, as `CLIP.logit_scale` holds it.

    Source: Radford et al. 2021, figure 3.
    """
    cosines = jnp.matmul(image_embeddings, text_embeddings.T, precision="highest")
    return -pair_log_likelihoods(jnp.exp(logit_scale) * cosines).mean()


def pair_log_likelihoods(logits: Float[Array, "n n"]) -> Float[Array, " n"]:
    """Log-probability of each pair on the diagonal, among its row and its column, averaged."""
    by_image = jnp.diagonal(jax.nn.log_softmax(logits, axis=1))
    by_text = jnp.diagonal(jax.nn.log_softmax(logits, axis=0))
    return (by_image + by_text) / 2


def charbonnier(
    a: Float[Array, "*shape"],
    b: Float[Array, "*shape"],
    epsilon: float = 1e-6,
    present: Bool[Array, "*shape"] | None = None,
) -> Float[Array, ""]:
    """Mean of sqrt((a - b)^2 + epsilon): an absolute difference, smooth at zero (paper 1).

    Only of those that are `present`, if that is given.
    """
    return jnp.sqrt((a - b) ** 2 + epsilon).mean(where=present)


def stability_loss(
    shifted: Float[Array, " n"],
    original: Float[Array, " n"],
    frozen: Float[Array, " n"],
    lam: float | Float[Array, ""],
    present: Bool[Array, " n"] | None = None,
) -> Float[Array, ""]:
    """Scores that a shift of the panorama leaves alone, anchored to what they were (paper 1).

    lam * charbonnier(shifted, original) + (1 - lam) * charbonnier(shifted, frozen); gradients pass
    through the first two. With lam = 1, as paper 1's code ships it, a constant score is optimal.

    Args:
        shifted: `[N]`, 100 x cosine of the shifted panoramas and their captions.
        original: `[N]`, of the panoramas as they are, by the same network.
        frozen: `[N]`, of the panoramas as they are, by the network before training.
        lam: weight of the invariance, from 0 to 1.
        present: `[N]`, which of them count; all by default.
    """
    invariance = charbonnier(shifted, original, present=present)
    anchor = charbonnier(shifted, jax.lax.stop_gradient(frozen), present=present)
    return lam * invariance + (1 - lam) * anchor
