"""What features are made of: squares to embed, distinct captions, and which belong together."""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64, UInt8

from jclip.checkpoints import ImageConfig
from jclip.data.boxes import BoxTable, inspect_box_images
from jclip.data.coco_captions import CaptionSet
from jclip.data.features import Features, Origin, no_rows
from jclip.data.file_names import FilesBelow
from jclip.data.images import (
    DEFAULT_PIXEL_LIMIT,
    ImageFile,
    check_fit,
    decode,
    inspect_images,
    unlike_a_viewer,
)
from jclip.errors import InputError
from jclip.images import place
from jclip.images.boxes import crop_box, fit_square
from jclip.images.fits import SUPPLIED, SeenFit

# Boxes of an image follow each other, and a few threads decode at a time.
_DECODED_AT_ONCE = 16


@dataclasses.dataclass(frozen=True)
class FeatureInputs:
    """Squares and texts to embed, each once, and how to arrange what comes out.

    `squares` decode to `[size, size, 3] uint8`, or for an encoder elsewhere to boxes and images as
    they are (fit `supplied`). `texts` are distinct. `boxes` are the boxes of all
    sets and `box_squares` the square of each; for whole images, `caption_texts` and
    `caption_images` give each caption's row of `texts` and of `squares`. `fit` and `box_scale` say
    how the squares are made, `data` are digests of annotation files and images. `notices` are
    sentences that a person should read.
    """

    squares: tuple[ImageFile, ...]
    texts: tuple[str, ...]
    fit: SeenFit
    data: Mapping[str, str]
    box_scale: float = 1.0
    boxes: BoxTable | None = None
    box_squares: Int64[np.ndarray, " n"] = dataclasses.field(default_factory=no_rows)
    caption_texts: Int64[np.ndarray, " m"] = dataclasses.field(default_factory=no_rows)
    caption_images: Int64[np.ndarray, " m"] = dataclasses.field(default_factory=no_rows)
    splits: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()

    def features(
        self,
        images: Float32[np.ndarray, "i d"],
        texts: Float32[np.ndarray, "t d"],
        lost: Sequence[int],
        origin: Origin,
    ) -> Features:
        """The embeddings of squares and texts, arranged; without the squares `lost`, by row.

        A box that is lost takes its annotations with it, an image its captions.

        Raises:
            InputError: nothing is left.
        """
        kept = np.setdiff1d(np.arange(len(self.squares)), lost)
        if len(kept) == 0:
            raise InputError("no image could be decoded")
        renumbered = np.full(len(self.squares), -1, np.int64)
        renumbered[kept] = np.arange(len(kept))
        names = tuple(self.squares[row].name for row in kept)
        if self.boxes is not None:
            rows = renumbered[self.box_squares]
            boxes, rows = self.boxes.select(rows >= 0), rows[rows >= 0]
            return Features(images[kept], texts, names, self.texts, origin, boxes, rows)
        own = renumbered[self.caption_images]
        rows = self.caption_texts[own >= 0]
        return Features(
            images=images[kept],
            captions=texts[rows],
            image_names=names,
            texts=tuple(self.texts[row] for row in rows),
            origin=origin,
            caption_images=own[own >= 0],
            splits=tuple(self.splits[row] for row in kept),
        )


