"""Resizing as torchvision resizes 8-bit tensors: antialiased, bilinear, rounded once at the end.

`jclip.images.resample` is Pillow's, which rounds after each axis: a level here and there.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, UInt8


@functools.cache
def bilinear_weights(length: int, resized: int) -> Float32[np.ndarray, "resized length"]:
    """The share of every pixel of an axis in each of the `resized` pixels. Host side."""
    scale = length / resized
    reach = max(scale, 1.0)
    centres = (np.arange(resized) + 0.5)[:, None] * scale
    shares = np.maximum(1 - np.abs(np.arange(length) + 0.5 - centres) / reach, 0)
    return (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)


def squash_in_float(
    images: UInt8[Array, "n h w 3"],
    rows: Float[Array, "size h"],
    columns: Float[Array, "size w"],
) -> UInt8[Array, "n size size 3"]:
    """Images squashed by weights from `bilinear_weights`, rounded half to even."""
    product = functools.partial(jnp.einsum, precision=jax.lax.Precision.HIGHEST)
    tall = product("nhwc,jw->nhjc", images.astype(jnp.float32), columns)
    return jnp.round(product("nhjc,ih->nijc", tall, rows)).astype(jnp.uint8)
