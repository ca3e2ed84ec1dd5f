"""CLIP: an image tower and a text tower that embed into one space."""

from typing import Literal, overload

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from jclip.models.config import CLIPConfig, TextConfig, VisionConfig
from jclip.models.transformer import LayerNorm, Linear, Transformer

Intermediates = dict[str, Array]
"""`patch_embedding` [N, T, D] (what enters block 0), `blocks` [L, N, T, D] (what leaves each
block), `pooled` [N, D] (after the final layer norm) and `projected` [N, E]; all float32.
In the text tower `patch_embedding` is the sum of token and position embeddings."""


class VisionTower(nnx.Module):
    """The image tower: patches, class token, pre-LN blocks, projection of the class token."""

    def __init__(self, config: VisionConfig, embedding_width: int, *, dtype, rngs: nnx.Rngs):
        width, patch = config.width, config.patch_size
        normal = nnx.initializers.normal(width**-0.5)
        self.patch_embedding = Linear(patch * patch * 3, width, bias=False, dtype=dtype, rngs=rngs)
        self.class_embedding = nnx.Param(normal(rngs.params(), (width,)))
        self.position_embedding = nnx.Param(normal(rngs.params(), (config.tokens, width)))
        self.pre_norm = LayerNorm(width, epsilon=config.norm_epsilon, rngs=rngs)
        self.transformer = Transformer(config, causal=False, dtype=dtype, rngs=rngs)
        self.post_norm = LayerNorm(width, epsilon=config.norm_epsilon, rngs=rngs)
        self.projection = Linear(width, embedding_width, bias=False, dtype=dtype, rngs=rngs)
        self.patch_size = patch
        self.image_size = config.image_size

    def embed(self, pixels: Float[Array | np.ndarray, "n h w 3"]) -> Float[Array, "n t d"]:
        """Normalised pixels to what enters block 0: class token first, then patches row by row."""
        expected = (self.image_size, self.image_size, 3)
        if pixels.shape[1:] != expected:
            raise ValueError(f"images of shape {pixels.shape[1:]}, but the tower takes {expected}")
        n, patch, grid = len(pixels), self.patch_size, self.image_size // self.patch_size
        # A convolution whose stride is its size is a product with the flattened patches.
        patches = jnp.asarray(pixels)[:, : grid * patch, : grid * patch]
        # Rows of a patch stay whole: a CPU transposes runs of numbers faster than triples.
        patches = patches.reshape(n, grid, patch, grid, 3 * patch).swapaxes(2, 3)
        tokens = self.patch_embedding(patches.reshape(n, grid * grid, patch * patch * 3))
        first = jnp.broadcast_to(self.class_embedding[...], (n, 1, tokens.shape[-1]))
        tokens = jnp.concatenate([first, tokens], axis=1) + self.position_embedding[...]
        return self.pre_norm(tokens)


class TextTower(nnx.Module):
    """The text tower: causal, pooled at the end-of-text token."""

    def __init__(self, config: TextConfig, embedding_width: int, *, dtype, rngs: nnx.Rngs):
        width = config.width
        self.token_embedding = nnx.Param(
            nnx.initializers.normal(0.02)(rngs.params(), (config.vocabulary_size, width))
        )
        self.position_embedding = nnx.Param(
            nnx.initializers.normal(0.01)(rngs.params(), (config.context_length, width))
        )
        self.transformer = Transformer(config, causal=True, dtype=dtype, rngs=rngs)
        self.post_norm = LayerNorm(width, epsilon=config.norm_epsilon, rngs=rngs)
        self.projection = Linear(width, embedding_width, bias=False, dtype=dtype, rngs=rngs)

    def embed(self, token_ids: Int[Array | np.ndarray, "n l"]) -> Float[Array, "n l d"]:
        """Token ids to what enters block 0."""
        context = len(self.position_embedding[...])
        if token_ids.shape[1] > context:
            raise ValueError(f"{token_ids.shape[1]} token ids, but the context holds {context}")
        positions = self.position_embedding[...][: token_ids.shape[1]]
        return self.token_embedding[...][token_ids] + positions


