"""The annotation files of FG-OVD: boxes with one right caption and hard negatives.

Format: LVIS-style JSON with `images`, `annotations` and `categories`, where a category is a caption
(FG-OVD; paper 2, section on the benchmark). The demo world writes it too. A file `.jsonl` is read
as FG-CLIP has the same boxes; see `jclip.data.fg_clip`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jclip.data.annotation_fields import (
    annotated_image,
    box_inside,
    entries,
    read_annotations,
    take,
)
from jclip.data.boxes import Box, BoxTable, box_table
from jclip.data.fg_clip import read_fg_clip
from jclip.data.known_formats import FG_OVD
from jclip.errors import InputError
from jclip.files.digests import sha256


def read_fg_ovd(*paths: Path) -> BoxTable:
    """The boxes of annotation files as one table, a set per file by its stem; all is checked.

    The right caption may be among the wrong ones of a box: see `BoxTable.without_repeated`.

    Raises:
        InputError: naming the file, the entry by its id and the field: not JSON, a field missing or
            of another type, an id given twice, a reference to nothing, a box of no size or outside
            of its image, a box without negatives other than the right caption, a negative
            that comes twice, a caption that is blank; or two files have one name.
    """
    names = [path.stem for path in paths]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise InputError(f"{repeated[0]} is the name of two files of annotations")
    boxes = [box for path in paths for box in _read(path)]
    return box_table(boxes, {path.stem: sha256(path) for path in paths})


def _read(path: Path) -> list[Box]:
    return read_fg_clip(path) if path.suffix.lower() == ".jsonl" else _boxes(path)


def _boxes(path: Path) -> list[Box]:
    values = read_annotations(path, FG_OVD)
    images = {
        id_: annotated_image(entry, "file_name", where)
        for id_, entry, where in entries(path, values, "images", "image")
    }
    captions = {
        id_: take(entry, "name", str, where)
        for id_, entry, where in entries(path, values, "categories", "category")
    }
    boxes = []
    for id_, entry, where in entries(path, values, "annotations", "annotation"):
        image = _referred(images, take(entry, "image_id", int, where), "image_id", where)
        box, own = box_inside(entry, image, where), _captions(entry, captions, where)
        boxes.append(Box(path.stem, id_, image, box, own))
    return boxes


def _captions(entry: Mapping[str, Any], known: Mapping[int, str], where: str) -> tuple[str, ...]:
    """The right caption and the wrong ones."""
    caption = _referred(known, take(entry, "category_id", int, where), "category_id", where)
    ids = take(entry, "neg_category_ids", list, where)
    negatives = [_referred(known, each, "neg_category_ids", where) for each in ids]
    if not negatives:
        raise InputError(f"{where}: field 'neg_category_ids' is empty")
    if {*negatives} == {caption}:
        raise InputError(f"{where}: the only one of 'neg_category_ids' is the right caption")
    if len(set(negatives)) < len(negatives):
        raise InputError(f"{where}: field 'neg_category_ids' holds the same caption twice")
    return caption, *negatives


def _referred[Entry](known: Mapping[int, Entry], id_: Any, field: str, where: str) -> Entry:
    if not isinstance(id_, int) or id_ not in known:
        raise InputError(f"{where}: field {field!r} refers to {id_!r:.60}, which is not there")
    return known[id_]
