"""Feature folders of a world in which captions are their images with the features turned round."""

import numpy as np

from jclip.data.boxes import AnnotatedImage, Box, BoxTable, padded_rows
from jclip.data.features import Features, Origin

SIZE = 8


def origin(name="small", weights="abc"):
    return Origin(
        model={"name": name, "source": name, "activation": "gelu", "weights": {"model": weights}},
        preprocessing={"size": 8},
        fit="crop",
        box_scale=1.0,
        data={"file": "123"},
    )


def box_features(images, captions, sets, origin, *, files=None, texts=None) -> Features:
    """Features of boxes, by set: ids, rows of `images`, and captions' rows, the right one first."""
    files = files or [f"{row}.png" for row in range(len(images))]
    shown = [AnnotatedImage(file, 1000, 10) for file in dict.fromkeys(files)]
    rows = np.concatenate([np.asarray(own, np.int64) for _, own, _ in sets.values()])
    texts = texts or tuple(f"caption {row}" for row in range(len(captions)))
    table = BoxTable(
        sets=np.repeat(np.array(list(sets), str), [len(own) for _, own, _ in sets.values()]),
        annotations=np.concatenate([np.asarray(ids, np.int64) for ids, _, _ in sets.values()]),
        boxes=np.stack([rows, 0 * rows, 0 * rows + 5, 0 * rows + 4], axis=1).astype(np.float64),
        image_rows=np.array([[image.file for image in shown].index(files[r]) for r in rows]),
        caption_rows=padded_rows([own for *_, captions in sets.values() for own in captions]),
        images=tuple(shown),
        texts=texts,
        digests={name: origin.data[name] for name in sets if name in origin.data},
    )
    first = {row: number for number, row in reversed(list(enumerate(rows.tolist())))}
    return Features(
        images=images,
        captions=captions,
        image_names=tuple(table.name(first[row]) for row in range(len(images))),
        texts=texts,
        origin=origin,
        boxes=table,
        box_images=rows,
    )


def boxes_of(table) -> list[Box]:
    """The boxes of a table one by one, with their texts."""
    rows = zip(table.sets.tolist(), table.annotations.tolist(), table.image_rows,
               table.boxes.tolist(), table.caption_rows, strict=True)  # fmt: skip
    return [
        Box(name, annotation, table.images[image], tuple(box),
            tuple(table.texts[row] for row in captions if row >= 0))
        for name, annotation, image, box, captions in rows
    ]  # fmt: skip


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
    rows = np.arange(count)
    hard = [[row, *own[: 3 - (row % 4 == 0)]] for row, own in enumerate(negatives.tolist())]
    pattern = [own[:3] for own in hard]
    return box_features(
        images,
        captions,
        {"1_attributes": (rows, rows, hard), "pattern": (rows, rows, pattern)},
        origin(),
        files=[f"{row // 2}.png" for row in range(count)],
    )
