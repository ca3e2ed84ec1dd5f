"""The two towers: what enters the blocks, and how one embedding comes out of them."""

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from jclip.models.config import Projection, TextConfig, TextKind, TransformerConfig, VisionConfig
from jclip.models.pooling import MapHead, pooled_positions
from jclip.models.positions import resized_positions
from jclip.models.transformer import LayerNorm, Linear, Transformer

Keep = Bool[Array, "n 1 1 t"]
"""Which tokens of each row are no padding; None where there is no padding."""


def _projection(kind: Projection, width: int, outputs: int, **how) -> Linear | None:
    return None if kind == "none" else Linear(width, outputs, bias=kind == "biased", **how)


class Tower(nnx.Module):
    """What both towers share: blocks, final norm, pooling and projection."""

    transformer: Transformer
    post_norm: nnx.LayerNorm
    projection: Linear | None

    def pooled(self, x: Float[Array, "n t d"], at: Int[Array, " n"], keep: Keep | None):
        """From what enters block 0 to what the projection takes, `[N, D]`.

        The last block computes no token that the pooling does not read.
        """
        return self.post_norm(self.transformer.pooled_token(x, at))

    def pool(self, tokens: Float[Array, "n t d"], at: Int[Array, " n"], keep: Keep | None):
        """The same from all tokens that leave the last block."""
        return self.post_norm(tokens[jnp.arange(len(tokens)), at])

    def project(self, pooled: Float[Array, "*n d"]) -> Float[Array, "*n e"]:
        """From the tower's width to that of the embeddings."""
        return pooled if self.projection is None else self.projection(pooled)


class VisionTower(Tower):
    """The image tower: patches, a class token or none, pre-LN blocks, pooling, projection."""

    def __init__(self, config: VisionConfig, embedding_width: int, *, dtype, rngs: nnx.Rngs):
        width, patch, how = config.width, config.patch_size, {"dtype": dtype, "rngs": rngs}
        normal = nnx.initializers.normal(width**-0.5)
        self.patch_embedding = Linear(patch * patch * 3, width, bias=config.patch_bias, **how)
        self.class_embedding = (
            nnx.Param(normal(rngs.params(), (width,))) if config.class_token else None
        )
        self.position_embedding = nnx.Param(normal(rngs.params(), (config.tokens, width)))
        self.pre_norm = _norm(config, rngs) if config.pre_norm else None
        self.transformer = Transformer(config, causal=False, **how)
        self.post_norm = _norm(config, rngs)
        self.projection = _projection(config.projection, width, embedding_width, **how)
        self.head = MapHead(config.pool, **how) if config.pooling == "map" else None
        self.dense_head = MapHead(config.pool, **how) if config.dense == "head" else None
        self.config = config

    def embed(self, pixels: Float[Array | np.ndarray, "n h w 3"]) -> Float[Array, "n t d"]:
        """Normalised pixels to what enters block 0: class token first, then patches row by row."""
        patch, size = self.config.patch_size, self.config.image_size
        n, height, width, _ = pixels.shape
        if self.config.flexible:
            if height % patch or width % patch:
                raise ValueError(f"images of shape {pixels.shape[1:]} in patches of {patch}")
        elif pixels.shape[1:] != (size, size, 3):
            expected = (size, size, 3)
            raise ValueError(f"images of shape {pixels.shape[1:]}, but the tower takes {expected}")
        rows, columns = height // patch, width // patch
        # A convolution whose stride is its size is a product with the flattened patches.
        patches = jnp.asarray(pixels)[:, : rows * patch, : columns * patch]
        # Rows of a patch stay whole: a CPU transposes runs of numbers faster than triples.
        patches = patches.reshape(n, rows, patch, columns, 3 * patch).swapaxes(2, 3)
        patches = patches.reshape(n, rows * columns, patch * patch * 3)
        return self.embed_flat(patches, jnp.array([[rows, columns]]))

    def embed_flat(
        self, patches: Float[Array | np.ndarray, "n p c"], shapes: Int[Array, "#n 2"]
    ) -> Float[Array, "n t d"]:
        """The same from patches, each in the order row, column, channel.

        Args:
            patches: row by row, padded at the end.
            shapes: rows and columns of every image, in patches.
        """
        tokens = self.patch_embedding(jnp.asarray(patches))
        positions = self.position_embedding[...]
        if self.config.flexible:
            positions = resized_positions(positions, shapes, tokens.shape[1])
        if self.class_embedding is not None:
            first = (len(tokens), 1, tokens.shape[-1])
            first = jnp.broadcast_to(self.class_embedding[...], first)
            tokens = jnp.concatenate([first, tokens], axis=1)
        tokens = tokens + positions
        return tokens if self.pre_norm is None else self.pre_norm(tokens)

    def pooled(self, x, at, keep):
        """See `Tower.pooled`."""
        if self.config.pooling == "class":
            return super().pooled(x, at, keep)
        return self.pool(self.transformer.last_tokens(x, keep), at, keep)

    def pool(self, tokens, at, keep):
        """See `Tower.pool`."""
        patches = int(self.config.class_token)
        match self.config.pooling:
            case "mean":
                return self.post_norm(tokens)[:, patches:].mean(axis=1)
            case "mean_before_norm":
                return self.post_norm(tokens[:, patches:].mean(axis=1))
            case "map" if self.head is not None:
                return self.head(self.post_norm(tokens), keep)
        return super().pool(tokens, at, keep)

    def dense(self, before_last, keep, after_last=None) -> Float[Array, "n p e"]:
        """Features of every patch in the space of texts, row by row, not normalised.

        By a head of the tower's own, or by the last block with every patch attending to itself
        alone, followed by norm and projection as of the class token.

        Args:
            before_last: what enters the last block.
            keep: which patches are no padding.
            after_last: what leaves it, where that is known.

        Raises:
            ValueError: see `VisionConfig.has_dense`.
        """
        if not self.config.has_dense:
            raise ValueError("the tower's patches have no features in the space of texts")
        last = self.transformer.last
        if self.dense_head is not None:
            if after_last is None:
                after_last = last(before_last, causal=False, keep=keep)
            tokens = self.post_norm(after_last)
            return self.dense_head.asked(tokens, tokens, keep)
        tokens = self.post_norm(last.alone(before_last[:, int(self.config.class_token) :]))
        return self.project(tokens)


