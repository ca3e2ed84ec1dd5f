"""Reading annotation files field by field: what is wrong is named by file, entry and field."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jclip.data.boxes import AnnotatedImage
from jclip.data.file_names import require_unicode
from jclip.data.known_formats import require_format
from jclip.errors import InputError
from jclip.files.json_files import read_json
from jclip.images.boxes import BOX_ROUNDING
from jclip.text.cleaning import is_unicode, repaired

# JSON's integers have no limit.
_LARGEST_ID = 2**63 - 1
_LARGEST = sys.float_info.max


def read_annotations(path: Path, wanted: str) -> dict[str, Any]:
    """The JSON object in an annotation file.

    Args:
        path: the file.
        wanted: its format, of `jclip.data.known_formats`.

    Raises:
        InputError: the file is missing, or holds no such object, or one of another known format.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such annotation file")
    require_unicode(path)
    values = read_json(path)
    require_format(path, values, wanted)
    return values


def entries(
    path: Path, values: Mapping[str, Any], name: str, kind: str, id_field: str = "id"
) -> Iterator[tuple[int, dict[str, Any], str]]:
    """The objects of a list: the id of each, itself, and what errors call it.

    Args:
        path: of the file, for errors.
        values: what it holds.
        name: of the list.
        kind: what errors call one of its objects.
        id_field: which field is the id.

    Raises:
        InputError: there is no such list, or an empty one; an id is missing, too large, or given
            twice.
    """
    found = values.get(name)
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise InputError(f"{path}: field {name!r} is missing or not a list of objects")
    if not found:
        raise InputError(f"{path}: field {name!r} is empty")
    known = set()
    for number, entry in enumerate(found):
        id_ = take(entry, id_field, int, where := f"{path}, {kind} {number} from 0")
        if abs(id_) > _LARGEST_ID:
            raise InputError(f"{where}: field {id_field!r} is too large")
        where = f"{path}, {kind} {id_}"
        if id_ in known:
            raise InputError(f"{where}: second entry with this id")
        known.add(id_)
        yield id_, entry, where


def take[Value](entry: Mapping[str, Any], name: str, kind: type[Value], where: str) -> Value:
    """One field of an entry.

    Raises:
        InputError: it is missing, of another type, or a text that is blank or no Unicode.
    """
    if name not in entry:
        raise InputError(f"{where}: field {name!r} is missing")
    value = entry[name]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise InputError(f"{where}: field {name!r} is {value!r:.60}, not of type {kind.__name__}")
    if isinstance(value, str) and not is_unicode(value):
        raise InputError(f"{where}: field {name!r} has half a surrogate pair, which is no Unicode")
    if isinstance(value, str) and not repaired(value):
        raise InputError(f"{where}: field {name!r} is blank")
    return value


def annotated_image(entry: Mapping[str, Any], name: str, where: str) -> AnnotatedImage:
    """An image by its file, in the field `name`, and its `width` and `height`.

    Raises:
        InputError: one of them is missing or impossible.
    """
    width, height = (take(entry, side, int, where) for side in ("width", "height"))
    if min(width, height) < 1:
        raise InputError(f"{where}: width {width} and height {height} have to be positive")
    if max(width, height) > _LARGEST:
        raise InputError(f"{where}: width or height is too large for an image")
    return AnnotatedImage(take(entry, name, str, where), width, height)


def box_inside(
    entry: Mapping[str, Any], image: AnnotatedImage, where: str
) -> tuple[float, float, float, float]:
    """The field `bbox` of an entry: `[x, y, w, h]` in pixels, inside its image.

    Raises:
        InputError: it is missing, not four numbers, has no size, or reaches out of the image.
    """
    box = take(entry, "bbox", list, where)
    if len(box) != 4 or not all(type(v) in (int, float) and abs(v) <= _LARGEST for v in box):
        raise InputError(f"{where}: field 'bbox' is {box!r:.80}, not [x, y, w, h]")
    x, y, w, h = map(float, box)
    if w <= 0 or h <= 0:
        raise InputError(f"{where}: field 'bbox' has width {w:g} and height {h:g}")
    beyond = max(-x, -y, x + w - image.width, y + h - image.height)
    if beyond > BOX_ROUNDING:
        raise InputError(
            f"{where}: field 'bbox' {box} reaches {beyond:g} pixels out of its image, "
            f"{image.width} x {image.height}"
        )
    return x, y, w, h
