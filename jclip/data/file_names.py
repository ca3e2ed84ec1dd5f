"""Names of files: in which order, which two mean the same file, and which are nobody's."""

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from jclip.errors import InputError
from jclip.text.cleaning import is_unicode

_SYSTEM_FILES = {"thumbs.db", "desktop.ini", "__macosx"}
# An int has at most 4300 digits.
_DIGITS = 4000


def is_hidden(name: str) -> bool:
    """Whether a file or folder is a system's own: `.DS_Store`, `._0.jpg`, `Thumbs.db`."""
    return name.startswith(".") or name.casefold() in _SYSTEM_FILES


def natural_order(name: str) -> tuple[list[tuple[int, int | str]], str]:
    """Sort key under which `2.jpg` comes before `10.jpg`, and `01.jpg` before `1.jpg`.

    No two names are equal in it, and the Unicode form in which a system keeps a name is ignored.
    """
    parts = re.split(r"(\d+)", unicodedata.normalize("NFC", name))
    key = [(0, int(part[:_DIGITS])) if part.isdecimal() else (1, part) for part in parts if part]
    return key, name


def shown(path: Path | str) -> str:
    """A path that can be printed: bytes that are no UTF-8 are escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def require_unicode(path: Path | str) -> None:
    """Refuse a name that no table of results could hold.

    Raises:
        InputError: the name is not UTF-8.
    """
    if not is_unicode(str(path)):
        raise InputError(f"{shown(path)}: the name is not UTF-8; rename it")


def same_name(name: str) -> str:
    """A name without what systems disagree on: upper and lower case, and the Unicode form."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _parts(name: str) -> tuple[str, ...]:
    """The folders and the file of a path of any system."""
    return tuple(part for part in re.split(r"[/\\]+", same_name(name)) if part not in ("", "."))


class KnownFiles:
    """Files that others may call by another path, in capitals, or in another Unicode form.

    Args:
        names: below a folder.
        folders: where each lies; may be unknown, "".
    """

    def __init__(self, names: Sequence[str], folders: Sequence[str]):
        self._exact: dict[str, list[int]] = defaultdict(list)
        self._by_file: dict[str, list[tuple[int, tuple[str, ...], int]]] = defaultdict(list)
        for row, (name, folder) in enumerate(zip(names, folders, strict=True)):
            self._exact[name].append(row)
            own = _parts(name)
            self._by_file[own[-1]].append((row, (*_parts(folder), *own), len(own)))

    def find(self, name: str) -> list[int]:
        """The rows of the files that a name can mean: none, one, or several if it is ambiguous."""
        if name in self._exact:
            return self._exact[name]
        if not (parts := _parts(name)):
            return []
        candidates = self._by_file.get(parts[-1], [])
        # The end of a file's whole path; else a path from another place, such as `images\\a.png`.
        ends = [row for row, whole, _ in candidates if whole[-len(parts) :] == parts]
        return ends or [row for row, whole, own in candidates if whole[-own:] == parts[-own:]]


class FilesBelow:
    """The files of a folder and of those below it, by paths that any system may have written."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._listed: dict[Path, dict[str, list[str]]] = {}

    def find(self, name: str) -> Path:
        """The file that a path means; `folder / name` where that is there, or nothing fits."""
        path = self._folder / name
        # Unlike Path's, os.path's takes any name: a NUL, a thousand letters.
        if os.path.exists(path):
            return path
        found = self._folder
        for part in re.split(r"[/\\]+", name):
            if not os.path.exists(found / part):
                same = self._names(found).get(same_name(part), [])
                if len(same) != 1:
                    return path
                part = same[0]
            found = found / part
        return found

    def _names(self, folder: Path) -> dict[str, list[str]]:
        """The names in a folder by `same_name`, listed once."""
        if folder not in self._listed:
            own = self._listed[folder] = defaultdict(list)
            try:
                for name in os.listdir(folder):
                    own[same_name(name)].append(name)
            except (OSError, ValueError):
                pass
        return self._listed[folder]