class TextTower(Tower):
    """The text tower: causal or not, pooled at one position."""

    def __init__(self, config: TextConfig, embedding_width: int, *, dtype, rngs: nnx.Rngs):
        width, how = config.width, {"dtype": dtype, "rngs": rngs}

        def table(rows: int, spread: float = 0.01) -> nnx.Param:
            return nnx.Param(nnx.initializers.normal(spread)(rngs.params(), (rows, width)))

        def projection() -> Linear | None:
            return _projection(config.projection, width, embedding_width, **how)

        self.token_embedding = table(config.vocabulary_size, 0.02)
        self.position_embedding = table(config.context_length)
        self.transformer = Transformer(config, causal=config.causal, **how)
        self.post_norm = _norm(config, rngs)
        self.projection = projection()
        long = config.long
        self.long_projection = projection() if long else None
        self.box_projection = projection() if long and long.box else None
        self.kept_embedding = table(long.context_length) if long else None
        self.long_embedding = table(long.context_length) if long else None
        self.config = config

    def embed(
        self, token_ids: Int[Array | np.ndarray, "n l"], kind: TextKind = "short"
    ) -> Float[Array, "n l d"]:
        """Token ids to what enters block 0."""
        positions = self._positions(kind)
        context = len(positions)
        if token_ids.shape[1] > context:
            raise ValueError(f"{token_ids.shape[1]} token ids, but the context holds {context}")
        return self.token_embedding[...][token_ids] + positions[: token_ids.shape[1]]

    def _positions(self, kind: TextKind) -> Float[Array, "l d"]:
        if kind == "short":
            return self.position_embedding[...]
        if self.config.long is None or self.kept_embedding is None or self.long_embedding is None:
            raise ValueError(f"texts of kind {kind!r}, but the tower knows one kind only")
        if kind == "box":
            return self.position_embedding[...]
        kept = self.config.long.kept
        return jnp.concatenate([self.kept_embedding[...][:kept], self.long_embedding[...][kept:]])

    def positions_of(self, token_ids: Int[Array, "n l"]) -> Int[Array, " n"]:
        """Where each text is pooled."""
        return jnp.asarray(pooled_positions(token_ids, self.config))

    def project(self, pooled, kind: TextKind = "short"):
        """From the tower's width to that of the embeddings, by the projection of one kind."""
        if kind == "box" and self.box_projection is not None:
            return self.box_projection(pooled)
        if kind == "short" or self.long_projection is None:
            return super().project(pooled)
        return self.long_projection(pooled)


def _norm(config: TransformerConfig, rngs: nnx.Rngs) -> nnx.LayerNorm:
    return LayerNorm(config.width, epsilon=config.norm_epsilon, rngs=rngs)
