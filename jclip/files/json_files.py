"""JSON files, read with an error that names them and replaced whole."""

import json
from pathlib import Path
from typing import Any

from jclip.errors import InputError
from jclip.files.atomic import replacing


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file, in UTF-8, UTF-16 or UTF-32, with or without a byte order mark.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: the file cannot be read, is not JSON, or not an object.
    """
    try:
        # Given bytes, the parser looks for the marks that editors on Windows leave.
        values = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise InputError(f"{path} holds a {type(values).__name__}, not a JSON object")
    return values


def write_json(path: Path, values: Any) -> None:
    """Write a JSON value, indented; the file is replaced when all of it is written."""
    with replacing(path) as partial:
        written = json.dumps(values, indent=2, ensure_ascii=False) + "\n"
        # Half a character, as names of files may hold: what replaces it is JSON for the same.
        partial.write_text(written, encoding="utf-8", errors="backslashreplace")


def as_json(values: Any) -> Any:
    """The value as a JSON file gives it back: tuples as lists, keys as strings."""
    return json.loads(json.dumps(values))
