"""The demo world as generators of panoramas: one without a fault, others with one known fault each.

All are asked for the same scenes, so that they are compared panorama by panorama; the captions of
the eight views around the horizon are those of the scene that was asked for.

`demo` draws what it is asked for. `demo-seam` does not close: brightness runs apart over the last
columns on both sides of the seam. `demo-shuffled` draws the right objects at each other's places, a
single one behind the viewer. `demo-captions` has the panoramas of `demo` in files whose whole
captions were paired one row off.
"""

import dataclasses
import functools
import re
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jclip.data.panorama_folders import DEGREES
from jclip.demo.captions import describe
from jclip.demo.rendering import draw_many, object_boxes, render_panorama
from jclip.demo.scenes import MAX_OBJECTS, SPLITS, Camera, Scene, sample_scene, scene_key

GENERATORS = ("demo", "demo-seam", "demo-shuffled", "demo-captions")
_SOURCE = re.compile(rf"({'|'.join(GENERATORS)})(?::([1-9]\d*))?")
_SPLIT, _SEED, _FIELD_OF_VIEW = "test", 0, 90.0
_TORN, _LEVELS = 2, 20.0
"""How many columns run apart on each side of a torn seam, and by how much at most."""


class GeneratedPanoramas(NamedTuple):
    """Panoramas with names, captions, and the captions of their eight views."""

    names: tuple[str, ...]
    pixels: np.ndarray  # [N, H, 2 H, 3] uint8
    captions: tuple[str, ...]
    view_captions: tuple[tuple[str, ...], ...]


def generator_of(source: str) -> tuple[str, int | None] | None:
    """The generator that a source such as `demo-seam:48` means, and its number of panoramas."""
    found = _SOURCE.fullmatch(source)
    return None if found is None else (found[1], int(found[2]) if found[2] else None)


def generate(generator: str, count: int, height: int) -> GeneratedPanoramas:
    """The panoramas of one of `GENERATORS`, of the first scenes of the demo world's test split."""
    asked = _drawn(count, height, generator == "demo-shuffled")
    captions = asked.captions
    if generator == "demo-captions":
        captions = (*captions[1:], captions[0])
    pixels = _torn(asked.pixels) if generator == "demo-seam" else asked.pixels
    return asked._replace(pixels=pixels, captions=captions)


@functools.cache
def _drawn(count: int, height: int, shuffled: bool) -> GeneratedPanoramas:
    keys = jax.vmap(lambda index: scene_key(_SEED, _SPLIT, index))(np.arange(count))
    drawn = jax.device_get(_draw(keys, height, shuffled))
    names, captions, views = [], [], []
    for index in range(count):
        scene, visible = jax.tree.map(lambda values, row=index: values[row], drawn[:2])
        numbers = [_SEED, SPLITS.index(_SPLIT), index]
        names.append(f"demo-{index:04d}.png")
        captions.append(describe(scene, np.random.default_rng(numbers), "none"))
        views.append(
            tuple(
                describe(
                    scene,
                    np.random.default_rng([*numbers, k]),
                    "none",
                    camera=_camera(degree),
                    visible=visible[k],
                )
                for k, degree in enumerate(DEGREES)
            )
        )
    return GeneratedPanoramas(tuple(names), drawn[2], tuple(captions), tuple(views))


def _camera(degree: Any) -> Camera:
    return Camera(yaw=degree, pitch=0.0, field_of_view=_FIELD_OF_VIEW)


@functools.partial(jax.jit, static_argnames=("height", "shuffled"))
def _draw(keys: Any, height: int, shuffled: bool) -> tuple[Scene, Any, Any]:
    """Scenes that were asked for, what each view shows of their objects, and the panoramas."""

    def one(key):
        scene = sample_scene(key)
        yaws = jnp.asarray(DEGREES, jnp.float32)
        visible = jax.lax.map(lambda yaw: object_boxes(scene, _camera(yaw), height)[1], yaws)
        return scene, visible, render_panorama(_shuffled(scene) if shuffled else scene, height)

    return draw_many(one, keys)


def _shuffled(scene: Scene) -> Scene:
    """Every object at the place of the next but so many; a single one on the other side."""
    count = jnp.sum(scene.present)
    places = jnp.arange(MAX_OBJECTS)
    other = jnp.where(places < count, (places + jnp.maximum(count // 2, 1)) % count, places)
    yaw = jnp.where(count == 1, scene.yaw + jnp.pi, scene.yaw[other])
    return dataclasses.replace(scene, yaw=yaw)


def _torn(panoramas: np.ndarray) -> np.ndarray:
    """Brighter towards the left border, darker towards the right one."""
    torn = panoramas.astype(np.float32)
    ramp = (_LEVELS * np.arange(_TORN, 0, -1) / _TORN)[:, None]
    torn[:, :, :_TORN] += ramp
    torn[:, :, -_TORN:] -= ramp[::-1]
    return np.clip(np.round(torn), 0, 255).astype(np.uint8)
