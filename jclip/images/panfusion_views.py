"""Perspective views as PanFusion's code projects them, to repeat published scores.

Its rays end on the edge of the field of view, a turn has W - 1 columns, nothing is interpolated
across the seam, and one sample is taken per pixel; `jclip.images.sphere` does none of that. Pixels
are cut to 8 bits, not rounded, as the image processor of transformers below 4.28 cuts them.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, UInt8

from jclip.images.sphere import SphereView

SIDE = 299
"""Of their views, in pixels."""


class PanFusionPlan(NamedTuple):
    """Where every pixel of every view is taken: first column and row, and shares of the next."""

    columns: Any  # [V, S, S] int32
    rows: Any  # [V, S, S] int32
    right: Any  # [V, S, S] float32
    below: Any  # [V, S, S] float32


@functools.cache
def plan_panfusion(
    height: int, width: int, views: Sequence[SphereView], side: int = SIDE
) -> PanFusionPlan:
    """Plan views of panoramas of `height x width` pixels. Host side; `views` are a tuple."""
    parts = [_places(height, width, view, side) for view in views]
    return PanFusionPlan(*(np.stack(part) for part in zip(*parts, strict=True)))


def _places(height: int, width: int, view: SphereView, side: int) -> tuple[np.ndarray, ...]:
    reach = np.tan(np.radians(view.fov) / 2)
    x, y = np.meshgrid(np.linspace(-reach, reach, side), np.linspace(reach, -reach, side))
    pitch, yaw = np.radians(view.pitch), np.radians(view.yaw)
    up, ahead = np.cos(pitch) * y + np.sin(pitch), np.cos(pitch) - np.sin(pitch) * y
    across, along = np.cos(yaw) * x + np.sin(yaw) * ahead, np.cos(yaw) * ahead - np.sin(yaw) * x
    longitude, latitude = np.arctan2(across, along), np.arctan2(up, np.hypot(across, along))
    # Their grid runs from -1 to 1 in float32, from the first column's centre to the last one's.
    column = (np.float32(longitude / np.pi) + 1) / 2 * np.float32(width - 1)
    row = (np.float32(-latitude / (np.pi / 2)) + 1) / 2 * np.float32(height - 1)
    left = np.clip(np.floor(column), 0, width - 2)
    above = np.clip(np.floor(row), 0, height - 2)
    return left.astype(np.int32), above.astype(np.int32), column - left, row - above


def panfusion_views(
    panoramas: UInt8[Array, "n height width 3"], plan: PanFusionPlan
) -> UInt8[Array, "n v side side 3"]:
    """The planned views of a batch of panoramas, cut to 8 bits."""
    pixels = panoramas.astype(jnp.float32) / 255

    def of_view(_: None, place: PanFusionPlan) -> tuple[None, Array]:
        right, below = place.right[..., None], place.below[..., None]

        def taken(down: int, across: int) -> Array:
            return pixels[:, place.rows + down, place.columns + across]

        above = taken(0, 0) * (1 - right) + taken(0, 1) * right
        under = taken(1, 0) * (1 - right) + taken(1, 1) * right
        return None, ((above * (1 - below) + under * below) * 255).astype(jnp.uint8)

    return jnp.moveaxis(jax.lax.scan(of_view, None, plan)[1], 0, 1)
