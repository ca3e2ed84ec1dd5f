"""Scenes of the demo world as pictures with captions, drawn in batches, one after the other.

A scene's pictures and captions depend on its seed, split and index alone, however many are drawn.
"""

import functools
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Key, UInt8

from jclip.demo.captions import describe
from jclip.demo.rendering import draw_many, object_boxes, render_panorama, render_photo
from jclip.demo.scenes import SPLITS, sample_camera, sample_scene, scene_key
from jclip.errors import InputError

View = Literal["panorama", "photo"]
SCENES_AT_ONCE = 64
_LEAST_HEIGHT = 16

# Bounds what is drawn by one call, and so what waits in memory.
_BYTES_AT_ONCE = 1 << 26


class DrawnScene(NamedTuple):
    """A picture of a scene, with the scene's index in its split.

    `caption` begins with a format word such as "a photo of"; `content` is the same without it.
    """

    index: int
    pixels: UInt8[np.ndarray, "height width 3"]
    caption: str
    content: str


class DemoImages(NamedTuple):
    """Images `[N, H, W, 3] uint8`, with N names such as `demo-0003.png` and N captions."""

    names: tuple[str, ...]
    pixels: UInt8[np.ndarray, "n height width 3"]
    captions: tuple[str, ...]


def check_seed_and_height(seed: int, height: int) -> None:
    """Refuses what the demo world cannot be drawn with.

    Raises:
        InputError: The seed is negative or the height under 16 pixels.
    """
    if seed < 0:
        raise InputError(f"seed {seed}: the demo world's seeds are not negative")
    if height < _LEAST_HEIGHT:
        raise InputError(f"height {height}: the demo world needs at least {_LEAST_HEIGHT} pixels")


def open_demo_panoramas(
    count: int, height: int, *, seed: int = 0, split: str = "test"
) -> DemoImages:
    """The panoramas of a split's first scenes, with captions of their content alone.

    No caption has a format word such as "a photo of", so a probe can put its own before any.

    Args:
        count: How many scenes.
        height: Of a panorama in pixels; it is twice as wide.
        seed: Decides scenes and captions.
        split: `train`, `validation` or `test`; no scene is in two of them.

    Raises:
        InputError: The split is unknown, or a number is out of range.
    """
    return _opened("panorama", "demo", count, height, seed, split)


def open_demo_photos(count: int, size: int, *, seed: int = 0, split: str = "test") -> DemoImages:
    """The same of perspective photos `[N, size, size, 3]`, one of each scene.

    Raises:
        InputError: as `open_demo_panoramas`.
    """
    return _opened("photo", "demo-photo", count, size, seed, split)


def _opened(view: View, prefix: str, count: int, height: int, seed: int, split: str) -> DemoImages:
    if count < 1:
        raise InputError(f"count {count}: need at least one image of the demo world")
    at_once = min(count, SCENES_AT_ONCE)
    drawn = list(draw_scenes(view, range(count), height, seed=seed, split=split, at_once=at_once))
    return DemoImages(
        names=tuple(f"{prefix}-{one.index:04d}.png" for one in drawn),
        pixels=np.stack([one.pixels for one in drawn]),
        captions=tuple(one.content for one in drawn),
    )


def draw_scenes(
    view: View,
    indices: Sequence[int],
    height: int,
    *,
    seed: int,
    split: str,
    at_once: int = SCENES_AT_ONCE,
) -> Iterator[DrawnScene]:
    """Draws one picture of each scene of a split, by index.

    Args:
        view: `panorama`, `[height, 2 height, 3]`, or `photo`, `[height, height, 3]`, by a camera of
            the scene's own.
        indices: of the scenes.
        height: in pixels.
        seed: decides scenes, cameras and captions.
        split: `train`, `validation` or `test`.
        at_once: how many scenes are drawn together; a call with another number compiles anew.

    Raises:
        InputError: The split is unknown, or see `check_seed_and_height`.
    """
    check_seed_and_height(seed, height)
    pixels = height * height * (2 if view == "panorama" else 1)
    rows = max(1, min(at_once, _BYTES_AT_ONCE // (3 * pixels)))
    for start in range(0, len(indices), rows):
        batch = np.asarray(indices[start : start + rows], np.int32)
        # A shorter last batch would be compiled once more, which takes longer than drawing it.
        padded = np.pad(batch, (0, rows - len(batch)), mode="edge")
        keys = jax.vmap(lambda index: scene_key(seed, split, index))(padded)
        drawn = jax.device_get(_draw(keys, view, height))
        for row, index in enumerate(batch.tolist()):
            scene, seen, picture = jax.tree.map(lambda values, row=row: values[row], drawn)
            numbers = [seed, SPLITS.index(split), index]
            # The same draws make both captions.
            caption, content = (
                describe(scene, np.random.default_rng(numbers), kind, **seen)
                for kind in (view, "none")
            )
            yield DrawnScene(index, picture, caption, content)


@functools.partial(jax.jit, static_argnames=("view", "height"))
def _draw(keys: Key[Array, "scenes"], view: View, height: int):
    """The scene, what its caption depends on besides, and the picture, of every key."""

    def one(key):
        scene = sample_scene(key)
        if view == "panorama":
            return scene, {}, render_panorama(scene, height)
        camera = sample_camera(jax.random.fold_in(key, 1), scene)
        _, visible = object_boxes(scene, camera, height)
        return scene, {"camera": camera, "visible": visible}, render_photo(scene, camera, height)

    return draw_many(one, keys)
