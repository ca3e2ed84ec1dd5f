"""Text files as editors and spreadsheets save them."""

import codecs
import re
from pathlib import Path

from jclip.errors import InputError

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_text(path: Path) -> str:
    """The text of a file: UTF-8, or UTF-16 that begins with its mark.

    Raises:
        InputError: it cannot be read, or is in another encoding; its line is named.
    """
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from None
    wide = content.startswith(_UTF_16)
    try:
        return content.decode("utf-16") if wide else content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if wide:
            raise InputError(f"{path}: begins as UTF-16 text and is none ({error})") from None
        line = len(lines_of(content[: error.start].decode("utf-8", "replace")))
        raise InputError(
            f"{path}, line {line}: cannot be read as UTF-8 text (byte {content[error.start]:#x}); "
            "if it is in an older encoding such as Windows-1252, save it as UTF-8"
        ) from None


def lines_of(text: str) -> list[str]:
    """The lines of a text, ended as Unix, Windows or old Macs do."""
    return re.split(r"\r\n|\n|\r", text)