def box_inputs(
    table: BoxTable,
    folder: Path,
    config: ImageConfig | None,
    fit: SeenFit,
    box_scale: float,
    pixel_limit: int = DEFAULT_PIXEL_LIMIT,
) -> FeatureInputs:
    """The boxes of several sets; a box of the same image and sides counts once, as does a caption.

    Args:
        table: the boxes.
        folder: of images, in which their `file` is a path.
        config: of the checkpoint; `size` and `interpolation` matter. None: nothing is fitted.
        fit: crop, squash or pad; supplied where nothing is fitted.
        box_scale: factor on a box's sides.
        pixel_limit: of one image, in pixels.

    Raises:
        InputError: an image is missing or not of the size that its file of annotations says, or a
            box cannot be cut out or fitted.
    """
    files = inspect_box_images(table, folder, pixel_limit)
    notices = unlike_a_viewer(list(files.values()))
    if repeated := int(table.repeated.any(axis=1).sum()):
        notices.append(f"{repeated} boxes have their right caption among the wrong ones.")
    rows, box_squares = table.distinct()
    decoded = functools.lru_cache(_DECODED_AT_ONCE)(decode)
    squares = []
    for row in rows.tolist():
        image = files[table.images[table.image_rows[row]].file]
        try:
            cut = crop_box(table.boxes[row].tolist(), box_scale, image.width, image.height)
        except InputError as error:
            where = f"{table.sets[row]}, annotation {table.annotations[row]}, {image.name}"
            raise InputError(f"{where}: {error}") from None
        squares.append(square_part(table.name(row), image, cut, config, fit, decoded))
    return FeatureInputs(
        squares=tuple(squares),
        texts=table.texts,
        fit=fit,
        box_scale=box_scale,
        data={**table.digests, "images": images_digest(files)},
        boxes=table,
        box_squares=box_squares,
        notices=tuple(notices),
    )


def caption_inputs(
    captions: CaptionSet,
    folder: Path,
    config: ImageConfig | None,
    fit: SeenFit,
    pixel_limit: int = DEFAULT_PIXEL_LIMIT,
) -> FeatureInputs:
    """Whole images with any number of captions each; arguments as of `box_inputs`.

    Raises:
        InputError: an image is missing or cannot be fitted.
    """
    files = [image.file for image in captions.images]
    below = FilesBelow(folder)
    found = inspect_images([below.find(file) for file in files], pixel_limit)
    named = dict(zip(files, found, strict=True))
    texts: dict[str, int] = {}
    pairs = [
        (texts.setdefault(text, len(texts)), row)
        for row, image in enumerate(captions.images)
        for text in image.captions
    ]
    text_rows, image_rows = np.array(pairs, np.int64).T
    return FeatureInputs(
        squares=tuple(
            square_part(file, image, image.whole, config, fit) for file, image in named.items()
        ),
        texts=tuple(texts),
        fit=fit,
        data={captions.name: captions.sha256, "images": images_digest(named)},
        caption_texts=text_rows,
        caption_images=image_rows,
        splits=tuple(image.split for image in captions.images),
        notices=tuple(unlike_a_viewer(found)),
    )


def images_digest(images: Mapping[str, ImageFile]) -> str:
    """One digest of images by their names."""
    rows = [f"{name}\0{image.digest}" for name, image in sorted(images.items())]
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


def square_part(
    name: str,
    image: ImageFile,
    cut: tuple[int, int, int, int],
    config: ImageConfig | None,
    fit: SeenFit,
    decoded: Callable[[ImageFile], UInt8[np.ndarray, "h w 3"]] = decode,
) -> ImageFile:
    """A part of an image as an image of its own, fitted when it is decoded.

    Args:
        name: what it is called.
        image: that it is cut out of.
        cut: left, top, right and bottom, in pixels.
        config: `size` and `interpolation` of the square; None: the part as it is.
        fit: crop, squash, pad or, of a tower that takes every shape, native.
        decoded: how the image is decoded.

    Raises:
        InputError: the part cannot be fitted.
    """
    left, top, right, bottom = cut
    if config is None or fit == SUPPLIED:

        def part() -> np.ndarray:
            return decoded(image)[top:bottom, left:right]

        return ImageFile(name, part, bottom - top, right - left, image.digest)
    check_fit(name, bottom - top, right - left, config.size, fit)

    def pixels() -> np.ndarray:
        part = decoded(image)[top:bottom, left:right]
        return fit_square(part, config.size, fit, config.interpolation)

    height, width = place(bottom - top, right - left, config.size, fit).shape
    return ImageFile(name, pixels, height, width, image.digest)
