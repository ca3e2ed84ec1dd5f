"""Pillow's separable 8-bit resampling on the device, equal to Pillow in every bit.

Pillow resizes along one axis, rounds to 8 bits, then along the other. Each output line is a
weighted sum of a few neighbouring input lines, with float64 weights that Pillow quantises to 22
bits. The weights are made here on the host; the device sums them in int32, which is exact on every
backend.

Pixels travel as one 32-bit word, red in the lowest byte: words transpose, gather and vectorise
several times faster than triples of bytes, and waste no lanes on an axis of length 3.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, UInt8, UInt32

from jclip.images.arguments import whole_number

Interpolation = Literal["bicubic", "bilinear"]

PRECISION_BITS = 22
# Few taps fuse into one kernel without temporaries, two to three times faster than blocks on a CPU.
# With many, that kernel takes seconds to compile and runs out of the cache: 20 times slower.
FUSED_TAPS = 20
BLOCK_LINES = 16
BLOCK_TAPS = 4


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Lines:
    """Output lines as sums of input lines: line i sums `weights[i, k] * input[starts[i] + k]`.

    Attributes:
        starts: `[lines] int32`, the first input line of each output line, around the circle.
        weights: `[lines, taps] int32`, in units of 2**-22.
    """

    # Any, because JAX puts leaves of its own in the place of arrays when it transforms functions.
    starts: Any
    weights: Any


def _bicubic(x: np.ndarray) -> np.ndarray:
    a = -0.5
    x = np.abs(x)
    near = ((a + 2.0) * x - (a + 3.0)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x < 1.0, near, np.where(x < 2.0, far, 0.0))


_FILTERS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], float]] = {
    "bicubic": (_bicubic, 2.0),
    "bilinear": (lambda x: np.maximum(1.0 - np.abs(x), 0.0), 1.0),
}


def resize_lines(length: int, resized: int, interpolation: Interpolation = "bicubic") -> Lines:
    """The weights with which Pillow resizes an axis of `length` pixels to `resized` pixels.

    Host side. Kernels are widened when shrinking (antialiasing) and cut at both ends of the axis.
    An axis that keeps its length is copied, as in Pillow. The number of taps depends on the two
    lengths and the filter only.

    Raises:
        TypeError: A length is no whole number.
        ValueError: A length is not positive, or the interpolation is unknown.
    """
    length = whole_number("length", length, None)
    resized = whole_number("resized", resized, None)
    if length < 1 or resized < 1:
        raise ValueError(f"cannot resize an axis of {length} pixels to {resized} pixels")
    if not isinstance(interpolation, str) or interpolation not in _FILTERS:
        raise ValueError(f"unknown interpolation {interpolation!r}; known: {', '.join(_FILTERS)}")
    if length == resized:
        identity = np.full((resized, 1), 1 << PRECISION_BITS, np.int32)
        return Lines(np.arange(resized, dtype=np.int32), identity)
    kernel, radius = _FILTERS[interpolation]
    scale = length / resized
    stretch = max(scale, 1.0)
    support = radius * stretch
    centre = (np.arange(resized) + 0.5) * scale
    first = np.maximum(np.trunc(centre - support + 0.5), 0).astype(np.int64)
    last = np.minimum(np.trunc(centre + support + 0.5), length).astype(np.int64)
    tap = np.arange(math.ceil(support) * 2 + 1)
    position = tap + first[:, None] - centre[:, None] + 0.5
    weights = np.where(tap < (last - first)[:, None], kernel(position * (1.0 / stretch)), 0.0)
    # cumsum adds from left to right as Pillow does; sum adds pairwise and may differ in a last bit.
    weights = weights / np.cumsum(weights, axis=1)[:, -1:]
    quantised = np.trunc(weights * (1 << PRECISION_BITS) + np.copysign(0.5, weights))
    return Lines(first.astype(np.int32), quantised.astype(np.int32))


def rows_first(height: int, width: int, resized_height: int, resized_width: int) -> bool:
    """Whether Pillow resizes along the vertical axis before the horizontal one.

    Pillow 13 does where the height loses more than twice as many pixels as the width; older ones
    never do. Rounding in between makes the two orders differ by several levels on sharp images. No
    panorama at least as wide as high is concerned under `crop`, `pad` or `tiles`.
    """
    lost = height - resized_height
    return lost > 0 and lost > 2 * (width - resized_width)


def pack_pixels(pixels: UInt8[Array, "*shape 3"]) -> UInt32[Array, "*shape"]:
    """RGB bytes as one word per pixel, red lowest."""
    red, green, blue = (pixels[..., channel].astype(jnp.uint32) for channel in range(3))
    return red | green << 8 | blue << 16


def unpack_pixels(words: UInt32[Array, "*shape"]) -> UInt8[Array, "*shape 3"]:
    """The RGB bytes of `pack_pixels`."""
    return jnp.stack([(words >> shift).astype(jnp.uint8) for shift in (0, 8, 16)], axis=-1)


Sums = tuple[jax.Array, jax.Array, jax.Array]


def _zero_sums(shape: tuple[int, ...]) -> Sums:
    half = jnp.full(shape, 1 << (PRECISION_BITS - 1), jnp.int32)
    return half, half, half


def _add_taps(sums: Sums, words: jax.Array, starts: jax.Array, weights: jax.Array) -> Sums:
    for tap in range(weights.shape[1]):
        source = words[(starts + tap) % words.shape[0]]
        weight = weights[:, tap].reshape(-1, *[1] * (words.ndim - 1))
        red, green, blue = (((source >> s) & 255).astype(jnp.int32) * weight for s in (0, 8, 16))
        sums = (sums[0] + red, sums[1] + green, sums[2] + blue)
    return sums


def _round_sums(sums: Sums) -> jax.Array:
    red, green, blue = (jnp.clip(s >> PRECISION_BITS, 0, 255).astype(jnp.uint32) for s in sums)
    return red | green << 8 | blue << 16


def _resample_block(words: jax.Array, starts: jax.Array, weights: jax.Array) -> jax.Array:
    """A few lines with many taps: the sums stay in the cache while the taps are scanned."""

    def step(sums: Sums, chunk: tuple[jax.Array, jax.Array]) -> tuple[Sums, None]:
        offset, chunk_weights = chunk
        return _add_taps(sums, words, starts + offset, chunk_weights), None

    chunks = weights.shape[1] // BLOCK_TAPS
    chunk_weights = weights.reshape(-1, chunks, BLOCK_TAPS).swapaxes(0, 1)
    start = _zero_sums((starts.shape[0], *words.shape[1:]))
    sums, _ = jax.lax.scan(step, start, (jnp.arange(chunks) * BLOCK_TAPS, chunk_weights))
    return _round_sums(sums)


def resample_lines(
    words: UInt32[Array, "length *rest"], lines: Lines
) -> UInt32[Array, "lines *rest"]:
    """Resample the leading axis of packed pixels, rounded and clipped to 8 bits as Pillow does.

    The leading axis is a circle: a line that runs over its end goes on at its beginning. Apart from
    the result it needs memory for a few lines only, whatever the size of the image.
    """
    starts, weights = jnp.asarray(lines.starts), jnp.asarray(lines.weights)
    count, taps = weights.shape
    if taps <= FUSED_TAPS:
        return _round_sums(_add_taps(_zero_sums((count, *words.shape[1:])), words, starts, weights))
    more_lines, more_taps = -count % BLOCK_LINES, -taps % BLOCK_TAPS
    starts = jnp.pad(starts, (0, more_lines)).reshape(-1, BLOCK_LINES)
    weights = jnp.pad(weights, ((0, more_lines), (0, more_taps)))
    weights = weights.reshape(-1, BLOCK_LINES, taps + more_taps)
    blocks = jax.lax.map(lambda block: _resample_block(words, *block), (starts, weights))
    return blocks.reshape(-1, *words.shape[1:])[:count]
