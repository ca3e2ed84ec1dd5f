"""The pre-LN transformer that all towers are made of, its blocks stacked and scanned."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from jclip.models.config import TransformerConfig
from jclip.models.rotary import turned


def _gelu(x):
    """Exact GELU by erf, PyTorch's form; `jax.nn.gelu` goes by erfc, twice as slow on CPUs."""
    return 0.5 * x * (1 + jax.lax.erf(x * 0.5**0.5))


ACTIVATIONS = {
    "gelu": _gelu,
    "gelu_tanh": functools.partial(jax.nn.gelu, approximate=True),
    "quick_gelu": lambda x: x * jax.nn.sigmoid(1.702 * x),
    "silu": jax.nn.silu,
}

# The fast variance, E[x^2] - E[x]^2, cancels in float32: with it the towers miss 1e-5 to PyTorch.
LayerNorm = functools.partial(nnx.LayerNorm, use_fast_variance=False)


class Linear(nnx.Module):
    """`x @ kernel + bias`: operands in the kernel's dtype, all else and the result in float32."""

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True, dtype, rngs: nnx.Rngs):
        init = nnx.initializers.normal(inputs**-0.5)
        self.kernel = nnx.Param(init(rngs.params(), (inputs, outputs), dtype))
        self.bias = nnx.Param(jnp.zeros(outputs)) if bias else None

    def __call__(self, x: Float[Array, "*batch i"]) -> Float[Array, "*batch o"]:
        """`[..., inputs]` to `[..., outputs]` float32."""
        kernel = self.kernel[...]
        y = jnp.matmul(x.astype(kernel.dtype), kernel, preferred_element_type=jnp.float32)
        return y if self.bias is None else y + self.bias[...]


def _inner_norm(config: TransformerConfig, width: int, rngs: nnx.Rngs):
    return LayerNorm(width, epsilon=config.norm_epsilon, rngs=rngs) if config.inner_norms else None


class Attention(nnx.Module):
    """Multi-head attention; the softmax is in float32."""

    def __init__(self, config: TransformerConfig, *, dtype, rngs: nnx.Rngs):
        linear = functools.partial(Linear, config.width, config.width, dtype=dtype, rngs=rngs)
        self.query, self.key = linear(), linear(bias=config.key_bias)
        self.value, self.out = linear(), linear()
        self.norm = _inner_norm(config, config.width, rngs)
        self.heads = config.heads
        self.rotary = config.rotary

    def __call__(
        self,
        queries: Float[Array, "#n q d"],
        tokens: Float[Array, "n t d"],
        mask: Bool[Array, "#n 1 #q t"] | None,
        at: Int[Array, " n"] | None = None,
    ) -> Float[Array, "n q d"]:
        """Attend from `queries` to `tokens` where `mask` is true (everywhere if None).

        `at` are the positions of the queries, one per row; without it there is one for each token.
        """
        dtype = self.query.kernel[...].dtype

        def split(x):
            return x.reshape(*x.shape[:2], self.heads, -1)

        q, k, v = split(self.query(queries)), split(self.key(tokens)), split(self.value(tokens))
        if self.rotary is not None:
            q, k = turned(q, self.rotary, tokens.shape[1], at), turned(k, self.rotary, k.shape[1])
        q, k, v = q.astype(dtype), k.astype(dtype), v.astype(dtype)
        attended = jax.nn.dot_product_attention(q, k, v, mask=mask).reshape(queries.shape)
        return self.out(attended if self.norm is None else self.norm(attended))

    def alone(self, tokens: Float[Array, "n t d"]) -> Float[Array, "n t d"]:
        """What comes out where every token attends to itself alone: its own value."""
        values = self.value(tokens)
        return self.out(values if self.norm is None else self.norm(values))


class MLP(nnx.Module):
    """The dense layers of a block: two, or three where it is gated."""

    def __init__(self, config: TransformerConfig, *, dtype, rngs: nnx.Rngs):
        width, hidden = config.width, config.mlp_width
        self.up = Linear(width, hidden, dtype=dtype, rngs=rngs)
        self.down = Linear(hidden, width, dtype=dtype, rngs=rngs)
        self.gate = Linear(width, hidden, dtype=dtype, rngs=rngs) if config.gated else None
        self.norm = _inner_norm(config, hidden, rngs)
        self.activation = config.activation

    def __call__(self, x: Float[Array, "n t d"]) -> Float[Array, "n t d"]:
        """`[N, T, D]` float32 to the same."""
        activation = ACTIVATIONS[self.activation]
        hidden = self.up(x)
        hidden = activation(hidden) if self.gate is None else activation(self.gate(x)) * hidden
        return self.down(hidden if self.norm is None else self.norm(hidden))


