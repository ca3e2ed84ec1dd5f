"""Photos of the demo world by class: a folder for each shape, as zero-shot data sets have."""

import functools
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Array, Key
from PIL import Image

from jclip.demo.pairs import close_up
from jclip.demo.rendering import draw_many, object_boxes, render_photo
from jclip.demo.scenes import SPLITS, sample_scene, scene_key
from jclip.demo.vocabulary import CLASSES
from jclip.errors import InputError

_SCENES_AT_ONCE = 64
_LEAST_VISIBLE = 0.6


def write_class_photos(
    folder: Path, seed: int, scenes: int, *, split: str = "test", size: int = 96
) -> None:
    """Writes `CLASS/NUMBER.png` into a folder: a close-up of one object of each scene.

    Scenes whose object is half hidden are left out, so that classes have about as many photos as
    each other, and not exactly. The seed decides scenes and cameras; no scene is in two of the
    splits `train`, `validation` and `test`.

    Raises:
        InputError: the split is unknown, or a number is too small.
    """
    if split not in SPLITS:
        raise InputError(f"unknown split {split!r}; known: {', '.join(SPLITS)}")
    if scenes < 1 or size < 16:
        raise InputError(f"scenes={scenes}, size={size}: need at least 1 scene and 16 pixels")
    for name in CLASSES:
        (folder / name).mkdir(parents=True, exist_ok=True)
    at_once = min(scenes, _SCENES_AT_ONCE)
    for start in range(0, scenes, at_once):
        # Every batch is as long as the first, lest the last be compiled anew.
        indices = np.minimum(np.arange(start, start + at_once), scenes - 1)
        keys = jax.vmap(lambda index: scene_key(seed, split, index))(indices)
        shapes, seen, photos = jax.device_get(_draw(keys, size))
        for row, index in enumerate(indices[: scenes - start].tolist()):
            if seen[row] >= _LEAST_VISIBLE:
                file = folder / CLASSES[int(shapes[row])] / f"{index:06d}.png"
                Image.fromarray(photos[row]).save(file)


@functools.partial(jax.jit, static_argnames="size")
def _draw(keys: Key[Array, "scenes"], size: int):
    """The shape that a close-up shows, how much of it, and the photo."""

    def one(key):
        scene = sample_scene(key)
        camera, place = close_up(jax.random.fold_in(key, 1), scene)
        visible = object_boxes(scene, camera, size)[1]
        return scene.shape[place], visible[place], render_photo(scene, camera, size)

    return draw_many(one, keys)
