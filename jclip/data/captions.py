"""Captions of images, by file name (CSV, JSONL) or by natural order (`prompts.txt`)."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from jclip.data.images import natural_order
from jclip.errors import InputError

CAPTION_FILES = ("captions.csv", "captions.jsonl", "prompts.txt")
"""Names looked for beside the images, in this order, when no caption file is given."""


class Captions(NamedTuple):
    """One caption per image, and the line of the file that each stands in, from 1."""

    texts: tuple[str, ...]
    lines: tuple[int, ...]


def find_captions(folder: Path) -> Path:
    """The caption file beside the images of a folder.

    Raises:
        InputError: there is none.
    """
    for name in CAPTION_FILES:
        if (folder / name).is_file():
            return folder / name
    raise InputError(
        f"{folder}: no captions beside the images ({', '.join(CAPTION_FILES)})",
        argument="captions",
    )


def read_captions(path: Path, image_names: Sequence[str]) -> Captions:
    """One caption per image, in the order of `image_names`.

    `.csv` and `.jsonl` have the columns `file` and `caption`. Of a `.txt` file the N-th line
    belongs to the N-th image in natural order of the names, as in paper 1, but counted and in an
    order that people expect (fault 7 of its code).

    Raises:
        InputError: naming the file and the line: unreadable, a column missing, a caption empty, two
            captions for an image, a caption without image, an image without caption, or another
            number of lines than images.
    """
    readers = {".csv": _read_csv, ".jsonl": _read_jsonl}
    if path.suffix == ".txt":
        return _by_order(path, image_names)
    if path.suffix not in readers:
        raise InputError(f"{path}: captions are .csv, .jsonl or .txt files")
    captions: dict[str, tuple[str, int]] = {}
    known = set(image_names)
    for line, name, caption in readers[path.suffix](path):
        where = f"{path}, line {line}"
        if name not in known:
            raise InputError(f"{where}: caption for {name!r}, which is not among the images")
        if name in captions:
            raise InputError(f"{where}: second caption for {name!r}; one per image")
        captions[name] = _checked(where, caption), line
    missing = [name for name in image_names if name not in captions]
    if missing:
        raise InputError(f"{path}: no caption for {missing[0]!r} ({len(missing)} images without)")
    return _arranged(captions, image_names)


def _arranged(captions: dict[str, tuple[str, int]], image_names: Sequence[str]) -> Captions:
    texts, lines = zip(*(captions[name] for name in image_names), strict=True)
    return Captions(texts, lines)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as UTF-8 text ({error})") from None


def _checked(where: str, caption: object) -> str:
    if not isinstance(caption, str) or not caption.strip():
        raise InputError(f"{where}: empty caption")
    return caption.strip()


def _read_csv(path: Path) -> Iterator[tuple[int, str, object]]:
    reader = csv.DictReader(io.StringIO(_text(path), newline=""), strict=True)
    try:
        absent = {"file", "caption"} - set(reader.fieldnames or ())
        if absent:
            raise InputError(f"{path}, line 1: no column {sorted(absent)[0]!r}")
        for row in reader:
            if None in row:
                raise InputError(
                    f"{path}, line {reader.line_num}: more fields than columns;"
                    " put captions that hold commas in double quotes"
                )
            yield reader.line_num, row["file"], row["caption"]
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: {error}") from None


def _read_jsonl(path: Path) -> Iterator[tuple[int, str, object]]:
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{where}: not JSON ({error})") from None
        if not isinstance(row, dict):
            raise InputError(f"{where}: not an object with 'file' and 'caption'")
        for field in ("file", "caption"):
            if not isinstance(row.get(field), str):
                raise InputError(f"{where}: field {field!r} is missing or not a text")
        yield number, row["file"], row["caption"]


def _by_order(path: Path, image_names: Sequence[str]) -> Captions:
    lines = _text(path).rstrip("\r\n").split("\n")
    captions = [_checked(f"{path}, line {n}", line) for n, line in enumerate(lines, start=1)]
    if len(captions) != len(image_names):
        raise InputError(f"{path}: {len(captions)} lines for {len(image_names)} images")
    names = sorted(image_names, key=natural_order)
    numbered = zip(captions, range(1, len(lines) + 1), strict=True)
    return _arranged(dict(zip(names, numbered, strict=True)), image_names)
