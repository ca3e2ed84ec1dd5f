"""Losses as pure functions over batches."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

__all__ = ["charbonnier", "info_nce"]


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
    logits = jnp.exp(logit_scale) * cosines
    by_image = jnp.diagonal(jax.nn.log_softmax(logits, axis=1))
    by_text = jnp.diagonal(jax.nn.log_softmax(logits, axis=0))
    return -(by_image + by_text).mean() / 2


def charbonnier(
    a: Float[Array, "*shape"], b: Float[Array, "*shape"], epsilon: float = 1e-6
) -> Float[Array, ""]:
    """Mean of sqrt((a - b)^2 + epsilon): an absolute difference, smooth at zero (paper 1)."""
    return jnp.sqrt((a - b) ** 2 + epsilon).mean()
