"""Reading annotation files field by field: what is wrong is named by file, entry and field."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jclip.errors import InputError
from jclip.text.cleaning import is_unicode, repaired


def entries(path: Path, name: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The list of objects under a name in a JSON file.

    Raises:
        InputError: the file holds no such list, or an empty one.
    """
    found = values.get(name)
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise InputError(f"{path}: field {name!r} is missing or not a list of objects")
    if not found:
        raise InputError(f"{path}: field {name!r} is empty")
    return found


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


def keep_once[Key, Value](known: dict[Key, Value], key: Key, value: Value, where: str) -> None:
    """Add an entry under its id.

    Raises:
        InputError: the id is taken.
    """
    if key in known:
        raise InputError(f"{where}: second entry with this id")
    known[key] = value
