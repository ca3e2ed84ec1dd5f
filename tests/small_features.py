"""Feature folders of a world in which captions are their images with the features turned round."""

import dataclasses

import numpy as np

from jclip.data.features import BoxSet, Features, Origin

SIZE = 8


def origin(name="small", weights="abc"):
    return Origin(
        model={"name": name, "source": name, "activation": "gelu", "weights": {"model": weights}},
        preprocessing={"size": 8},
        fit="crop",
        box_scale=1.0,
        data={"file": "123"},
    )


def _world(count, seed):
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(count, SIZE)).astype(np.float32)

    def say(things):
        noise = rng.normal(size=things.shape).astype(np.float32)
        return np.roll(things, 1, axis=1) + 0.1 * noise

    return rng, images, say


def captioned(splits=("train",) * 20 + ("val",) * 6 + ("test",) * 6, seed=0) -> Features:
    """Two captions for each image."""
    _, images, say = _world(len(splits), seed)
    about = np.repeat(np.arange(len(splits)), 2)
    return Features(
        kind="coco",
        images=images,
        captions=say(images[about]),
        image_names=tuple(f"{row}.png" for row in range(len(splits))),
        texts=tuple(f"caption {row}" for row in range(len(about))),
        origin=origin(),
        caption_images=about,
        splits=tuple(splits),
    )


def boxed(count=24, seed=1) -> Features:
    """Hard negatives say something near the truth; a box has two or three."""
    rng, images, say = _world(count, seed)
    near = images[:, None] + 0.7 * rng.normal(size=(count, 3, SIZE)).astype(np.float32)
    captions = np.concatenate([say(images), say(near.reshape(-1, SIZE))])
    negatives = count + np.arange(3 * count).reshape(count, 3)
    negatives[::4, 2] = -1
    rows = np.arange(count)
    hard = BoxSet(annotations=rows, images=rows, positives=rows, negatives=negatives)
    pattern = dataclasses.replace(hard, negatives=negatives[:, :2])
    return Features(
        kind="fg_ovd",
        images=images,
        captions=captions,
        image_names=tuple(f"{row // 2}.png" for row in range(count)),
        texts=tuple(f"caption {row}" for row in range(len(captions))),
        origin=origin(),
        sets={"1_attributes": hard, "pattern": pattern},
    )
