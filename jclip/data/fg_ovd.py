"""The annotation files of FG-OVD: boxes with one right caption and hard negatives.

Format: LVIS-style JSON with `images`, `annotations` and `categories`, where a category is a caption
(FG-OVD; paper 2, section on the benchmark). The demo world writes it too.
"""

import dataclasses
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jclip.data.annotation_fields import entries, keep_once, take
from jclip.errors import InputError
from jclip.files.digests import sha256
from jclip.files.json_files import read_json

# COCO's boxes are rounded to hundredths, and some end that much outside of the image.
_ROUNDING = 0.05
# JSON's integers have no limit.
_LARGEST = sys.float_info.max


@dataclasses.dataclass(frozen=True)
class AnnotatedImage:
    """An image by its file, relative to the folder of images, with its size in pixels."""

    file: str
    width: int
    height: int


@dataclasses.dataclass(frozen=True)
class AnnotatedBox:
    """A box `[x, y, w, h]` in pixels, its right caption, and wrong ones."""

    id: int
    image: AnnotatedImage
    box: tuple[float, float, float, float]
    caption: str
    negatives: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class FineGrainedSet:
    """One file; `name` is its stem, `sha256` its digest."""

    name: str
    boxes: tuple[AnnotatedBox, ...]
    sha256: str

    @property
    def boxes_with(self) -> dict[int, int]:
        """Number of boxes with at least n negatives, for n = 1 up to the most there are."""
        counts = [len(box.negatives) for box in self.boxes]
        return {n: sum(count >= n for count in counts) for n in range(1, max(counts) + 1)}


def read_fg_ovd(path: Path) -> FineGrainedSet:
    """Read one annotation file; all of it is checked.

    Raises:
        InputError: naming the file, the entry by its id and the field: not JSON, a field missing or
            of another type, an id given twice, a reference to nothing, a box of no size or outside
            of its image, a box without negatives, a negative that is the right caption or comes
            twice, a caption that is blank.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such annotation file")
    values = read_json(path)
    images: dict[int, AnnotatedImage] = {}
    for number, entry in enumerate(entries(path, "images", values)):
        id_ = take(entry, "id", int, f"{path}, image {number} from 0")
        where = f"{path}, image {id_}"
        keep_once(images, id_, _image(entry, where), where)
    captions: dict[int, str] = {}
    for number, entry in enumerate(entries(path, "categories", values)):
        id_ = take(entry, "id", int, f"{path}, category {number} from 0")
        where = f"{path}, category {id_}"
        keep_once(captions, id_, take(entry, "name", str, where), where)
    boxes: dict[int, AnnotatedBox] = {}
    for number, entry in enumerate(entries(path, "annotations", values)):
        id_ = take(entry, "id", int, f"{path}, annotation {number} from 0")
        where = f"{path}, annotation {id_}"
        keep_once(boxes, id_, _box(id_, entry, images, captions, where), where)
    return FineGrainedSet(path.stem, tuple(boxes.values()), sha256(path))


def _image(entry: Mapping[str, Any], where: str) -> AnnotatedImage:
    width, height = (take(entry, side, int, where) for side in ("width", "height"))
    if min(width, height) < 1:
        raise InputError(f"{where}: width {width} and height {height} have to be positive")
    if max(width, height) > _LARGEST:
        raise InputError(f"{where}: width or height is too large for an image")
    return AnnotatedImage(take(entry, "file_name", str, where), width, height)


def _box(
    id_: int,
    entry: Mapping[str, Any],
    images: Mapping[int, AnnotatedImage],
    captions: Mapping[int, str],
    where: str,
) -> AnnotatedBox:
    image = _referred(images, take(entry, "image_id", int, where), "image_id", where)
    caption = _referred(captions, take(entry, "category_id", int, where), "category_id", where)
    ids = take(entry, "neg_category_ids", list, where)
    negatives = tuple(_referred(captions, each, "neg_category_ids", where) for each in ids)
    if not negatives:
        raise InputError(f"{where}: field 'neg_category_ids' is empty")
    if caption in negatives:
        raise InputError(f"{where}: a negative in 'neg_category_ids' is the right caption")
    if len(set(negatives)) < len(negatives):
        raise InputError(f"{where}: field 'neg_category_ids' holds the same caption twice")
    return AnnotatedBox(id_, image, _bbox(entry, image, where), caption, negatives)


def _referred[Entry](known: Mapping[int, Entry], id_: Any, field: str, where: str) -> Entry:
    if not isinstance(id_, int) or id_ not in known:
        raise InputError(f"{where}: field {field!r} refers to {id_!r:.60}, which is not there")
    return known[id_]


def _bbox(
    entry: Mapping[str, Any], image: AnnotatedImage, where: str
) -> tuple[float, float, float, float]:
    box = take(entry, "bbox", list, where)
    if len(box) != 4 or not all(type(v) in (int, float) and abs(v) <= _LARGEST for v in box):
        raise InputError(f"{where}: field 'bbox' is {box!r:.80}, not [x, y, w, h]")
    x, y, w, h = map(float, box)
    if w <= 0 or h <= 0:
        raise InputError(f"{where}: field 'bbox' has width {w:g} and height {h:g}")
    beyond = max(-x, -y, x + w - image.width, y + h - image.height)
    if beyond > _ROUNDING:
        raise InputError(
            f"{where}: field 'bbox' {box} reaches {beyond:g} pixels out of its image, "
            f"{image.width} x {image.height}"
        )
    return x, y, w, h
