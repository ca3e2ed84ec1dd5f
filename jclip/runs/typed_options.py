"""What holds for every option of a command: local paths, Unicode text, seeds from 0 on."""

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jclip.errors import InputError
from jclip.files.local import require_local

_NO_UNICODE = re.compile("[\ud800-\udfff]")


def each_option(options: Any) -> Iterator[tuple[str, Any]]:
    """The flag and the value of every option, those of groups of options among them."""
    for field in dataclasses.fields(options) if dataclasses.is_dataclass(options) else ():
        value = getattr(options, field.name)
        if dataclasses.is_dataclass(value):
            yield from each_option(value)
        else:
            yield _flag(field.name), value


def settled[Options](options: Options) -> Options:
    """The options with `~` in paths expanded, once every one of them is checked.

    Raises:
        InputError: a path is the address of a bucket or the like, or begins with a home that nobody
            has; or a text holds bytes that are no UTF-8 and is no file's name; or a seed is
            negative, which generators of random numbers refuse late and without its name.
    """
    changes = {}
    for field in dataclasses.fields(options) if dataclasses.is_dataclass(options) else ():
        value = getattr(options, field.name)
        if isinstance(value, Path):
            changes[field.name] = _local(_flag(field.name), value)
        elif dataclasses.is_dataclass(value):
            changes[field.name] = settled(value)
        else:
            for one in value if isinstance(value, tuple) else (value,):
                if isinstance(one, str):
                    _require_unicode(_flag(field.name), one)
                elif field.name in ("seed", "seeds") and one < 0:
                    raise InputError(f"{one}: seeds are not negative", argument=field.name)
    changes = {name: new for name, new in changes.items() if new is not getattr(options, name)}
    return dataclasses.replace(options, **changes) if changes else options  # type: ignore[type-var]


def _flag(name: str) -> str:
    return f"--{name.strip('_').replace('_', '-')}"


def _local(flag: str, path: Path) -> Path:
    try:
        require_local(path)
    except InputError as error:
        raise InputError(f"{flag}: {error}") from None
    if not path.parts or not path.parts[0].startswith("~") or Path(path.parts[0]).exists():
        return path
    try:
        return path.expanduser()
    except RuntimeError:
        raise InputError(f"{flag}: {path}: no user has the home {path.parts[0]}") from None


def _require_unicode(flag: str, text: str) -> None:
    # What Python makes of bytes that are no UTF-8; names of files may hold any.
    if _NO_UNICODE.search(text) and not Path(text.partition("=")[2] or text).exists():
        raise InputError(f"{flag}: {text.encode('utf-8', 'backslashreplace').decode()}: not UTF-8")
