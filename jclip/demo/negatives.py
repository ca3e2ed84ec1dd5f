"""Hard negatives of the demo world: the eight sets of FG-OVD in their own JSON format.

Each box has one right caption, which names all four attributes, and wrong ones that differ in as
many attributes as the set says. Source of the format and of the sets: FG-OVD, as used by "Is CLIP
the main roadblock for fine-grained open-world perception?" (section on the benchmark).
"""

import functools
import itertools
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key, UInt8
from PIL import Image

from jclip.demo.captions import ObjectWords, describe_object, object_words
from jclip.demo.rendering import draw_many, object_boxes, render_photo
from jclip.demo.scenes import MAX_OBJECTS, Camera, Scene, sample_camera, sample_scene, scene_key
from jclip.demo.vocabulary import ATTRIBUTES, CLASSES
from jclip.errors import InputError

# File stem of each set: which attributes may change, and how many do (None: another class).
SETS: dict[str, tuple[tuple[str, ...], int] | None] = {
    "1_attributes": (tuple(ATTRIBUTES), 1),
    "2_attributes": (tuple(ATTRIBUTES), 2),
    "3_attributes": (tuple(ATTRIBUTES), 3),
    "shuffle_negatives": None,
    "color": (("colour",), 1),
    "material": (("material",), 1),
    "pattern": (("pattern",), 1),
    "transparency": (("transparency",), 1),
}
_MOST_NEGATIVES = 10
_LEAST_VISIBLE, _LEAST_SIDE = 0.6, 1 / 12
_PHOTOS_AT_ONCE = 256


class _Photos(NamedTuple):
    scenes: Scene
    cameras: Camera
    boxes: Any
    visible: Any


def hard_negatives(words: ObjectWords, name: str, rng: np.random.Generator) -> list[ObjectWords]:
    """Up to ten wrong descriptions of an object, all different, for one of `SETS`.

    There are fewer where the vocabulary ends: 7 patterns, 5 materials, 2 transparencies.
    """
    change = SETS[name]
    if change is None:
        others = [shape for shape in CLASSES if shape != words.shape]
        drawn: dict[ObjectWords, None] = {}
        while len(drawn) < _MOST_NEGATIVES:
            values = {key: str(rng.choice(choices)) for key, choices in ATTRIBUTES.items()}
            drawn[ObjectWords(shape=str(rng.choice(others)), **values)] = None
        return list(drawn)
    attributes, changes = change
    wrong = {key: [word for word in ATTRIBUTES[key] if word != getattr(words, key)]
             for key in attributes}  # fmt: skip
    options, weights = [], []
    for names in itertools.combinations(attributes, changes):
        own = [dict(zip(names, values, strict=True))
               for values in itertools.product(*(wrong[key] for key in names))]  # fmt: skip
        options += own
        # An attribute with many words would otherwise crowd out the others.
        weights += [1.0 / len(own)] * len(own)
    count = min(_MOST_NEGATIVES, len(options))
    chosen = rng.choice(len(options), count, replace=False, p=np.array(weights) / np.sum(weights))
    return [words._replace(**options[index]) for index in chosen]


@functools.partial(jax.jit, static_argnames="size")
def _sample(keys: Key[Array, "scenes"], size: int) -> _Photos:
    def one(key):
        scene = sample_scene(key)
        camera = sample_camera(jax.random.fold_in(key, 1), scene)
        return _Photos(scene, camera, *object_boxes(scene, camera, size))

    return draw_many(one, keys)


@functools.partial(jax.jit, static_argnames="size")
def _draw(scenes: Scene, cameras: Camera, size: int) -> UInt8[Array, "scenes size size 3"]:
    return draw_many(lambda scene, camera: render_photo(scene, camera, size), scenes, cameras)


def _objects(photos: _Photos, size: int) -> list[tuple[int, int, ObjectWords]]:
    """Scene, place and words of every object that its photo shows well enough."""
    found = []
    for index, (boxes, visible) in enumerate(zip(photos.boxes, photos.visible, strict=True)):
        scene = jax.tree.map(lambda leaf, i=index: leaf[i], photos.scenes)
        for place in range(MAX_OBJECTS):
            if visible[place] >= _LEAST_VISIBLE and boxes[place, 2:].min() >= size * _LEAST_SIDE:
                found.append((index, place, object_words(scene, place)))
    return found


def _sets(photos: _Photos, seed: int, split: str, size: int):
    objects = _objects(photos, size)
    images = [
        {"id": index, "file_name": f"{split}/{index:06d}.png", "width": size, "height": size}
        for index in sorted({index for index, _, _ in objects})
    ]
    sets = {}
    for number, name in enumerate(SETS):
        rng = np.random.default_rng([seed, number])
        annotations, categories = [], []
        for index, place, words in objects:
            first = len(categories) + 1
            captions = [words, *hard_negatives(words, name, rng)]
            categories += [
                {"id": id_, "name": describe_object(caption)}
                for id_, caption in enumerate(captions, start=first)
            ]
            box = [float(side) for side in photos.boxes[index, place]]
            annotations.append({
                "id": len(annotations) + 1,
                "image_id": index,
                "bbox": box,
                "area": box[2] * box[3],
                "category_id": first,
                "neg_category_ids": list(range(first + 1, first + len(captions))),
            })  # fmt: skip
        sets[name] = {"images": images, "annotations": annotations, "categories": categories}
    return sets


def write_fine_grained_sets(
    folder: Path, seed: int, scenes: int, *, split: str = "test", size: int = 256
) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Writes the eight sets over the objects of photos of `scenes` scenes into a folder.

    Each is `NAME.json`; the photos, one of each scene and `size` pixels wide, are PNG below them. A
    photo shows about one object well enough to be boxed. The seed decides scenes, cameras and
    negatives; no scene is in two of the splits `train`, `validation` and `test`.

    Returns:
        By file stem (`SETS`): `images` (id, file_name, width, height), `annotations` (id, image_id,
        bbox `[x, y, w, h]` in pixels, area, category_id, neg_category_ids) and `categories` (id,
        name), where a category is a caption and negatives' ids follow the right one's.

    Raises:
        InputError: The split is unknown, or a number is too small.
    """
    if scenes < 1 or size < 16:
        raise InputError(f"scenes={scenes}, size={size}: need at least 1 scene and 16 pixels")
    keys = jax.vmap(lambda index: scene_key(seed, split, index))(jnp.arange(scenes))
    photos = jax.device_get(_sample(keys, size))
    sets = _sets(photos, seed, split, size)
    (folder / split).mkdir(parents=True, exist_ok=True)
    shown = sets["1_attributes"]["images"]
    at_once = min(len(shown), _PHOTOS_AT_ONCE)
    with ThreadPoolExecutor() as threads:
        saved = iter(())
        for start in range(0, len(shown), at_once):
            own = shown[start : start + at_once]
            # Every batch is as long as the first, lest the last be compiled anew.
            rows = np.resize([image["id"] for image in own], at_once)
            drawn = jax.tree.map(lambda leaf, at=rows: leaf[at], (photos.scenes, photos.cameras))
            pixels = np.asarray(_draw(*drawn, size))
            files = [folder / image["file_name"] for image in own]
            # Files are packed while the next photos are drawn, and no further behind.
            list(saved)
            saved = threads.map(_save, pixels, files)
        list(saved)
    for name, content in sets.items():
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return sets


def _save(pixels: UInt8[np.ndarray, "size size 3"], file: Path) -> None:
    Image.fromarray(pixels).save(file)
