"""What OpenAI's CLIP and open_clip do to a text before its byte pairs."""

import html


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


def is_unicode(text: str) -> bool:
    """Whether no half of a surrogate pair stands alone in a text, which no UTF-8 can hold."""
    return not any("\ud800" <= character <= "\udfff" for character in text)
