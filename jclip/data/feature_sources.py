"""What features are made of: images to embed, distinct captions, and which belong together."""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64, UInt8

from jclip.checkpoints import ImageConfig
from jclip.data.coco_captions import CaptionSet
from jclip.data.features import BoxSet, Features, Kind, Origin, padded_negatives
from jclip.data.fg_ovd import FineGrainedSet
from jclip.data.images import DEFAULT_PIXEL_LIMIT, ImageFile, decode, inspect_images
from jclip.errors import InputError
from jclip.images import Fit, place
from jclip.images.boxes import crop_box, fit_square

# Boxes of an image follow each other, and a few threads decode at a time.
_DECODED_AT_ONCE = 16


@dataclasses.dataclass(frozen=True)
class FeatureSource:
    """Squares and texts to embed, each once, and how to arrange what comes out.

    `images` decode to `[size, size, 3] uint8`. `texts` are distinct. `caption_texts` and
    `caption_images` give, for whole images, each caption's row of `texts` and of `images`; `sets`
    the boxes of every annotation file. `data` are digests of annotation files and images.
    """

    kind: Kind
    images: tuple[ImageFile, ...]
    texts: tuple[str, ...]
    data: Mapping[str, str]
    sets: Mapping[str, BoxSet] = dataclasses.field(default_factory=dict)
    caption_texts: Int64[np.ndarray, " m"] = dataclasses.field(
        default_factory=lambda: np.empty(0, np.int64)
    )
    caption_images: Int64[np.ndarray, " m"] = dataclasses.field(
        default_factory=lambda: np.empty(0, np.int64)
    )
    splits: tuple[str, ...] = ()


def boxes_source(
    sets: Sequence[FineGrainedSet],
    folder: Path,
    config: ImageConfig,
    fit: Fit,
    box_scale: float,
    pixel_limit: int = DEFAULT_PIXEL_LIMIT,
) -> FeatureSource:
    """The boxes of several sets; a box of the same image and sides counts once, as does a caption.

    Args:
        sets: with different names.
        folder: of images, in which their `file_name` is a path.
        config: of the checkpoint; `size` and `interpolation` matter.
        fit: crop, squash or pad.
        box_scale: factor on a box's sides.
        pixel_limit: of one image, in pixels.

    Raises:
        InputError: two sets have one name, an image is missing or not of the size that its file of
            annotations says, or a box cannot be cut out or fitted.
    """
    names = [one.name for one in sets]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise InputError(f"--annotations: {repeated[0]} is the name of two files")
    files = sorted({box.image.file for one in sets for box in one.boxes})
    inspected = dict(zip(files, inspect_images([folder / f for f in files], pixel_limit),
                         strict=True))  # fmt: skip
    rows: dict[tuple, int] = {}
    texts: dict[str, int] = {}
    indexed = {}
    for one in sets:
        for box in one.boxes:
            found = inspected[box.image.file]
            if (found.width, found.height) != (box.image.width, box.image.height):
                raise InputError(
                    f"{one.name}: {box.image.file} is said to be {box.image.width} x "
                    f"{box.image.height} pixels, and is {found.width} x {found.height}"
                )
            rows.setdefault((box.image.file, box.box), len(rows))
            for text in (box.caption, *box.negatives):
                texts.setdefault(text, len(texts))
        indexed[one.name] = BoxSet(
            annotations=np.array([box.id for box in one.boxes], np.int64),
            images=np.array([rows[box.image.file, box.box] for box in one.boxes], np.int64),
            positives=np.array([texts[box.caption] for box in one.boxes], np.int64),
            negatives=padded_negatives([[texts[t] for t in box.negatives] for box in one.boxes]),
        )
    # Rows are numbered image by image, so that a picture is decoded once for all of its boxes.
    order = sorted(rows, key=lambda key: (key[0], rows[key]))
    renumbered = np.empty(len(rows), np.int64)
    renumbered[[rows[key] for key in order]] = np.arange(len(rows))
    decoded = functools.lru_cache(_DECODED_AT_ONCE)(decode)
    squares = []
    for file, box in order:
        image = inspected[file]
        cut = crop_box(box, box_scale, image.width, image.height)
        squares.append(_square(f"{file} {list(box)}", image, cut, config, fit, decoded))
    return FeatureSource(
        kind="fg_ovd",
        images=tuple(squares),
        texts=tuple(texts),
        data={**{one.name: one.sha256 for one in sets}, "images": _digest(inspected)},
        sets={
            name: dataclasses.replace(one, images=renumbered[one.images])
            for name, one in indexed.items()
        },
    )


