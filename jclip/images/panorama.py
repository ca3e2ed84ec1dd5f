"""Equirectangular panoramas on the device: circular shifts, yaw, mirror, all shifted views at once.

`plan_views` works out on the host which resampled columns the views of a list of shifts need. Views
share most of them: where a shift is a whole number of pixels after resizing, as every multiple of
W/8 is for a 2:1 panorama at size 224, all views together need little more than one resized
panorama. `shift_views` resamples each column once and picks the columns of every view.
"""

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.layout import Layout, with_layout_constraint
from jaxtyping import Array, Int, Shaped, UInt8

from jclip.images.arguments import check_panorama, check_pixels, whole_number, whole_numbers
from jclip.images.geometry import Fit, Size, place
from jclip.images.resample import (
    Interpolation,
    Lines,
    pack_pixels,
    resample_lines,
    resize_lines,
    rows_first,
    unpack_pixels,
)
from jclip.images.sphere_fits import TurnPlan, plan_turns, sphere_cameras, turned_views


def circular_shift(
    panorama: Shaped[Array, "*batch height width channels"], pixels: int | Int[Array, ""]
) -> Shaped[Array, "*batch height width channels"]:
    """Turn a panorama: its content moves `pixels` columns to the right, around the circle.

    `pixels` may be traced. Equals `numpy.roll(panorama, pixels, axis=-2)`.

    Raises:
        TypeError: It is no array, or `pixels` are no whole number.
        ValueError: The channels come first, or it holds nothing.
    """
    check_panorama("panorama", panorama)
    if isinstance(pixels, np.ndarray | jax.Array):
        if pixels.ndim or not jnp.issubdtype(pixels.dtype, jnp.integer):
            raise TypeError(f"pixels: {pixels.dtype}{list(pixels.shape)} is no whole number")
    else:
        pixels = whole_number("pixels", pixels, None)
    return jnp.roll(panorama, pixels, axis=-2)


def flip(
    panorama: Shaped[Array, "*batch height width channels"],
) -> Shaped[Array, "*batch height width channels"]:
    """Mirror a panorama left to right.

    Raises:
        TypeError: It is no array.
        ValueError: The channels come first, or it holds nothing.
    """
    check_panorama("panorama", panorama)
    return jnp.flip(panorama, axis=-2)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class ViewPlan:
    """What `shift_views` needs to know about a list of shifts; made by `plan_views`.

    A pytree that passes through `jax.jit`. A jitted function compiles once for each panorama shape,
    size, fit, interpolation, number of shifts and number of (padded) columns.

    Attributes:
        columns: Columns to resample, each once, padded to a rounded number.
        rows: Rows to resample.
        picks: `[S, T, kept] int32`, the position in `columns` of each column of each view.
        made_for: Height and width of the panoramas, size and fit of the views.
    """

    columns: Lines
    rows: Lines
    picks: Any
    made_for: tuple[int, int, Size, Fit] = dataclasses.field(metadata={"static": True})

    @property
    def views(self) -> tuple[int, int]:
        """How many shifts, and views at each: one, or two tiles."""
        return self.picks.shape[:2]


AnyPlan = ViewPlan | TurnPlan
"""What `shift_views` takes: by resized columns, or by views on the sphere."""


def _window(lines: Lines, offset: int, count: int) -> Lines:
    kept = slice(offset, offset + count)
    return Lines(lines.starts[kept], lines.weights[kept])


