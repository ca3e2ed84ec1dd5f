"""The pictures that an encoder elsewhere is shown of a panorama, each by its label.

The whole panorama at eight yaws, views of it, or a generator's own pictures: how they become what
a network takes is that encoder's own matter.
"""

import functools
from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import UInt8

from jclip.data.panorama_folders import VIEWS
from jclip.images.sphere import SphereView, plan_sphere, sphere_views
from jclip.images.sphere_samples import SpherePlan
from jclip.probes.panorama_measures import YAWS, Pictures
from jclip.probes.panorama_pictures import MVDIFFUSION_SIDE

LARGEST_SIDE = 512
"""Of a view, in pixels; else a quarter of the panorama's width, which is what it shows of it."""


def picture_labels(own: Pictures, cameras: Sequence[SphereView]) -> tuple[str, ...]:
    """A label for every picture of a kind; two that are the same picture have one."""
    if own.kind == "yaws":
        return tuple(f"yaw-{360 * k // YAWS}" for k in range(YAWS))
    if own.kind == "sphere":
        return tuple(f"view-{camera.yaw:g}-{camera.pitch:g}" for camera in cameras)
    return tuple(f"{own.kind}-{k}" for k in range(VIEWS))


def labelled_pictures(
    own: Pictures,
    pixels: UInt8[np.ndarray, "h w 3"],
    cameras: tuple[SphereView, ...],
    samples: int,
) -> dict[str, UInt8[np.ndarray, "_ _ 3"]]:
    """All pictures of a kind, of a panorama or of a generator's pictures below each other."""
    height, width, _ = pixels.shape
    if own.kind == "yaws":
        drawn = [np.roll(pixels, k * width // YAWS, axis=1) for k in range(YAWS)]
    elif own.kind == "stacked":
        drawn = [*pixels.reshape(VIEWS, height // VIEWS, width, 3)]
    elif own.kind == "sphere":
        side = max(1, min(width // 4, LARGEST_SIDE))
        drawn = _views(pixels, _plan(height, width, cameras, side, samples))
    else:
        drawn = _views(pixels, _plan(height, width, cameras[:VIEWS], MVDIFFUSION_SIDE, 1))
    return dict(zip(picture_labels(own, cameras), drawn, strict=True))


_plan = functools.cache(plan_sphere)
_project = jax.jit(sphere_views)


def _views(
    pixels: UInt8[np.ndarray, "h w 3"], plan: SpherePlan
) -> list[UInt8[np.ndarray, "s s 3"]]:
    return [*np.asarray(_project(pixels[None], plan))[0]]
