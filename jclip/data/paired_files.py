"""The files of Winoground and ColorSwap: two pictures and two captions, each right for one.

Layouts: the hub's facebook/winoground (Parquet with the pictures inside, or `examples.jsonl`) and
Top34051/colorswap.
"""

import functools
from pathlib import Path
from typing import Any

from jclip.data.annotation_fields import take
from jclip.data.foil_files import label, read_lines, read_list, with_ids
from jclip.data.foils import EACH_ITS_OWN, FoilFile, FoilRecord, Picture
from jclip.errors import InputError
from jclip.files.tables import read_table


def read_winoground(path: Path) -> FoilFile:
    """Winoground: `image_0`, `image_1`, `caption_0`, `caption_1`, with a `tag`.

    Args:
        path: JSON lines, whose images are named without their suffix, or Parquet that holds them.

    Raises:
        InputError: naming the file, the line and the field.
    """
    if path.suffix.lower() == ".parquet":
        return _winoground_parquet(path)
    records, known = [], set()
    for number, entry in read_lines(path):
        where = f"{path}, line {number}"
        id_ = take(entry, "id", int, where)
        if id_ in known:
            raise InputError(f"{where}: field 'id' is {id_} a second time")
        known.add(id_)
        records.append(_record(entry, id_, ("0", "1"), label(entry.get("tag", "")), where))
    return FoilFile("winoground", "winoground", tuple(records))


def read_colorswap(path: Path) -> FoilFile:
    """ColorSwap: a list; `image_1`, `image_2`, `caption_1`, `caption_2`.

    Raises:
        InputError: naming the file, the record by its id and the field.
    """
    records = tuple(
        _record(entry, id_, ("1", "2"), label(entry.get("image_source", "")), where)
        for entry, id_, where in with_ids(path, read_list(path))
    )
    return FoilFile("colorswap", f"colorswap/{path.stem}", records)


def _record(
    entry: dict[str, Any], id_: int, ends: tuple[str, str], group: str, where: str
) -> FoilRecord:
    images, captions = ([f"{name}_{end}" for end in ends] for name in ("image", "caption"))
    texts = tuple(take(entry, name, str, where) for name in captions)
    files = tuple(take(entry, name, str, where) for name in images)
    if files[0] == files[1]:
        raise InputError(f"{where}: fields {images[0]!r} and {images[1]!r} are both {files[0]!r}")
    return FoilRecord(str(id_), tuple(map(Picture, files)), texts, EACH_ITS_OWN, group)


def _winoground_parquet(path: Path) -> FoilFile:
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    table = read_table(path)
    names = ("id", "image_0", "image_1", "caption_0", "caption_1")
    if absent := [name for name in names if name not in table.column_names]:
        raise InputError(f"{path}: no column {absent[0]!r}")
    plain = table.drop_columns(["image_0", "image_1"]).to_pylist()
    stored, records = {}, []
    for row, entry in enumerate(plain):
        where = f"{path}, row {row} from 0"
        files = {name: f"{path.name}/{row}/{name}" for name in names[1:3]}
        for name, file in files.items():
            picture = table[name][row].as_py()
            if not isinstance(picture, dict) or not isinstance(picture.get("bytes"), bytes):
                raise InputError(f"{where}: field {name!r} holds no picture")
            stored[file] = functools.partial(_bytes, table, name, row)
        id_, tag = take(entry, "id", int, where), label(entry.get("tag", ""))
        records.append(_record({**entry, **files}, id_, ("0", "1"), tag, where))
    return FoilFile("winoground", "winoground", tuple(records), stored)


def _bytes(table, name: str, row: int) -> bytes:
    return table[name][row].as_py()["bytes"]
