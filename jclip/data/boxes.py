"""Annotated boxes of several sets as one flat table, and their images."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64, Shaped

from jclip.data.file_names import FilesBelow
from jclip.data.images import DEFAULT_PIXEL_LIMIT, ImageFile, inspect_images
from jclip.errors import InputError


class AnnotatedImage(NamedTuple):
    """An image by its file, relative to the folder of images, with its size in pixels."""

    file: str
    width: int
    height: int


class Box(NamedTuple):
    """A box `[x, y, w, h]` in pixels, of a set; the right caption is the first."""

    set: str
    annotation: int
    image: AnnotatedImage
    box: tuple[float, float, float, float]
    captions: tuple[str, ...]


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
        digests: the SHA-256 of each set's file.
    """

    sets: Shaped[np.ndarray, " n"]
    annotations: Int64[np.ndarray, " n"]
    boxes: Float64[np.ndarray, "n 4"]
    image_rows: Int64[np.ndarray, " n"]
    caption_rows: Int64[np.ndarray, "n k"]
    images: tuple[AnnotatedImage, ...]
    texts: tuple[str, ...]
    digests: Mapping[str, str]

    @property
    def set_names(self) -> tuple[str, ...]:
        """The sets that have boxes, in order."""
        return tuple(dict.fromkeys(self.sets.tolist()))

    @property
    def counts(self) -> dict[str, int]:
        """How many boxes each set has."""
        return {name: int((self.sets == name).sum()) for name in self.set_names}

    def name(self, row: int) -> str:
        """A box in words: its file and its sides."""
        return f"{self.images[self.image_rows[row]].file} {self.boxes[row].tolist()}"

    def rows_of_images(self, images: Sequence[int]) -> Int64[np.ndarray, " b"]:
        """The boxes of some images, image after image."""
        return np.concatenate([np.flatnonzero(self.image_rows == image) for image in images])

    def any_caption(self, marked: Bool[np.ndarray, " m"]) -> Bool[np.ndarray, " n"]:
        """Which boxes have a caption among the marked texts."""
        return (marked[self.caption_rows] & (self.caption_rows >= 0)).any(axis=1)

    @property
    def repeated(self) -> Bool[np.ndarray, "n k"]:
        """Which captions of a box are its right one once more."""
        same = self.caption_rows == self.caption_rows[:, :1]
        same[:, 0] = False
        return same

    def without_repeated(self) -> "BoxTable":
        """The same without the right caption among the wrong ones of a box."""
        if not self.repeated.any():
            return self
        kept = (self.caption_rows >= 0) & ~self.repeated
        rows = [own[there].tolist() for own, there in zip(self.caption_rows, kept, strict=True)]
        return dataclasses.replace(self, caption_rows=padded_rows(rows))

    def distinct(self) -> tuple[Int64[np.ndarray, " d"], Int64[np.ndarray, " n"]]:
        """Boxes of the same image and sides as one: a row of each, and which of them each row is.

        They are sorted by image, so that a picture is decoded once for all of its boxes.
        """
        files = (self.images[row].file for row in self.image_rows)
        keys = [(file, *box) for file, box in zip(files, self.boxes.tolist(), strict=True)]
        found: dict[tuple, int] = {}
        for row, key in enumerate(keys):
            found.setdefault(key, row)
        rows = sorted(found.items(), key=lambda item: (item[0][0], item[1]))
        place = {key: number for number, (key, _) in enumerate(rows)}
        own = [place[key] for key in keys]
        return np.array([row for _, row in rows], np.int64), np.array(own, np.int64)

    def select(self, kept: Bool[np.ndarray, " n"]) -> "BoxTable":
        """Some of the boxes; images and texts stay."""
        rows = ("sets", "annotations", "boxes", "image_rows", "caption_rows")
        return dataclasses.replace(self, **{name: getattr(self, name)[kept] for name in rows})


def box_table(boxes: Iterable[Box], digests: Mapping[str, str]) -> BoxTable:
    """Boxes, at least one, as one table with the SHA-256 of each set's file.

    An image that several sets show is one, as is a text.
    """
    images: dict[AnnotatedImage, int] = {}
    texts: dict[str, int] = {}
    boxes = list(boxes)
    return BoxTable(
        sets=np.array([box.set for box in boxes], str),
        annotations=np.array([box.annotation for box in boxes], np.int64),
        boxes=np.array([box.box for box in boxes], np.float64).reshape(-1, 4),
        image_rows=np.array([images.setdefault(b.image, len(images)) for b in boxes], np.int64),
        caption_rows=padded_rows(
            [[texts.setdefault(text, len(texts)) for text in box.captions] for box in boxes]
        ),
        images=tuple(images),
        texts=tuple(texts),
        digests=digests,
    )


def padded_rows(rows: Sequence[Sequence[int]]) -> Int64[np.ndarray, "n k"]:
    """Lists of row numbers as one array, short lists filled with -1."""
    padded = np.full((len(rows), max(map(len, rows), default=0)), -1, np.int64)
    for target, own in zip(padded, rows, strict=True):
        target[: len(own)] = own
    return padded


def inspect_box_images(
    table: BoxTable, folder: Path, pixel_limit: int = DEFAULT_PIXEL_LIMIT
) -> dict[str, ImageFile]:
    """The files of `table.images`, below a folder, inspected by their headers; by name.

    Raises:
        InputError: one is missing, no image, too large, or not of the size that was annotated.
    """
    below = FilesBelow(folder)
    found = inspect_images([below.find(image.file) for image in table.images], pixel_limit)
    for row, (image, file) in enumerate(zip(table.images, found, strict=True)):
        if (image.width, image.height) != (file.width, file.height):
            name = table.sets[np.argmax(table.image_rows == row)]
            raise InputError(
                f"{name}: {image.file} is said to be {image.width} x {image.height} pixels, and "
                f"is {file.width} x {file.height}"
            )
    return {image.file: file for image, file in zip(table.images, found, strict=True)}
