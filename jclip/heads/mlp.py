"""The MLP head: two affine maps for each modality, each followed by tanh."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jclip.errors import InputError
from jclip.heads.affine import Affine
from jclip.heads.configuration import HeadConfig
from jclip.heads.scoring import EmbeddingHead

# tanh(tanh(s x)) = s x (1 - 2 (s x)^2 / 3 + ..): 1e-5 off in direction for |x| <= 1.
IDENTITY_SCALE = 2.0**-8


class TanhLayers(nnx.Module):
    """affine - tanh - affine - tanh, all of one width.

    Args:
        size: the width.
        rngs: where the maps come from.
        identity: whether to start as the identity up to a factor, which no cosine notices: the
            inputs are scaled down to where tanh is straight.
    """

    def __init__(self, size: int, rngs: nnx.Rngs, *, identity: bool):
        self.first, self.second = Affine(size, size, rngs), Affine(size, size, rngs)
        if identity:
            for affine, scale in ((self.first, IDENTITY_SCALE), (self.second, 1.0)):
                affine.kernel[...] = scale * jnp.eye(size)
                affine.bias[...] = jnp.zeros(size)

    def __call__(self, x: Float[Array, "*n d"]) -> Float[Array, "*n d"]:
        """`[..., D]` to the same."""
        return jnp.tanh(self.second(jnp.tanh(self.first(x))))


class MLPHead(EmbeddingHead):
    """affine - tanh - affine - tanh of image and of text embeddings (paper 2, heads).

    Args:
        config: of kind `mlp`.
        rngs: where the maps come from.
        identity: whether cosines start as they are without a head: within 1e-4 for embeddings of
            length 1.

    Raises:
        InputError: identity for a score that is no cosine.
    """

    def __init__(self, config: HeadConfig, rngs: nnx.Rngs, *, identity: bool = False):
        super().__init__(config)
        if identity and config.score_function.endswith("dot"):
            raise InputError(
                f"an MLP head with the score {config.score_function} cannot start as the identity"
            )
        self.visual = TanhLayers(config.size, rngs, identity=identity)
        self.text = TanhLayers(config.size, rngs, identity=identity)

    def project_images(self, images: Float[Array, "*n d"]) -> Float[Array, "*n d"]:
        """The images' two layers."""
        return self.visual(images)

    def project_texts(self, texts: Float[Array, "*n d"]) -> Float[Array, "*n d"]:
        """The texts' two layers."""
        return self.text(texts)