class CLIP(nnx.Module):
    """CLIP (Radford et al. 2021) with ViT image towers, as in open_clip and transformers.

    The dense kernels are of `dtype`, and so are every matrix product's operands. All other
    parameters, every accumulation, the residual stream and the outputs are float32.
    """

    def __init__(self, config: CLIPConfig, *, dtype=jnp.float32, rngs: nnx.Rngs):
        self.config = config
        width = config.embedding_width
        self.image_tower = VisionTower(config.vision, width, dtype=dtype, rngs=rngs)
        self.text_tower = TextTower(config.text, width, dtype=dtype, rngs=rngs)
        self.logit_scale = nnx.Param(jnp.log(jnp.float32(1 / 0.07)))

    @overload
    def encode_image(
        self, pixels: Array | np.ndarray, *, return_intermediates: Literal[False] = False
    ) -> Array: ...
    @overload
    def encode_image(
        self, pixels: Array | np.ndarray, *, return_intermediates: Literal[True]
    ) -> tuple[Array, Intermediates]: ...
    def encode_image(
        self, pixels: Float[Array | np.ndarray, "n h w 3"], *, return_intermediates: bool = False
    ) -> Float[Array, "n e"] | tuple[Float[Array, "n e"], Intermediates]:
        """Embed normalised images, `[N, H, W, 3]` float, as `[N, E]` float32, not normalised.

        Raises:
            ValueError: the images are not of the tower's size.
        """
        at = jnp.zeros(len(pixels), jnp.int32)
        return _encode(self.image_tower, pixels, at, return_intermediates)

    @overload
    def encode_text(
        self, token_ids: Array | np.ndarray, *, return_intermediates: Literal[False] = False
    ) -> Array: ...
    @overload
    def encode_text(
        self, token_ids: Array | np.ndarray, *, return_intermediates: Literal[True]
    ) -> tuple[Array, Intermediates]: ...
    def encode_text(
        self, token_ids: Int[Array | np.ndarray, "n l"], *, return_intermediates: bool = False
    ) -> Float[Array, "n e"] | tuple[Float[Array, "n e"], Intermediates]:
        """Embed token ids, `[N, L]`, as `[N, E]` float32, not normalised.

        L may be shorter than the context: `cut_after_end_of_text` drops what cannot matter.

        Raises:
            ValueError: L exceeds the context.
        """
        at = _end_of_text_positions(jnp.asarray(token_ids), self.config.text.end_of_text)
        return _encode(self.text_tower, token_ids, at, return_intermediates)


def _encode(tower: VisionTower | TextTower, inputs, at, return_intermediates):
    """Blocks, pooling at `at`, final norm and projection: what both towers share."""
    # "float32" has to mean float32: by default a TPU multiplies float32 operands in bfloat16.
    with jax.default_matmul_precision("highest"):
        x = tower.embed(inputs)
        if not return_intermediates:
            pooled = tower.post_norm(tower.transformer.pooled_token(x, at))
            return tower.projection(pooled)
        blocks = tower.transformer.every_token(x)
        pooled = tower.post_norm(blocks[-1][jnp.arange(len(x)), at])
        embedding = tower.projection(pooled)
    found = {"patch_embedding": x, "blocks": blocks, "pooled": pooled, "projected": embedding}
    return embedding, found


def _end_of_text_positions(token_ids, end_of_text: int | None):
    """Where each row is pooled, `[N]`: the first `end_of_text`, or the first largest id if None."""
    return (token_ids if end_of_text is None else token_ids == end_of_text).argmax(axis=-1)


def cut_after_end_of_text(
    token_ids: Int[np.ndarray, "n l"], config: TextConfig, multiple: int = 8
) -> Int[np.ndarray, "n m"]:
    """Drop the columns behind every row's end of text; exact, since the text tower is causal.

    The width kept is rounded up to a `multiple`, so that only a few shapes are compiled.
    """
    longest = int(_end_of_text_positions(token_ids, config.end_of_text).max()) + 1
    return token_ids[:, : -(-longest // multiple) * multiple]
