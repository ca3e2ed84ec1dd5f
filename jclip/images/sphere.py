"""Spherical views on the device: perspective pictures of panoramas, antialiased, without seams.

Axes are x right, y up, z ahead; `z` is the panorama's centre. Column c of W shows longitude
`(c + 0.5) / W * 360 - 180`, right positive; row r of H latitude `90 - (r + 0.5) / H * 180`. Pixel
(i, j) of a view of `h x w` looks along `((j + 0.5 - w / 2) / f, -(i + 0.5 - h / 2) / f, 1)` with
`f = (w / 2) / tan(fov / 2)`, turned by `Ry(yaw) Rx(pitch) Rz(roll)`.

`plan_sphere` works out on the host, in float64, where every sample of every pixel lies, to 1/256 of
the panorama's pixels; `sphere_views` gathers and averages in integers, with the same result on
every device.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Array, UInt8

from jclip.errors import InputError
from jclip.images.arguments import check_pixels, whole_number
from jclip.images.sphere_samples import (
    SpherePlan,
    average_samples,
    located,
    panorama_rays,
    plan_samples,
    sample_offsets,
    turned_rays,
)


@dataclasses.dataclass(frozen=True)
class SphereView:
    """A camera in the middle of a panorama; its pixels are square. All in degrees.

    Attributes:
        yaw: turns right; any angle.
        pitch: looks up; any angle.
        roll: lowers the camera's right side; any angle.
        fov: the horizontal field of view, between 0 and 180.

    Raises:
        InputError: an angle is no finite number, or the field of view is not between 0 and 180.
    """

    yaw: float
    pitch: float = 0.0
    roll: float = 0.0
    fov: float = 90.0

    def __post_init__(self):
        for name in ("yaw", "pitch", "roll", "fov"):
            _check_angle(name, getattr(self, name))
        if not 0 < self.fov < 180:
            raise InputError(f"fov of {self.fov:g} degrees: has to be between 0 and 180")


def _check_angle(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise TypeError(f"{name}: {value!r:.60} is no number of degrees")
    if not math.isfinite(value):
        raise InputError(f"{name} of {value} degrees: no angle")


CUBE = (
    SphereView(0.0),
    SphereView(90.0),
    SphereView(180.0),
    SphereView(-90.0),
    SphereView(0.0, 90.0),
    SphereView(0.0, -90.0),
)
"""The faces front, right, back, left, up and down; those of up and down touch the front's."""


def ring(count: int, pitch: float = 0.0, fov: float = 90.0) -> tuple[SphereView, ...]:
    """Views around the horizon or another circle of latitude, at equal yaws from 0 on.

    Raises:
        InputError: the field of view or the pitch is no such angle.
        TypeError: the count is no whole number.
        ValueError: it is less than 1.
    """
    count = whole_number("count", count)
    return tuple(SphereView(360.0 * k / count, pitch, 0.0, fov) for k in range(count))


def tangent(count: int) -> tuple[SphereView, ...]:
    """Upright views spread evenly over the whole sphere, which together they cover.

    Their centres are those of the spherical Fibonacci lattice (Gonzalez 2010), which exists for
    every count: heights at equal steps, yaws a golden angle apart. The field of view is twice the
    largest distance of a direction from the nearest centre.

    Raises:
        InputError: fewer than 6, which cover no sphere without fields of view near 180 degrees.
        TypeError: the count is no whole number.
    """
    count = whole_number("count", count, None)
    if count < 6:
        raise InputError(f"{count} tangent views: 6 are the fewest that cover a sphere")
    up = 1 - (2 * np.arange(count) + 1) / count
    yaws = np.arange(count) * (180 * (3 - math.sqrt(5))) % 360
    level, around = np.sqrt(1 - up**2), np.radians(yaws)
    centres = np.stack([level * np.sin(around), up, level * np.cos(around)], axis=-1)
    nearest = (panorama_rays(64, 128).reshape(-1, 3) @ centres.T).max(axis=1)
    pitches, fov = np.degrees(np.arcsin(up)), float(2 * np.degrees(np.arccos(nearest.min())))
    return tuple(
        SphereView(float(yaw), float(pitch), 0.0, fov)
        for yaw, pitch in zip(yaws, pitches, strict=True)
    )


