"""The linear head: an affine map for each modality, or for one of them."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jclip.heads.affine import Affine
from jclip.heads.configuration import HeadConfig
from jclip.heads.scoring import EmbeddingHead


class LinearHead(EmbeddingHead):
    """An affine map of image embeddings, of text embeddings, or of both (paper 2, heads).

    Args:
        config: of kind `linear`, `linear_visual` or `linear_text`.
        rngs: where the maps come from.
        identity: whether they start as the identity instead.
    """

    def __init__(self, config: HeadConfig, rngs: nnx.Rngs, *, identity: bool = False):
        super().__init__(config)
        size = config.size
        self.visual = Affine(size, size, rngs) if config.kind != "linear_text" else None
        self.text = Affine(size, size, rngs) if config.kind != "linear_visual" else None
        if identity:
            for affine in filter(None, (self.visual, self.text)):
                affine.kernel[...] = jnp.eye(size)
                affine.bias[...] = jnp.zeros(size)

    def project_images(self, images: Float[Array, "*n d"]) -> Float[Array, "*n d"]:
        """The images' affine map, or the identity."""
        return images if self.visual is None else self.visual(images)

    def project_texts(self, texts: Float[Array, "*n d"]) -> Float[Array, "*n d"]:
        """The texts' affine map, or the identity."""
        return texts if self.text is None else self.text(texts)
