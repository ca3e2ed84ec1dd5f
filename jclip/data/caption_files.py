"""Rows of caption files: a line, the name of an image, its caption."""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from jclip.data.known_formats import require_format
from jclip.errors import InputError
from jclip.files.text_files import lines_of, read_text

FILE_NAMES = ("file", "filename", "file_name", "filepath", "file_path", "image", "image_path",
              "image_file", "image_name", "path")  # fmt: skip
CAPTION_NAMES = ("caption", "prompt", "text", "caption_text", "title")
"""What tools call the two columns; the first is taken where it is there."""
_DELIMITERS = (",", ";", "\t", "|")
_SEPARATORS = " ,;\t|"


class Row(NamedTuple):
    """A caption as it stands in its file."""

    line: int
    file: Any
    caption: Any


def caption_rows(path: Path) -> Iterator[Row]:
    """The rows of a `.csv`, `.tsv`, `.jsonl` or `.json` file.

    Raises:
        InputError: naming file and line: it cannot be read, or has no columns of images and
            captions.
    """
    text = read_text(path)
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv"):
        return _csv_rows(path, text)
    return _jsonl_rows(path, text) if suffix == ".jsonl" else _json_rows(path, text)


def _columns(found: Iterable[Any], where: str, what: str = "no column {}") -> tuple[str, str]:
    """What the columns of images and captions are called in a file."""
    by_name = {name.strip().lower(): name for name in found if isinstance(name, str)}
    return (
        _column(by_name, FILE_NAMES, where, what),
        _column(by_name, CAPTION_NAMES, where, what),
    )


def _column(by_name: dict[str, str], known: Sequence[str], where: str, what: str) -> str:
    fitting = [name for name in known if name in by_name]
    if not fitting:
        there = ", ".join(repr(name) for name in by_name if name) or "none"
        raise InputError(f"{where}: {what.format(repr(known[0]))}; there are {there:.200}")
    if len(fitting) > 1 and fitting[0] != known[0]:
        raise InputError(f"{where}: {' or '.join(fitting)}? Call the one that is meant {known[0]}")
    return by_name[fitting[0]]


def _csv_rows(path: Path, text: str) -> Iterator[Row]:
    # Excel's own mark of a separator, and empty rows, may stand before the header.
    lines = lines_of(text)
    skipped = next((n for n, line in enumerate(lines) if line.strip(_SEPARATORS)), 0)
    mark = re.fullmatch(r'"?sep=(.)"?', "".join(lines[skipped : skipped + 1]), re.IGNORECASE)
    skipped += mark is not None
    header = "".join(lines[skipped : skipped + 1])
    delimiter = mark[1] if mark else _delimiter(header)
    source = io.StringIO("\n".join(lines[skipped:]), newline="")
    reader = csv.reader(source, delimiter=delimiter, strict=True)
    try:
        names = next(reader, [])
        file, caption = map(names.index, _columns(names, f"{path}, line {skipped + 1}"))
        for row in reader:
            if not any(field.strip(_SEPARATORS) for field in row):
                continue
            line = skipped + reader.line_num
            if any(field.strip() for field in row[len(names) :]):
                raise InputError(
                    f"{path}, line {line}: more fields than columns;"
                    " put captions that hold commas in double quotes"
                )
            row += [""] * (len(names) - len(row))
            yield Row(line, row[file], row[caption])
    except csv.Error as error:
        raise InputError(f"{path}, line {skipped + reader.line_num}: {error}") from None


def _delimiter(header: str) -> str:
    """The separator under which a header names images and captions; the comma if none does."""
    for delimiter in _DELIMITERS:
        try:
            _columns(chain(*csv.reader([header], delimiter=delimiter)), "")
        except (InputError, csv.Error):
            continue
        return delimiter
    return ","


def _jsonl_rows(path: Path, text: str) -> Iterator[Row]:
    for number, line in enumerate(lines_of(text), start=1):
        if line.strip():
            where = f"{path}, line {number}"
            yield _json_row(_parsed(line, where), where, number)


def _json_rows(path: Path, text: str) -> Iterator[Row]:
    """A list of objects as the lines of `.jsonl`, or one object of captions by file."""
    values = _parsed(text, str(path))
    require_format(path, values, "captions by file")
    if isinstance(values, dict):
        rows = enumerate(values.items(), start=1)
        return (Row(n, file, caption) for n, (file, caption) in rows)
    if not isinstance(values, list):
        raise InputError(f"{path}: neither a list of objects nor an object of captions by file")
    rows = enumerate(values, start=1)
    return (_json_row(value, f"{path}, entry {n}", n) for n, value in rows)


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not JSON ({error})") from None


def _json_row(row: Any, where: str, number: int) -> Row:
    if not isinstance(row, dict):
        raise InputError(f"{where}: not an object with 'file' and 'caption'")
    file, caption = _columns(row, where, "field {} is missing")
    for field in (file, caption):
        if not isinstance(row[field], str):
            raise InputError(f"{where}: field {field!r} is not a text")
    return Row(number, row[file], row[caption])
