"""Photos of the demo world with hard negatives of every kind, in the benchmarks' own layouts.

Each scene has two objects side by side, of other shapes and colours, and its caption names both:
an attribute or an object is replaced, colours or objects change places (SugarCrepe's layout), words
change their order (ARO's, frozen), or a second photo shows the colours the other way round
(ColorSwap's).
"""

import dataclasses
import functools
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key, UInt8
from PIL import Image

from jclip.demo.captions import ObjectWords, name_object, object_words
from jclip.demo.rendering import draw_many, render_photo
from jclip.demo.scenes import MAX_OBJECTS, SPLITS, Camera, Scene, sample_scene, scene_key
from jclip.demo.vocabulary import ATTRIBUTES, CLASSES, COLOURS, GROUNDS
from jclip.errors import InputError

_SCENES_AT_ONCE = 64
# Left and right of where the camera looks: at these sizes and distances a photo shows both whole.
_ASIDE = 20.0
_SIZES, _DISTANCES, _FIELDS_OF_VIEW = (0.70, 0.80), (2.70, 2.90), (76.0, 84.0)
_PERMUTATIONS = 4


def write_foil_sets(
    folder: Path, seed: int, scenes: int, *, split: str = "test", size: int = 128
) -> None:
    """Writes six sets over photos of `scenes` scenes: one record a scene in each.

    `sugar_crepe/*.json`, `aro/demo_order.jsonl`, `colorswap/test.json` and below `photos/` two PNG
    of each scene, `size` pixels wide; files name them from `folder`. The seed decides scenes and
    foils; no scene is in two of the splits `train`, `validation` and `test`.

    Raises:
        InputError: the split is unknown, or a number is too small.
    """
    if split not in SPLITS:
        raise InputError(f"unknown split {split!r}; known: {', '.join(SPLITS)}")
    if scenes < 1 or size < 16:
        raise InputError(f"scenes={scenes}, size={size}: need at least 1 scene and 16 pixels")
    for name in ("photos", "sugar_crepe", "aro", "colorswap"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    crepe: dict[str, dict[str, Any]] = {name: {} for name in _FOILS}
    orders, pairs = [], []
    at_once = min(scenes, _SCENES_AT_ONCE)
    for start in range(0, scenes, at_once):
        # Every batch is as long as the first, lest the last be compiled anew.
        indices = np.minimum(np.arange(start, start + at_once), scenes - 1)
        keys = jax.vmap(lambda index: scene_key(seed, split, index))(indices)
        drawn = jax.device_get(_draw(keys, size))
        for row, index in enumerate(indices[: scenes - start].tolist()):
            scene, photos = jax.tree.map(lambda values, row=row: values[row], drawn)
            files = [f"photos/{index:06d}_{number}.png" for number in (1, 2)]
            for file, pixels in zip(files, photos, strict=True):
                Image.fromarray(pixels).save(folder / file)
            rng = np.random.default_rng([seed, SPLITS.index(split), index])
            place = GROUNDS[int(scene.ground)]
            objects = object_words(scene, 0), object_words(scene, 1)
            for name, make in _FOILS.items():
                right, wrong = make(*objects, place, rng)
                crepe[name][str(index)] = {
                    "filename": files[0],
                    "caption": right,
                    "negative_caption": wrong,
                }
            right, wrong = swapped_attributes(*objects, place, rng)
            orders.append({"image": files[0], "caption_options": [right, *_orders(right, rng)]})
            pairs.append({
                "id": index,
                "caption_1": right,
                "caption_2": wrong,
                "image_1": files[0],
                "image_2": files[1],
                "image_source": "demo",
                "caption_source": "demo",
            })  # fmt: skip
    for name, records in crepe.items():
        _write(folder / "sugar_crepe" / f"{name}.json", json.dumps(records))
    _write(folder / "aro" / "demo_order.jsonl", "\n".join(map(json.dumps, orders)) + "\n")
    _write(folder / "colorswap" / "test.json", json.dumps(pairs))


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


@functools.partial(jax.jit, static_argnames="size")
def _draw(
    keys: Key[Array, "scenes"], size: int
) -> tuple[Scene, UInt8[Array, "scenes 2 size size 3"]]:
    """Scenes with two objects, and each scene's photo as it is and with their colours swapped."""

    def one(key):
        scene, camera = _side_by_side(key)
        colours = scene.colour[jnp.array([1, 0, *range(2, MAX_OBJECTS)])]
        other = dataclasses.replace(scene, colour=colours)
        return scene, jnp.stack([render_photo(each, camera, size) for each in (scene, other)])

    return draw_many(one, keys)


def _side_by_side(key: Key[Array, ""]) -> tuple[Scene, Camera]:
    """A scene with two objects, of other shapes and colours, and a camera that sees both."""
    scene = sample_scene(key)
    drawn = jax.random.uniform(jax.random.fold_in(key, 1), (2 * MAX_OBJECTS + 2,))
    sizes, distances, (turn, opening) = jnp.split(drawn, (MAX_OBJECTS, 2 * MAX_OBJECTS))
    yaw = jnp.deg2rad(jnp.array([-_ASIDE, _ASIDE, 180.0, 180.0, 180.0]))

    def other(values: Array, count: int) -> Array:
        step = 1 + values[1] % (count - 1)
        return values.at[1].set((values[0] + step) % count)

    scene = dataclasses.replace(
        scene,
        present=jnp.arange(MAX_OBJECTS) < 2,
        yaw=yaw,
        size=_between(sizes, _SIZES),
        distance=_between(distances, _DISTANCES),
        shape=other(scene.shape, len(CLASSES)),
        colour=other(scene.colour, len(COLOURS)),
    )
    heading = jnp.rad2deg(scene.heading) + 4 * (2 * turn - 1)
    camera = Camera(jnp.mod(heading + 180, 360) - 180, -8.0, _between(opening, _FIELDS_OF_VIEW))
    return scene, camera


def _between(share: Array, ends: tuple[float, float]) -> Array:
    return ends[0] + (ends[1] - ends[0]) * share


def replaced_attribute(
    left: ObjectWords, right: ObjectWords, place: str, rng: np.random.Generator
) -> tuple[str, str]:
    """One attribute of one object is another: right and wrong caption."""
    name = str(rng.choice(list(ATTRIBUTES)))
    named = ("colour",) if name == "colour" else ("colour", name)
    word = str(rng.choice([w for w in ATTRIBUTES[name] if w != getattr(left, name)]))
    wrong = left._replace(**{name: word})
    beside = name_object(right, ("colour",))
    if rng.random() < 0.5:
        return _both(name_object(left, named), beside, place), _both(
            name_object(wrong, named), beside, place
        )
    return _both(beside, name_object(left, named), place), _both(
        beside, name_object(wrong, named), place
    )


def replaced_object(
    left: ObjectWords, right: ObjectWords, place: str, rng: np.random.Generator
) -> tuple[str, str]:
    """One object is of another shape, which neither of the two is."""
    others = [shape for shape in CLASSES if shape not in (left.shape, right.shape)]
    wrong = [left, right]
    changed = int(rng.integers(2))
    wrong[changed] = wrong[changed]._replace(shape=str(rng.choice(others)))
    return _coloured(left, right, place), _coloured(*wrong, place=place)


def swapped_attributes(
    left: ObjectWords, right: ObjectWords, place: str, rng: np.random.Generator
) -> tuple[str, str]:
    """The two objects have each other's colour."""
    wrong = left._replace(colour=right.colour), right._replace(colour=left.colour)
    return _coloured(left, right, place), _coloured(*wrong, place=place)


def swapped_objects(
    left: ObjectWords, right: ObjectWords, place: str, rng: np.random.Generator
) -> tuple[str, str]:
    """The two objects stand in each other's place."""
    first, second = (name_object(o, ("colour",)) for o in (left, right))
    between = "to the left of"
    return f"{first} {between} {second} on {place}", f"{second} {between} {first} on {place}"


_FOILS = {
    "replace_att": replaced_attribute,
    "replace_obj": replaced_object,
    "swap_att": swapped_attributes,
    "swap_obj": swapped_objects,
}


def _coloured(left: ObjectWords, right: ObjectWords, place: str) -> str:
    return _both(*(name_object(words, ("colour",)) for words in (left, right)), place=place)


def _both(first: str, second: str, place: str) -> str:
    return f"{first} and {second} on {place}"


def _orders(caption: str, rng: np.random.Generator) -> list[str]:
    """The words in four other orders, each of them another.

    All words, the content words alone, groups of three words, and words within these groups change
    places: ARO's four, but drawn again where one leaves the caption as it was.
    """
    words = caption.split()
    content = [i for i, word in enumerate(words) if word in _CONTENT]
    threes = [words[i : i + 3] for i in range(0, len(words), 3)]

    def shuffled(items: list) -> list:
        return [items[i] for i in rng.permutation(len(items))]

    def contents() -> list[str]:
        found = list(words)
        for place, word in zip(content, shuffled([words[i] for i in content]), strict=True):
            found[place] = word
        return found

    makers = (
        lambda: shuffled(words),
        contents,
        lambda: [word for three in shuffled(threes) for word in three],
        lambda: [word for three in threes for word in shuffled(three)],
    )
    found: dict[str, None] = {}
    for number, make in enumerate(makers, 1):
        while len(found) < number:
            if (made := " ".join(make())) != caption:
                found[made] = None
    return list(found)


_CONTENT = {*CLASSES, *GROUNDS, *(word for words in ATTRIBUTES.values() for word in words)}
