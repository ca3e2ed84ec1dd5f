"""What a reader of results has to be told of the texts."""

import re
import unicodedata
from collections.abc import Callable, Sequence


def lettered(text: str) -> str:
    """The letters of a text, with single spaces."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def lower_lettered(text: str) -> str:
    """The same in lower case."""
    return lettered(text).lower()


def text_notices(
    texts: Sequence[str],
    clean: Callable[[str], str],
    as_it_is: Callable[[str], str] | None,
    tokens: Callable[[Sequence[str]], list[list[int]]],
    marks: re.Pattern[str] | None,
    *,
    said: str,
    meant: str,
) -> list[str]:
    """How many texts have other tokens than before cleaning, or hold a mark; none is no notice.

    Args:
        texts: before cleaning.
        clean: what is done to a text.
        as_it_is: what a text without cleaning is compared as; None compares nothing.
        tokens: of cleaned texts.
        marks: what stands for a token of the tokenizer's own in a cleaned text.
        said: why tokens are others.
        meant: what a mark does.
    """
    pairs, notices = [(text, clean(text)) for text in texts], []
    other = [(text, made) for text, made in pairs if as_it_is and made != as_it_is(text)]
    if other:
        before, after = (tokens(own) for own in zip(*other, strict=True))
        changed = [pair for pair, a, b in zip(other, before, after, strict=True) if a != b]
        if changed:
            text, made = changed[0]
            notices.append(
                f"{len(changed)} of {len(pairs)} texts have other tokens than their letters give, "
                f"as {said}; {text!a:.80} is read as {made!a:.80}."
            )
    if marked := [made for _, made in pairs if marks and marks.search(made)]:
        notices.append(
            f"{len(marked)} of {len(pairs)} texts hold a mark of a text's start or end: {meant}; "
            f"one is {marked[0]!a:.80}."
        )
    return notices