def captions_source(
    captions: CaptionSet,
    folder: Path,
    config: ImageConfig,
    fit: Fit,
    pixel_limit: int = DEFAULT_PIXEL_LIMIT,
) -> FeatureSource:
    """Whole images with any number of captions each; arguments as of `boxes_source`.

    Raises:
        InputError: an image is missing or cannot be fitted.
    """
    files = [image.file for image in captions.images]
    inspected = dict(zip(files, inspect_images([folder / f for f in files], pixel_limit),
                         strict=True))  # fmt: skip
    texts: dict[str, int] = {}
    text_rows, image_rows = [], []
    for row, image in enumerate(captions.images):
        for text in image.captions:
            text_rows.append(texts.setdefault(text, len(texts)))
            image_rows.append(row)
    squares = [
        _square(file, image, (0, 0, image.width, image.height), config, fit, decode)
        for file, image in inspected.items()
    ]
    return FeatureSource(
        kind="coco",
        images=tuple(squares),
        texts=tuple(texts),
        data={captions.name: captions.sha256, "images": _digest(inspected)},
        caption_texts=np.array(text_rows, np.int64),
        caption_images=np.array(image_rows, np.int64),
        splits=tuple(image.split for image in captions.images),
    )


def _digest(images: Mapping[str, ImageFile]) -> str:
    rows = [f"{name}\0{image.digest}" for name, image in sorted(images.items())]
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


def _square(
    name: str,
    image: ImageFile,
    cut: tuple[int, int, int, int],
    config: ImageConfig,
    fit: Fit,
    decoded: Callable[[ImageFile], UInt8[np.ndarray, "h w 3"]],
) -> ImageFile:
    """A part of an image as an image of its own, fitted when it is decoded."""
    left, top, right, bottom = cut
    place(bottom - top, right - left, config.size, fit)

    def pixels() -> np.ndarray:
        part = decoded(image)[top:bottom, left:right]
        return fit_square(part, config.size, fit, config.interpolation)

    return ImageFile(name, pixels, config.size, config.size, image.digest)


def make_features(
    source: FeatureSource,
    images: Float32[np.ndarray, "i d"],
    texts: Float32[np.ndarray, "t d"],
    lost: Sequence[int],
    origin: Origin,
) -> Features:
    """Embeddings of a source's images and texts, arranged; without the images `lost`, by row.

    A box that is lost takes its annotations with it, an image its captions.

    Raises:
        InputError: nothing is left.
    """
    kept = np.setdiff1d(np.arange(len(source.images)), lost)
    if len(kept) == 0:
        raise InputError("no image could be decoded")
    renumbered = np.full(len(source.images), -1, np.int64)
    renumbered[kept] = np.arange(len(kept))
    names = tuple(source.images[row].name for row in kept)
    if source.kind == "fg_ovd":
        sets = {name: _without_lost(one, renumbered) for name, one in source.sets.items()}
        return Features(source.kind, images[kept], texts, names, source.texts, origin, sets)
    own = renumbered[source.caption_images]
    rows = source.caption_texts[own >= 0]
    return Features(
        kind=source.kind,
        images=images[kept],
        captions=texts[rows],
        image_names=names,
        texts=tuple(source.texts[row] for row in rows),
        origin=origin,
        caption_images=own[own >= 0],
        splits=tuple(source.splits[row] for row in kept),
    )


def _without_lost(one: BoxSet, renumbered: Int64[np.ndarray, " i"]) -> BoxSet:
    images = renumbered[one.images]
    kept = images >= 0
    return BoxSet(one.annotations[kept], images[kept], one.positives[kept], one.negatives[kept])
