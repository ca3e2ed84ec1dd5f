"""Heads that give each modality an embedding of its own, and how two embeddings are compared."""

import math
from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float

from jclip.heads.configuration import HeadConfig

TextAxis = Literal["features", "captions"]

# CLIP's own start, and what the paper's code divides by in InfoNCE.
INITIAL_LOG_SCALE = math.log(1 / 0.07)


def unit_length(x: Float[Array, "*shape"], axis: int = -1) -> Float[Array, "*shape"]:
    """Scaled to length 1 along an axis; zeros stay zeros, with a gradient of zero."""
    squares = jnp.sum(x * x, axis=axis, keepdims=True)
    return x * jax.lax.rsqrt(jnp.maximum(squares, 1e-24))


class EmbeddingHead(nnx.Module):
    """New embeddings for images and texts, compared by `config.score_function`.

    Args:
        config: what the head is.
        visual: the map of image embeddings `[..., D]`; None leaves them as they are.
        text: the map of text embeddings, likewise.
    """

    def __init__(self, config: HeadConfig, visual: Callable | None, text: Callable | None):
        self.config, self.visual, self.text = config, visual, text
        scale = nnx.Param(jnp.float32(INITIAL_LOG_SCALE)) if config.learned_scale else None
        self.log_scale: nnx.Param | None = scale

    def project_images(self, images: Float[Array, "*n d"]) -> Float[Array, "*n d"]:
        """Embeddings as the images' map gives them."""
        return images if self.visual is None else self.visual(images)

    def project_texts(self, texts: Float[Array, "*n d"]) -> Float[Array, "*n d"]:
        """Embeddings as the texts' map gives them."""
        return texts if self.text is None else self.text(texts)

    def embed_images(self, images: Float[Array | np.ndarray, "n d"]) -> Float[Array, "n d"]:
        """Embeddings as they are compared: of length 1, unless the score is an inner product."""
        return self._comparable(self.project_images(jnp.asarray(images)))

    def embed_texts(self, texts: Float[Array | np.ndarray, "*n d"]) -> Float[Array, "*n d"]:
        """Embeddings as they are compared: of length 1, unless the score is an inner product."""
        return self._comparable(self.project_texts(jnp.asarray(texts)))

    def similarity(
        self, images: Float[Array | np.ndarray, "n d"], texts: Float[Array | np.ndarray, "m d"]
    ) -> Float[Array, "n m"]:
        """The score of every image `[N, D]` with every text `[M, D]`, as CLIP gives them."""
        seen, said = self.embed_images(images), self.embed_texts(texts)
        return self._score(jnp.matmul(seen, said.T, precision="highest"))

    def scores(
        self,
        images: Float[Array | np.ndarray, "n d"],
        texts: Float[Array | np.ndarray, "n k d"],
        *,
        text_axis: TextAxis = "features",
        present: Bool[Array, "n k"] | None = None,
    ) -> Float[Array, "n k"]:
        """The score of every image `[N, D]` with texts of its own `[N, K, D]`, as CLIP gives them.

        With `text_axis` `captions`, where directions are compared, each feature of the texts is
        scaled by its length over the K texts, as the paper's code does in training; `present` says
        which of them there are, all if None.
        """
        seen = self.embed_images(images)
        if text_axis == "captions" and self.config.compares_directions:
            said = self.project_texts(jnp.asarray(texts))
            said = said if present is None else jnp.where(present[..., None], said, 0)
            said = unit_length(said, axis=-2)
        else:
            said = self.embed_texts(texts)
        return self._score(jnp.einsum("nd,nkd->nk", seen, said, precision="highest"))

    def _comparable(self, x: Float[Array, "*n d"]) -> Float[Array, "*n d"]:
        return unit_length(x) if self.config.compares_directions else x

    def _score(self, products: Float[Array, "n m"]) -> Float[Array, "n m"]:
        if self.log_scale is not None:
            products = jnp.exp(self.log_scale[...]) * products
        return jax.nn.sigmoid(products) if self.config.gives_probabilities else products