class Block(nnx.Module):
    """A pre-LN block; the residual stream is float32 whatever the dtype of the kernels."""

    def __init__(self, config: TransformerConfig, *, dtype, rngs: nnx.Rngs):
        norm = functools.partial(LayerNorm, config.width, epsilon=config.norm_epsilon, rngs=rngs)
        self.attention_norm = norm()
        self.attention = Attention(config, dtype=dtype, rngs=rngs)
        self.mlp_norm = norm()
        self.mlp = MLP(config, dtype=dtype, rngs=rngs)
        scale = config.layer_scale
        self.attention_scale = nnx.Param(jnp.ones(config.width)) if scale else None
        self.mlp_scale = nnx.Param(jnp.ones(config.width)) if scale else None

    def __call__(
        self,
        x: Float[Array, "n t d"],
        *,
        causal: bool,
        at: Int[Array, " n"] | None = None,
        keep: Bool[Array, "#n 1 #t t"] | None = None,
    ) -> Float[Array, "n q d"]:
        """All tokens `[N, T, D]`, or with `at` (one position per row) only those, `[N, 1, D]`.

        Of a tower that is not causal, `keep` says which tokens (last axis) each one attends to.
        """
        normed = self.attention_norm(x)
        positions = jnp.arange(x.shape[1])
        if at is None:
            queries = normed
            mask = (positions <= positions[:, None])[None, None] if causal else keep
        else:
            take = functools.partial(jnp.take_along_axis, indices=at[:, None, None], axis=1)
            queries, x = take(normed), take(x)
            mask = (positions <= at[:, None])[:, None, None] if causal else keep
        x = x + self._scaled(self.attention(queries, normed, mask, at), self.attention_scale)
        return x + self._scaled(self.mlp(self.mlp_norm(x)), self.mlp_scale)

    def alone(self, x: Float[Array, "n t d"]) -> Float[Array, "n t d"]:
        """The same where every token attends to itself alone, which needs no query and no key."""
        x = x + self._scaled(self.attention.alone(self.attention_norm(x)), self.attention_scale)
        return x + self._scaled(self.mlp(self.mlp_norm(x)), self.mlp_scale)

    @staticmethod
    def _scaled(x, scale):
        return x if scale is None else x * scale[...]


def stack_blocks(config: TransformerConfig, *, dtype, rngs: nnx.Rngs) -> Block:
    """One Block whose every parameter has a leading axis of `config.layers`."""

    @nnx.split_rngs(splits=config.layers)
    @nnx.vmap
    def create(rngs: nnx.Rngs) -> Block:
        return Block(config, dtype=dtype, rngs=rngs)

    return create(rngs)


class Transformer(nnx.Module):
    """Stacked blocks, applied by a scan: one compiled block whatever the number of layers."""

    def __init__(self, config: TransformerConfig, *, causal: bool, dtype, rngs: nnx.Rngs):
        self.blocks = stack_blocks(config, dtype=dtype, rngs=rngs)
        self.layers = config.layers
        self.causal = causal

    def every_token(
        self, x: Float[Array, "n t d"], keep: Bool[Array, "#n 1 1 t"] | None = None
    ) -> Float[Array, "layers n t d"]:
        """The residual stream after every block, all tokens."""
        return self._scan(x, keep, every=True)[1]

    def last_tokens(
        self, x: Float[Array, "n t d"], keep: Bool[Array, "#n 1 1 t"] | None = None
    ) -> Float[Array, "n t d"]:
        """The residual stream after the last block, all tokens; that of the others is not kept."""
        return self._scan(x, keep, every=False)[0]

    def _scan(self, x, keep, every) -> tuple[Array, Any]:
        graph, stacked = nnx.split(self.blocks)

        def step(x, layer):
            x = nnx.merge(graph, layer)(x, causal=self.causal, keep=keep)
            return x, x if every else None

        return jax.lax.scan(step, x, stacked)

    def block(self, index: int | Int[Array, ""]) -> Block:
        """One of the blocks."""
        graph, stacked = nnx.split(self.blocks)
        # Indexing the stack keeps it in place; scanning over a slice of it would copy the weights.
        layer = jax.tree.map(
            lambda p: jax.lax.dynamic_index_in_dim(p, index, keepdims=False), stacked
        )
        return nnx.merge(graph, layer)

    def before_last(
        self, x: Float[Array, "n t d"], keep: Bool[Array, "#n 1 1 t"] | None = None
    ) -> Float[Array, "n t d"]:
        """What enters the last block."""

        def step(x, index):
            return self.block(index)(x, causal=self.causal, keep=keep), None

        return jax.lax.scan(step, x, jnp.arange(self.layers - 1))[0]

    @property
    def last(self) -> Block:
        """The last block."""
        return self.block(self.layers - 1)

    def pooled_token(self, x: Float[Array, "n t d"], at: Int[Array, " n"]) -> Float[Array, "n d"]:
        """The residual stream after the last block, at one position per row.

        Equal to `every_token(x)[-1]` there, but the last block computes no other token.
        """
        return self.last(self.before_last(x), causal=self.causal, at=at)[:, 0]
