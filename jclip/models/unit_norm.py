"""Embeddings of length 1, so that their product is a cosine."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def normalised(embeddings: Float[Array, "*n e"]) -> Float[Array, "*n e"]:
    """Scaled to length 1 in float32, as `x / x.norm()` in the reference.

    Of embeddings; pixels are prepared by `jclip.images.normalise`.
    """
    embeddings = embeddings.astype(jnp.float32)
    return embeddings / jnp.linalg.norm(embeddings, axis=-1, keepdims=True)


def unit_rows(embeddings: Float[np.ndarray, "n e"]) -> Float[np.ndarray, "n e"]:
    """The same on the host, in the dtype that they have."""
    length = np.sqrt(np.einsum("ne,ne->n", embeddings, embeddings))
    return embeddings / length[:, None]
