"""What is done to a text before it is cut into tokens: as in training, or as a library does it."""

import html
import string
from collections.abc import Callable
from typing import Literal

Cleaning = Literal[
    "none",
    "lower",
    "lower_letters",
    "no_punctuation",
    "repaired",
    "canonical_repaired",
]
"""`none` leaves a text as it is. `lower` is Python's lower case, `lower_letters` the same letter by
letter (no final sigma). `no_punctuation` drops punctuation, makes lower case and single spaces.
`repaired` is the function of that name; `canonical_repaired` makes underscores spaces and then does
the same after it, as open_clip does and as SigLIP's own evaluations did, but not its training."""

TextChoice = Literal["corrected", "reference"]
"""Whose cleaning: that of the training, or that of the library a checkpoint's files are for."""


def repaired(text: str) -> str:
    """The text as it was meant: encodings and ligatures mended, HTML entities read, single spaces.

    Upper and lower case are kept. Source: `basic_clean` and `whitespace_clean` in the tokenizers of
    OpenAI's CLIP and of open_clip 3.3.
    """
    if text.isascii() and text.isprintable() and "&" not in text:
        return " ".join(text.split())
    # Imported here: it takes a quarter of a second, and few texts need it.
    import ftfy

    return " ".join(html.unescape(html.unescape(ftfy.fix_text(text))).split())


_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def _no_punctuation(text: str) -> str:
    return " ".join(text.translate(_NO_PUNCTUATION).lower().split())


def _canonical(text: str) -> str:
    return _no_punctuation(text.replace("_", " "))


CLEANINGS: dict[Cleaning, Callable[[str], str]] = {
    "none": str,
    "lower": str.lower,
    "lower_letters": lambda text: "".join(map(str.lower, text)),
    "no_punctuation": _no_punctuation,
    "repaired": repaired,
    "canonical_repaired": lambda text: _canonical(repaired(text)),
}
"""The function of each."""


def changes_case_only(cleaning: Cleaning) -> bool:
    """Whether all letters of a text are still there afterwards."""
    return cleaning in ("none", "lower", "lower_letters")


def is_unicode(text: str) -> bool:
    """Whether no half of a surrogate pair stands alone in a text, which no UTF-8 can hold."""
    return not any("\ud800" <= character <= "\udfff" for character in text)
