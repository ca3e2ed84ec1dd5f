"""Format words, and prompts made of them (paper 1, probe A).

An identifier says that the picture is a 360-degree panorama, a generic word says nothing about its
format. The paper's own lists are not known beyond examples; these are defaults for arguments.
"""

import re
from collections.abc import Iterable, Sequence

from jclip.text.cleaning import repaired

IDENTIFIERS = ("a 360 degree view of", "a 360 photo of", "a 360 panorama of", "a panorama of")
GENERICS = ("a photo of", "an image of", "a picture of", "a view of")

# Blanks, hyphens of any kind, quotation marks and other punctuation.
_GAP = r"[\W_]"
_OPENING = rf"(?:this{_GAP}+is{_GAP}+)?(?:an?{_GAP}+)?"


def make_prompts(
    contents: Iterable[str], words: Sequence[str], prefix: str = "This is "
) -> list[list[str]]:
    """Every content after every format word: `[N][K]` prompts such as "This is a photo of X"."""
    return [[f"{prefix}{word} {content}" for word in words] for content in contents]


def content_of(prompt: str, words: Iterable[str]) -> str | None:
    """What a prompt says after its format word; None where it begins with none of `words`.

    Upper and lower case, a leading "This is", the article of the format word and how it is spelt
    (`360-degree`, `360\u00b0`, quotation marks around it) do not matter.
    """
    prompt, words = repaired(prompt), [words] if isinstance(words, str) else words
    if quoted := re.fullmatch(r"([\"'`])((?:(?!\1).)*)\1[.,;!?]?", prompt):
        prompt = quoted[2]
    for word in sorted(words, key=len, reverse=True):
        bare = re.sub(r"^an?\s+", "", word.strip(), flags=re.IGNORECASE)
        pattern = rf"{_GAP}*{_OPENING}{_spellings(bare)}(?:[^\w\s]*\s+)(?=\S)"
        if found := re.match(pattern, prompt, re.IGNORECASE):
            return prompt[found.end() :].strip()
    return None


def _spellings(words: str) -> str:
    """A pattern of all ways to write some words."""
    pattern = ""
    for word in re.findall(r"[^\W_]+", words):
        if word.lower() in ("degree", "degrees"):
            pattern += rf"(?:{_GAP}*(?:degrees?|deg)|\s*[\u00b0\u00ba\u02da])"
        else:
            pattern += rf"{_GAP}+{word}" if pattern else word
    return pattern or re.escape(words)
