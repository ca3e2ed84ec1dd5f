"""What each row of supplied embeddings is: `images`, `texts`, `scores`; CSV, Parquet or JSONL."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jclip.errors import InputError
from jclip.files.tables import read_table
from jclip.files.text_files import lines_of, read_text

_SUFFIXES = (".csv", ".parquet", ".jsonl")


class Index(NamedTuple):
    """Rows of a file, or of several parts of one; what is absent from a row is None."""

    name: str
    rows: list[dict[str, Any]]
    files: tuple[Path, ...]

    def where(self, row: int) -> str:
        """A row in words."""
        return f"{self.name}, row {row} (from 0)"

    def texts_of(self, column: str) -> list[str]:
        """A column whose every row has to hold a text.

        Raises:
            InputError: a row does not, or there is no such column.
        """
        there = dict.fromkeys(name for row in self.rows for name in row)
        if self.rows and column not in there:
            raise InputError(f"{self.name}: no column {column!r}; there are {', '.join(there)}")
        for number, row in enumerate(self.rows):
            if not isinstance(row.get(column), str) or not row[column]:
                raise InputError(f"{self.where(number)}: {column} is no text")
        return [row[column] for row in self.rows]


def find_index(folders: Sequence[Path], stem: str) -> Path | None:
    """The file `STEM.csv`, `.parquet` or `.jsonl` of the first folder that has one.

    Raises:
        InputError: a folder has two of them.
    """
    for folder in folders:
        found = [path for suffix in _SUFFIXES if (path := folder / f"{stem}{suffix}").is_file()]
        if len(found) > 1:
            raise InputError(
                f"{found[0]} and {found[1].name}: one index is meant; remove the other"
            )
        if found:
            return found[0]
    return None


def name_of(paths: Sequence[Path]) -> str:
    """A file, or the first and the last of several parts, in words."""
    return str(paths[0]) if len(paths) == 1 else f"{paths[0]} to {paths[-1].name}"


def read_index(paths: Sequence[Path]) -> Index:
    """The rows of an index, or of its parts in their order.

    Raises:
        InputError: naming the file and its row: it cannot be read.
    """
    return Index(name_of(paths), [row for path in paths for row in _rows(path)], tuple(paths))


def _rows(path: Path) -> Iterable[dict[str, Any]]:
    if path.suffix == ".parquet":
        return read_table(path).to_pylist()
    text = read_text(path)
    return _csv(path, text) if path.suffix == ".csv" else _jsonl(path, text)


def _csv(path: Path, text: str) -> list[dict[str, Any]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        rows = list(reader)
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: {error}") from None
    for number, row in enumerate(rows):
        if None in row or None in row.values():
            few = "more fields than columns" if None in row else "fewer fields than columns"
            raise InputError(f"{path}, row {number} (from 0): {few}")
    return [{name: value or None for name, value in row.items()} for row in rows]


def _jsonl(path: Path, text: str) -> list[dict[str, Any]]:
    rows = []
    for line in filter(str.strip, lines_of(text)):
        where = f"{path}, row {len(rows)} (from 0)"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{where}: not JSON ({error})") from None
        if not isinstance(row, dict):
            raise InputError(f"{where}: not an object")
        rows.append(row)
    return rows
