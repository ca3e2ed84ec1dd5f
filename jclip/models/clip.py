"""CLIP and its kin: an image tower and a text tower that embed into one space."""

from collections.abc import Callable
from typing import Literal, overload

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from jclip.models.config import CLIPConfig, TextKind
from jclip.models.towers import TextTower, VisionTower

Intermediates = dict[str, Array]
"""`patch_embedding` [N, T, D] (what enters block 0), `blocks` [L, N, T, D] (what leaves each
block), `pooled` [N, D] (after the final layer norm) and `projected` [N, E]; all float32.
In the text tower `patch_embedding` is the sum of token and position embeddings. The image tower of
a network that has them adds `dense` [N, P, E], features of its patches, not normalised."""


class CLIP(nnx.Module):
    """CLIP (Radford et al. 2021) and what came of it, as in open_clip and transformers.

    Which family it is is a matter of the configuration; see `jclip.models`.

    The dense kernels are of `dtype`, and so are every matrix product's operands. All other
    parameters, every accumulation, the residual stream and the outputs are float32.
    """

    def __init__(self, config: CLIPConfig, *, dtype=jnp.float32, rngs: nnx.Rngs):
        self.config = config
        width = config.embedding_width
        self.image_tower = VisionTower(config.vision, width, dtype=dtype, rngs=rngs)
        self.text_tower = TextTower(config.text, width, dtype=dtype, rngs=rngs)
        self.logit_scale = nnx.Param(jnp.log(jnp.float32(1 / 0.07)))
        self.logit_bias = nnx.Param(jnp.float32(-10)) if config.logit_bias else None

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
        tower = self.image_tower
        return _encode(
            tower,
            lambda: tower.embed(pixels),
            jnp.zeros(len(pixels), jnp.int32),
            tower.project,
            return_intermediates,
        )

    def encode_patches(
        self,
        patches: Float[Array | np.ndarray, "n t p"],
        shapes: Int[Array | np.ndarray, "n 2"],
        *,
        return_intermediates: bool = False,
    ) -> Float[Array, "n e"] | tuple[Float[Array, "n e"], Intermediates]:
        """Embed images of several shapes, of a flexible tower (NaFlex), as `encode_image` does.

        Args:
            patches: normalised, row by row, inside a patch in the order row, column, channel; what
                is behind an image's last patch is padding, which nothing attends to.
            shapes: rows and columns of each image, in patches.
            return_intermediates: whether to return them too; those of padding mean nothing.

        Raises:
            ValueError: the tower takes images of one size.
        """
        tower, shapes = self.image_tower, jnp.asarray(shapes)
        if not self.config.vision.flexible:
            raise ValueError("the image tower takes images of one size")
        keep = (jnp.arange(patches.shape[1]) < shapes.prod(axis=1)[:, None])[:, None, None]
        return _encode(
            tower,
            lambda: tower.embed_flat(patches, shapes),
            jnp.zeros(len(patches), jnp.int32),
            tower.project,
            return_intermediates,
            keep,
        )

    def encode_dense(
        self, pixels: Float[Array | np.ndarray, "n h w 3"]
    ) -> Float[Array, "n rows columns e"]:
        """Features of the patches of normalised images in the space of texts, not normalised.

        The whole map costs hardly more than the one embedding of `encode_image`.

        Raises:
            ValueError: the images are not of the tower's size, or its patches have no such
                features.
        """
        tower, patch = self.image_tower, self.config.vision.patch_size
        rows, columns = pixels.shape[1] // patch, pixels.shape[2] // patch
        with jax.default_matmul_precision("highest"):
            before_last = tower.transformer.before_last(tower.embed(pixels))
            dense = tower.dense(before_last, None)
        return dense.reshape(len(dense), rows, columns, -1)

    @overload
    def encode_text(
        self,
        token_ids: Array | np.ndarray,
        *,
        kind: TextKind = "short",
        return_intermediates: Literal[False] = False,
    ) -> Array: ...
    @overload
    def encode_text(
        self,
        token_ids: Array | np.ndarray,
        *,
        kind: TextKind = "short",
        return_intermediates: Literal[True],
    ) -> tuple[Array, Intermediates]: ...
    def encode_text(
        self,
        token_ids: Int[Array | np.ndarray, "n l"],
        *,
        kind: TextKind = "short",
        return_intermediates: bool = False,
    ) -> Float[Array, "n e"] | tuple[Float[Array, "n e"], Intermediates]:
        """Embed token ids, `[N, L]`, as `[N, E]` float32, not normalised.

        L may be shorter than the context: `cut_after_end_of_text` drops what cannot matter. A
        tower that pools at the last position wants all of them.

        Args:
            token_ids: framed and padded as the checkpoint's tokenizer does.
            kind: of the texts, for a network that tells them apart (FG-CLIP).
            return_intermediates: whether to return them too.

        Raises:
            ValueError: L exceeds the context, or the network knows no such kind.
        """
        tower = self.text_tower
        return _encode(
            tower,
            lambda: tower.embed(token_ids, kind),
            tower.positions_of(jnp.asarray(token_ids)),
            lambda pooled: tower.project(pooled, kind),
            return_intermediates,
        )


def _encode(
    tower: VisionTower | TextTower,
    embed: Callable[[], Array],
    at: Array,
    project: Callable[[Array], Array],
    return_intermediates: bool,
    keep: Array | None = None,
):
    """Blocks, pooling and projection; positions `at` for pooling by one, `keep` for padding."""
    # "float32" has to mean float32: by default a TPU multiplies float32 operands in bfloat16.
    with jax.default_matmul_precision("highest"):
        x = embed()
        if not return_intermediates:
            return project(tower.pooled(x, at, keep))
        blocks = tower.transformer.every_token(x, keep)
        pooled = tower.pool(blocks[-1], at, keep)
        embedding = project(pooled)
        found = {"patch_embedding": x, "blocks": blocks, "pooled": pooled, "projected": embedding}
        if isinstance(tower, VisionTower) and tower.config.dense is not None:
            before = x if len(blocks) == 1 else blocks[-2]
            found["dense"] = tower.dense(before, keep, blocks[-1])
    return embedding, found