def plan_sphere(
    height: int,
    width: int,
    views: Sequence[SphereView],
    size: int | tuple[int, int],
    samples: int = 4,
) -> SpherePlan:
    """Plan perspective views of panoramas of `height x width` pixels. Host side.

    Views that differ in yaw alone share their rays, so a ring costs what one view does. A view at a
    yaw of so many whole columns is, bit for bit, that at yaw 0 of the panorama shifted back.

    Args:
        height: of the panoramas, in pixels.
        width: twice the height.
        views: at least one.
        size: of each view in pixels, a side or (height, width).
        samples: per pixel and side. 1 aliases where views are smaller than the panorama: by 8
            levels on average on natural detail at 2048 to 224, where 4 leave 0.4.

    Raises:
        InputError: the panoramas are not 2:1, or the size or samples are out of range.
        TypeError: a length is no whole number, or a view no `SphereView`.
        ValueError: no view is given, or a length is not positive.
    """
    height, width = _panorama_size(height, width)
    rows, columns = size if isinstance(size, tuple | list) else (size, size)
    rows, columns = whole_number("size", rows), whole_number("size", columns)
    views = list(views)
    if not views:
        raise ValueError("no views given")
    for place, view in enumerate(views):
        if not isinstance(view, SphereView):
            raise TypeError(f"views[{place}]: a {type(view).__name__}, not a SphereView")
    offsets = sample_offsets(samples)

    def samples_of(pitch: float, roll: float, fov: float) -> tuple[np.ndarray, np.ndarray]:
        reach = math.tan(math.radians(fov) / 2) / (columns / 2)
        x = (np.arange(columns) + 0.5 + offsets[:, None] - columns / 2) * reach
        y = -(np.arange(rows) + 0.5 + offsets[:, None] - rows / 2) * reach
        x, y = x[None, :, None, :], y[:, None, :, None]
        rays = np.stack(np.broadcast_arrays(x, y, np.ones(())), axis=-1)
        rays = rays.reshape(samples**2, rows, columns, 3)
        return located(turned_rays(rays, 0.0, pitch, roll), height, width)

    cameras = [(view.yaw, (view.pitch, view.roll, view.fov)) for view in views]
    shared = {camera: samples_of(*camera) for camera in dict.fromkeys(c for _, c in cameras)}
    return plan_samples([(yaw, *shared[camera]) for yaw, camera in cameras], height, width)


def _panorama_size(height: int, width: int) -> tuple[int, int]:
    height, width = whole_number("height", height), whole_number("width", width)
    if width != 2 * height:
        raise InputError(
            f"a panorama of {width} x {height} pixels: spherical views need one twice as wide as "
            "high"
        )
    return height, width


def sphere_views(
    panoramas: UInt8[Array, "n height width 3"] | UInt8[np.ndarray, "n height width 3"],
    plan: SpherePlan,
) -> UInt8[Array, "n v h w 3"]:
    """All planned views of a batch of panoramas: bilinear samples, averaged, rounded half up.

    Columns wrap around, and beyond a pole a row goes on half a turn away. Pure; meant to be called
    inside the jit that holds the vision tower. Memory beyond input and output: the panoramas at 4
    bytes per pixel and, on accelerators, the views at 12.

    Raises:
        TypeError: the panoramas are no array of uint8, or the plan is none.
        ValueError: the panoramas are not `[N, H, W, 3]`, or the plan was made for another size.
    """
    check_pixels("panoramas", panoramas, "N H W 3")
    if not isinstance(plan, SpherePlan):
        raise TypeError(f"plan: a {type(plan).__name__} where what plan_sphere returns is meant")
    if plan.made_for != panoramas.shape[1:3]:
        raise ValueError(
            f"the plan is for (height, width) = {plan.made_for}, not {panoramas.shape[1:3]}"
        )
    return average_samples(panoramas, plan)
