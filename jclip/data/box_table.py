"""Annotated boxes of several sets as arrays, and their images."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from jclip.data.fg_ovd import AnnotatedImage, FineGrainedSet
from jclip.data.images import DEFAULT_PIXEL_LIMIT, ImageFile, inspect_images
from jclip.errors import InputError


@dataclasses.dataclass(frozen=True)
class BoxTable:
    """The N boxes of several sets, in the order of their files.

    Attributes:
        sets: the set of each box, by name.
        annotations: its id in the set's file.
        boxes: `[x, y, w, h]` in pixels.
        image_rows: its image, as a row of `images`, which holds each image once.
        caption_rows: its captions, the right one first, as rows of `texts`, which holds each text
            once; -1 where a box has fewer than another.
    """

    sets: tuple[str, ...]
    annotations: Int[np.ndarray, " n"]
    boxes: Float[np.ndarray, "n 4"]
    image_rows: Int[np.ndarray, " n"]
    caption_rows: Int[np.ndarray, "n k"]
    images: tuple[AnnotatedImage, ...]
    texts: tuple[str, ...]

    def of_set(self, name: str) -> Bool[np.ndarray, " n"]:
        """Which boxes are one set's."""
        return np.array(self.sets) == name

    def any_caption(self, marked: Bool[np.ndarray, " m"]) -> Bool[np.ndarray, " n"]:
        """Which boxes have a caption among the marked texts."""
        return (marked[self.caption_rows] & (self.caption_rows >= 0)).any(axis=1)


def box_table(sets: Sequence[FineGrainedSet]) -> BoxTable:
    """The boxes of several sets as one table; an image that several of them show is one.

    Raises:
        InputError: two sets have one name.
    """
    names = [one.name for one in sets]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise InputError(f"--annotations: {repeated[0]} is the name of two files")
    boxes = [(one.name, box) for one in sets for box in one.boxes]
    images = {image: row for row, image in enumerate(dict.fromkeys(b.image for _, b in boxes))}
    captions = [(box.caption, *box.negatives) for _, box in boxes]
    texts = {t: row for row, t in enumerate(dict.fromkeys(t for own in captions for t in own))}
    caption_rows = np.full((len(boxes), max(map(len, captions))), -1, np.int32)
    for target, own in zip(caption_rows, captions, strict=True):
        target[: len(own)] = [texts[text] for text in own]
    return BoxTable(
        sets=tuple(name for name, _ in boxes),
        annotations=np.array([box.id for _, box in boxes]),
        boxes=np.array([box.box for _, box in boxes]),
        image_rows=np.array([images[box.image] for _, box in boxes]),
        caption_rows=caption_rows,
        images=tuple(images),
        texts=tuple(texts),
    )


def inspect_box_images(
    table: BoxTable, folder: Path, pixel_limit: int = DEFAULT_PIXEL_LIMIT
) -> list[ImageFile]:
    """The files of `table.images`, below a folder, by their headers.

    Raises:
        InputError: one is missing, no image, too large, or not of the size that was annotated.
    """
    found = inspect_images([folder / image.file for image in table.images], pixel_limit)
    for image, file in zip(table.images, found, strict=True):
        if (image.width, image.height) != (file.width, file.height):
            raise InputError(
                f"{image.file} is said to be {image.width} x {image.height} pixels, and is "
                f"{file.width} x {file.height}"
            )
    return found
