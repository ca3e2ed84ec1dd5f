"""Samples of panoramas: where rays meet them, and the bilinear averages that a device gathers.

Positions are whole steps of 1/256 of a pixel, and sums are integers, so that every device gives the
same levels.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8, UInt32
from scipy.spatial.transform import Rotation

from jclip.errors import InputError
from jclip.images.arguments import whole_number
from jclip.images.resample import pack_pixels

SAMPLES_AT_MOST = 16
"""Per pixel and side: the sums of more would leave 32 bits."""

BLOCK_PIXELS = 8192
"""Of a view, gathered at a time on a CPU: what comes in between stays in a core's cache."""

_STEPS = 256
_LANES = np.uint32(0x00FF00FF)
_LOW = np.uint32(0xFFFF)

_Samples = tuple[jax.Array, jax.Array, jax.Array]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class SpherePlan:
    """Where every sample of every view lies; made by `plan_sphere`.

    A pytree that passes through `jax.jit`. A jitted function compiles once for each panorama shape,
    size, number of views and number of samples.

    Attributes:
        first: `[V, B, K, P] int32`, the upper left of the four pixels of each of K samples, in the
            panorama with a row more above and below and a column more on the right; B blocks of
            rows make a view, P pixels a block.
        across: `[V, B, K, P] uint8`, how far right of it a sample lies, in 1/256 of a pixel.
        down: `[V, B, K, P] uint8`, how far below it.
        size: Height and width of a view.
        made_for: Height and width of the panoramas.
    """

    first: Any
    across: Any
    down: Any
    size: tuple[int, int] = dataclasses.field(metadata={"static": True})
    made_for: tuple[int, int] = dataclasses.field(metadata={"static": True})


def sample_offsets(samples: int) -> Float[np.ndarray, " samples"]:
    """Where the samples of a pixel lie along one side, from its centre, in pixels."""
    samples = whole_number("samples", samples)
    if samples > SAMPLES_AT_MOST:
        raise InputError(f"{samples} samples per pixel and side: at most {SAMPLES_AT_MOST}")
    return (np.arange(samples) + 0.5) / samples - 0.5


def panorama_rays(
    height: int, width: int, down: float = 0.0, across: float = 0.0
) -> Float[np.ndarray, "height width 3"]:
    """Unit rays through the pixels of a panorama, off their centres by so many pixels."""
    latitude = np.pi * (0.5 - (np.arange(height) + 0.5 + down) / height)[:, None]
    longitude = 2 * np.pi * ((np.arange(width) + 0.5 + across) / width - 0.5)
    level = np.cos(latitude)
    parts = level * np.sin(longitude), np.sin(latitude), level * np.cos(longitude)
    return np.stack(np.broadcast_arrays(*parts), axis=-1)


def turned_rays(
    rays: Float[np.ndarray, "*shape 3"], yaw: float, pitch: float, roll: float
) -> Float[np.ndarray, "*shape 3"]:
    """Rays of a camera in the world's axes."""
    # Where x is right, y up and z ahead, the right-handed turns about x and z look and lean down.
    turn = Rotation.from_euler("YXZ", (yaw, -pitch, -roll), degrees=True)
    return rays @ turn.as_matrix().T


def located(
    rays: Float[np.ndarray, "*shape 3"], height: int, width: int
) -> tuple[Int[np.ndarray, "*shape"], Int[np.ndarray, "*shape"]]:
    """Columns and rows of the panorama that rays meet, from its first centres, in steps."""
    x, y, z = np.moveaxis(rays, -1, 0)
    column = np.arctan2(x, z) * (width / (2 * np.pi)) + (width - 1) / 2
    row = (height - 1) / 2 - np.arctan2(y, np.hypot(x, z)) * (height / np.pi)
    return _in_steps(column), _in_steps(row)


def _in_steps(position: Any) -> Any:
    return np.floor(np.asarray(position) * _STEPS + 0.5).astype(np.int64)