def _round_up(count: int, limit: int) -> int:
    """Multiples of 64, from 512 on four sizes per doubling: few sizes, so few programs."""
    step = max(64, 1 << max(count.bit_length() - 3, 0))
    return min(-(-count // step) * step, limit)


def _pad_columns(columns: Lines, count: int) -> Lines:
    missing = count - len(columns.starts)
    return Lines(
        np.pad(columns.starts, (0, missing)), np.pad(columns.weights, ((0, missing), (0, 0)))
    )


def plan_views(
    height: int,
    width: int,
    shifts: Sequence[int],
    size: Size,
    fit: Fit = "crop",
    interpolation: Interpolation = "bicubic",
) -> AnyPlan:
    """Plan the views of panoramas of `height x width` pixels at every shift. Host side.

    Shifts are in pixels, to the right around the circle; any integers, negative ones too. A view is
    `size x size` pixels, or of the patches of a tower that takes every shape; how a panorama is
    fitted says `jclip.images.geometry.place`, or of views on the sphere, bilinear always,
    `jclip.images.sphere_fits`.

    Raises:
        InputError: The fit is impossible for this panorama.
        TypeError: A shift or length is no whole number.
        ValueError: No shift is given, or a fit, interpolation or length is wrong.
    """
    shifts = whole_numbers("shifts", shifts)
    if sphere_cameras(fit):
        return plan_turns(height, width, shifts, size, fit)
    placement = place(height, width, size, fit)
    columns = resize_lines(placement.tile_width, placement.resized[1], interpolation)
    columns = _window(columns, placement.offset[1], placement.window[1])
    rows = resize_lines(height, placement.resized[0], interpolation)
    rows = _window(rows, placement.offset[0], placement.window[0])

    # A column is known by its first source column and its weights; kinds of weights are numbered.
    kinds, kind = np.unique(columns.weights, axis=0, return_inverse=True)
    origin = np.asarray(placement.tile_starts)[:, None] + columns.starts
    start = (origin - np.asarray(shifts, dtype=np.int64)[:, None, None]) % width
    needed, picks = np.unique(start * len(kinds) + kind.reshape(-1), return_inverse=True)
    unique = Lines((needed // len(kinds)).astype(np.int32), kinds[needed % len(kinds)])
    return ViewPlan(
        columns=_pad_columns(unique, _round_up(len(needed), start.size)),
        rows=rows,
        picks=picks.reshape(start.shape).astype(np.int32),
        made_for=(height, width, size, fit),
    )


def plan_chunks(
    height: int,
    width: int,
    shifts: Sequence[int],
    size: Size,
    chunk: int,
    fit: Fit = "crop",
    interpolation: Interpolation = "bicubic",
) -> list[AnyPlan]:
    """Plan a long list of shifts, `chunk` at a time, in plans of one shape: one program serves all.

    The last chunk repeats the last shift until it is full, so the caller keeps the first
    `len(shifts)` of all views.

    Raises:
        InputError: The fit is impossible for this panorama.
        TypeError: A shift, chunk or length is no whole number.
        ValueError: No shift is given, or a chunk, fit, interpolation or length is wrong.
    """
    shifts, chunk = whole_numbers("shifts", shifts), whole_number("chunk", chunk, None)
    if chunk < 1:
        raise ValueError(f"cannot cut {len(shifts)} shifts into chunks of {chunk}")
    full = [*shifts, *[shifts[-1]] * (-len(shifts) % chunk)]
    if sphere_cameras(fit):
        whole = plan_turns(height, width, full, size, fit)
        # On the device at once, where all chunks share it.
        shared = dataclasses.replace(whole, sphere=jax.tree.map(jnp.asarray, whole.sphere))
        return [
            dataclasses.replace(shared, shifts=whole.shifts[first : first + chunk])
            for first in range(0, len(full), chunk)
        ]
    plans: list[Any] = [
        plan_views(height, width, full[first : first + chunk], size, fit, interpolation)
        for first in range(0, len(full), chunk)
    ]
    widest = max(len(plan.columns.starts) for plan in plans)
    return [dataclasses.replace(plan, columns=_pad_columns(plan.columns, widest)) for plan in plans]


def _settle(words: jax.Array) -> jax.Array:
    """Write an intermediate result to memory, last axis contiguous.

    XLA would rather leave a transposition undone and read or write single pixels far apart, or fuse
    the passes and resample a column again for each view that shows it: 2 to 40 times slower on a
    CPU.
    """
    ordered = with_layout_constraint(words, Layout(tuple(range(words.ndim))))
    return jax.lax.optimization_barrier(ordered)


def _resize(words: jax.Array, plan: ViewPlan, vertical_first: bool) -> jax.Array:
    """`[N, H, W]` words to `[N, rows, columns]`; each pass runs along a leading axis."""
    passes = [((2, 0, 1), plan.columns), ((2, 1, 0), plan.rows)]
    if vertical_first:
        passes = [((1, 0, 2), plan.rows), ((2, 1, 0), plan.columns)]
    for axes, lines in passes:
        words = _settle(resample_lines(_settle(words.transpose(axes)), lines))
    return _settle(words.transpose((1, 2, 0) if vertical_first else (1, 0, 2)))


def shift_views(
    panoramas: UInt8[Array, "n height width 3"] | UInt8[np.ndarray, "n height width 3"],
    plan: AnyPlan,
    size: Size,
    fit: Fit = "crop",
) -> UInt8[Array, "n s t rows columns 3"]:
    """All shifted views of a batch of panoramas, bit for bit what Pillow makes of rolled ones.

    The second axis runs over the shifts of the plan, the third over tiles (one, or two with fit
    `tiles`) or over views on the sphere. Pure; meant to be called inside the jit that holds the
    vision tower. Memory beyond input and output: two copies of the panoramas at 4 bytes per pixel,
    and the resampled columns.

    Raises:
        TypeError: The panoramas are no array of uint8, or the plan is none.
        ValueError: The panoramas are not `[N, H, W, 3]`, or the plan was made for another height,
            width, size or fit.
    """
    check_pixels("panoramas", panoramas, "N H W 3")
    if not isinstance(plan, AnyPlan):
        raise TypeError(f"plan: a {type(plan).__name__} where what plan_views returns is meant")
    height, width = panoramas.shape[1:3]
    if plan.made_for != (height, width, size, fit):
        raise ValueError(
            f"the plan is for (height, width, size, fit) = {plan.made_for}, "
            f"not {(height, width, size, fit)}"
        )
    if isinstance(plan, TurnPlan):
        return turned_views(jnp.asarray(panoramas), plan)
    return _shift_views(panoramas, plan, size, fit)


@partial(jax.jit, static_argnames=("size", "fit"))
def _shift_views(panoramas: jax.Array, plan: ViewPlan, size: Size, fit: Fit) -> jax.Array:
    height, width = panoramas.shape[1:3]
    placement = place(height, width, size, fit)
    vertical_first = rows_first(height, placement.tile_width, *placement.resized)
    words = _resize(pack_pixels(panoramas), plan, vertical_first)
    pick_columns = jax.vmap(lambda pick: jnp.take(words, pick, axis=2, mode="clip"), out_axes=1)
    views = _settle(jnp.moveaxis(pick_columns(plan.picks), 3, 2))
    above, below, left, right = placement.bars
    views = jnp.pad(views, ((0, 0), (0, 0), (0, 0), (above, below), (left, right)))
    return unpack_pixels(views)
