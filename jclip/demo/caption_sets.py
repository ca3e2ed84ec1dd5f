"""Photos of the demo world with several captions each, as Karpathy's JSON has them for COCO."""

import functools
import json
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Array, Key
from PIL import Image

from jclip.demo.captions import describe
from jclip.demo.rendering import draw_many, object_boxes, render_photo
from jclip.demo.scenes import SPLITS, sample_camera, sample_scene, scene_key
from jclip.errors import InputError

# The demo world's splits under the names that Karpathy's file has for COCO's.
_SPLIT_NAMES = {"train": "train", "validation": "val", "test": "test"}
_SCENES_AT_ONCE = 64
# A scene with little in it has few captions that differ.
_MOST_DRAWS = 25


def write_caption_set(
    folder: Path, seed: int, scenes: int, *, split: str = "test", size: int = 128, captions: int = 5
) -> None:
    """Writes `captions.json` into a folder, and the photos as PNG below it.

    Arguments as for `write_fine_grained_sets`, whose camera sees scene `i` here too; a photo has as
    many different captions as `captions` says at most.

    Raises:
        InputError: the split is unknown, or a number is too small.
    """
    if split not in SPLITS:
        raise InputError(f"unknown split {split!r}; known: {', '.join(SPLITS)}")
    if scenes < 1 or size < 16 or captions < 1:
        raise InputError(f"scenes={scenes}, size={size}, captions={captions}: too small")
    (folder / split).mkdir(parents=True, exist_ok=True)
    at_once = min(scenes, _SCENES_AT_ONCE)
    images, sentences = [], 0
    for start in range(0, scenes, at_once):
        # Every batch is as long as the first, lest the last be compiled anew.
        indices = np.minimum(np.arange(start, start + at_once), scenes - 1)
        keys = jax.vmap(lambda index: scene_key(seed, split, index))(indices)
        drawn = jax.device_get(_draw(keys, size))
        for row, index in enumerate(indices[: scenes - start].tolist()):
            scene, camera, visible, pixels = jax.tree.map(
                lambda values, row=row: values[row], drawn
            )
            texts: dict[str, None] = {}
            for number in range(_MOST_DRAWS):
                rng = np.random.default_rng([seed, SPLITS.index(split), index, number])
                texts[describe(scene, rng, "photo", camera=camera, visible=visible)] = None
                if len(texts) == captions:
                    break
            file = f"{index:06d}.png"
            Image.fromarray(pixels).save(folder / split / file)
            ids = list(range(sentences, sentences + len(texts)))
            sentences += len(texts)
            told = zip(ids, texts, strict=True)
            images.append({
                "imgid": index,
                "filepath": split,
                "filename": file,
                "split": _SPLIT_NAMES[split],
                "sentids": ids,
                "sentences": [{"sentid": i, "imgid": index, "raw": text} for i, text in told],
            })  # fmt: skip
    (folder / "captions.json").write_text(
        json.dumps({"images": images, "dataset": "demo"}), encoding="utf-8"
    )


@functools.partial(jax.jit, static_argnames="size")
def _draw(keys: Key[Array, "scenes"], size: int):
    def one(key):
        scene = sample_scene(key)
        camera = sample_camera(jax.random.fold_in(key, 1), scene)
        visible = object_boxes(scene, camera, size)[1]
        return scene, camera, visible, render_photo(scene, camera, size)

    return draw_many(one, keys)