def plan_samples(views: Sequence[tuple[float, Any, Any]], height: int, width: int) -> SpherePlan:
    """A plan of views, each a yaw, and the columns and rows `[K, h, w]` it has at yaw 0."""
    count, rows, columns = views[0][1].shape
    block = _block_rows(rows, columns)
    shape = (len(views), rows // block, count, block * columns)
    first, across, down = (np.empty(shape, kind) for kind in (np.int32, np.uint8, np.uint8))
    for place, (yaw, column, row) in enumerate(views):
        column, row = (
            steps.reshape(count, rows // block, -1).swapaxes(0, 1) for steps in (column, row)
        )
        turned = (column + _in_steps(yaw * width / 360)) % (width * _STEPS)
        # Row 0 is the one above the first.
        first[place] = (row // _STEPS + 1) * (width + 1) + turned // _STEPS
        across[place], down[place] = turned % _STEPS, row % _STEPS
    return SpherePlan(first, across, down, (rows, columns), (height, width))


def _block_rows(rows: int, columns: int) -> int:
    """The rows of a block: a divisor of all that makes it nearest to `BLOCK_PIXELS`."""
    divisors = (count for count in range(1, rows + 1) if rows % count == 0)
    return min(divisors, key=lambda count: abs(math.log(count * columns / BLOCK_PIXELS)))


@jax.jit
def average_samples(
    panoramas: UInt8[Array, "n height width 3"], plan: SpherePlan
) -> UInt8[Array, "n v h w 3"]:
    """The average of the samples of every pixel of every view, rounded half up."""
    views, blocks, count, pixels = plan.first.shape
    words = _bordered(pack_pixels(panoramas))
    stride, unit = panoramas.shape[2] + 1, count * _STEPS**2

    def averaged(one: UInt32[Array, " table"]) -> UInt8[Array, "blocks pixels 3"]:
        def block(samples: _Samples) -> UInt8[Array, "pixels 3"]:
            def add(sums: list[jax.Array], sample: _Samples) -> tuple[list[jax.Array], None]:
                found = _sampled(one, stride, *sample)
                return [total + more for total, more in zip(sums, found, strict=True)], None

            half = jnp.full(pixels, unit // 2, jnp.uint32)
            # All samples in one kernel are 5 to 10 times slower on a CPU.
            sums, _ = jax.lax.scan(add, [half] * 3, samples)
            return jnp.stack([(total // unit).astype(jnp.uint8) for total in sums], axis=-1)

        listed = jax.tree.map(
            lambda part: part.reshape(-1, count, pixels), (plan.first, plan.across, plan.down)
        )
        return _one_by_one(block, listed, views * blocks)

    seen = _one_by_one(averaged, words, len(words))
    return seen.reshape(-1, views, *plan.size, 3)


def _one_by_one(work: Callable[[Any], jax.Array], items: Any, count: int) -> jax.Array:
    """Map over a leading axis: at once, but one by one on a CPU, whose cache holds one."""
    at_once = None if jax.default_backend() == "cpu" else count
    return jax.lax.map(work, items, batch_size=at_once)


def _bordered(words: UInt32[Array, "n height width"]) -> UInt32[Array, "n pixels"]:
    """Rows beyond the poles and the first column once more after the last, flattened."""
    half = words.shape[2] // 2
    above, below = (jnp.roll(row, half, axis=2) for row in (words[:, :1], words[:, -1:]))
    tall = jnp.concatenate([above, words, below], axis=1)
    return jnp.concatenate([tall, tall[:, :, :1]], axis=2).reshape(len(words), -1)


def _sampled(
    words: jax.Array, stride: int, first: jax.Array, across: jax.Array, down: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """One bilinear sample of each pixel: red, green and blue in 1 / 65536 of a level.

    Two channels travel in the halves of a word: each product stays within its 16 bits.
    """
    corners = itertools.product((0, stride), (0, 1))
    upper, upper_right, lower, lower_right = (
        words.at[first + row + column].get(mode="promise_in_bounds") for row, column in corners
    )
    across, down = across.astype(jnp.uint32), down.astype(jnp.uint32)

    def between(here: jax.Array, there: jax.Array, part: jax.Array) -> jax.Array:
        # What the difference borrows from the upper half, modulo 2**32, the sum gives back.
        return (here << 8) + (there - here) * part

    above = between(upper & _LANES, upper_right & _LANES, across)
    below = between(lower & _LANES, lower_right & _LANES, across)
    green, green_right = (
        (top >> 8 & 255) | (bottom >> 8 & 255) << 16
        for top, bottom in ((upper, lower), (upper_right, lower_right))
    )
    green = between(green, green_right, across)
    return (
        between(above & _LOW, below & _LOW, down),
        between(green & _LOW, green >> 16, down),
        between(above >> 16, below >> 16, down),
    )
