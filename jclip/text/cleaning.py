"""What is done to a text before it is cut into tokens: as in training, or as a library does it."""

import html
import string
import unicodedata
from collections.abc import Callable, Iterable
from typing import Literal

Cleaning = Literal[
    "none", "lower", "lower_letters", "canonical", "no_punctuation", "white_space", "canonical_html"
]
"""`none` leaves a text as it is. `lower` is Python's lower case, `lower_letters` the same letter by
letter (no final sigma). `canonical` is how SigLIP was evaluated: underscores to spaces, no
punctuation, lower case, single spaces; `no_punctuation` the same, with underscores dropped like
other punctuation. open_clip, in front of its tokenizers, resolves ligatures, wide characters,
curled quotes and HTML entities and makes white space single (`white_space`), or makes what it then
has `canonical` (`canonical_html`). What ftfy does for it beyond that, guessing how wrongly decoded
characters were meant, is not repeated."""

TextChoice = Literal["corrected", "reference"]
"""Whose cleaning: that of the training, or that of the library which a checkpoint's files are for.
"""

_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def _single_spaces(text: str) -> str:
    return " ".join(text.split())


def _no_punctuation(text: str) -> str:
    return _single_spaces(text.translate(_NO_PUNCTUATION).lower())


def _canonical(text: str) -> str:
    return _no_punctuation(text.replace("_", " "))


def _compatible(characters: Iterable[str]) -> dict[int, str]:
    return {ord(one): unicodedata.normalize("NFKC", one) for one in characters}


# The characters that ftfy replaces whatever stands around them.
_REPAIRS: dict[int, str] = {
    **_compatible("ĲĳŉǱǲǳǄǅǆǇǈǉǊǋǌﬀﬁﬂﬃﬄﬆ"),
    0xFB05: "\u017ft",
    **_compatible(map(chr, range(0xFF01, 0xFFF0))),
    0x3000: " ",
    **dict.fromkeys(map(ord, "\u02bc\u2018\u2019\u201a\u201b"), "'"),
    **dict.fromkeys(map(ord, "\u201c\u201d\u201e\u201f"), '"'),
}


def _white_space(text: str) -> str:
    repaired = unicodedata.normalize("NFC", text.translate(_REPAIRS))
    return _single_spaces(html.unescape(html.unescape(repaired)))


CLEANINGS: dict[Cleaning, Callable[[str], str]] = {
    "none": str,
    "lower": str.lower,
    "lower_letters": lambda text: "".join(map(str.lower, text)),
    "canonical": _canonical,
    "no_punctuation": _no_punctuation,
    "white_space": _white_space,
    "canonical_html": lambda text: _canonical(_white_space(text)),
}
"""The function of each."""
