"""Attention by the kernel that suits the chip: on a GPU, one that keeps the scores to itself."""

import functools
import importlib.util

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

# What cuDNN's kernel takes on every card since compute capability 8.0.
_MOST_CHANNELS, _CHANNELS_AT_ONCE = 128, 8


def attend(
    q: Float[Array, "#n q h c"],
    k: Float[Array, "n t h c"],
    v: Float[Array, "n t h c"],
    mask: Bool[Array, "#n 1 #q t"] | None = None,
) -> Float[Array, "n q h c"]:
    """Scaled dot-product attention; the softmax is in float32.

    In bfloat16 without a mask, tokens that attend to themselves go through cuDNN's fused kernel on
    a GPU: their scores, the largest arrays of a tower by far, stay out of memory. Gradients are
    those of the plain form everywhere, since cuDNN adds up its own in no fixed order.

    Args:
        q: queries.
        k: keys.
        v: values.
        mask: what each query attends to; everything by default.
    """
    channels = q.shape[-1]
    suits = channels <= _MOST_CHANNELS and channels % _CHANNELS_AT_ONCE == 0
    if mask is None and q.shape == k.shape and q.dtype == jnp.bfloat16 and suits and _for_gpus():
        return _attend_to_themselves(q, k, v)
    return jax.nn.dot_product_attention(q, k, v, mask=mask)


@functools.cache
def _for_gpus() -> bool:
    """Whether this JAX can compile for GPUs; elsewhere the fused form cannot even be traced."""
    plugins = ("jax_cuda12_plugin", "jax_cuda13_plugin")
    return any(importlib.util.find_spec(plugin) is not None for plugin in plugins)


@jax.custom_vjp
def _attend_to_themselves(q, k, v):
    plain = jax.nn.dot_product_attention
    fused = functools.partial(plain, implementation="cudnn")
    return jax.lax.platform_dependent(q, k, v, cuda=fused, default=plain)


def _forward(q, k, v):
    return jax.vjp(jax.nn.dot_product_attention, q, k, v)


_attend_to_themselves.defvjp(_forward, lambda pull_back, cotangent: pull_back(cotangent))
