"""Format words, and prompts made of them (paper 1, probe A).

An identifier says that the picture is a 360-degree panorama, a generic word says nothing about its
format. The paper's own lists are not known beyond examples; these are defaults for arguments.
"""

import re
from collections.abc import Iterable, Sequence

IDENTIFIERS = ("a 360 degree view of", "a 360 photo of", "a 360 panorama of", "a panorama of")
GENERICS = ("a photo of", "an image of", "a picture of", "a view of")

_OPENING = r"(?:this is\s+)?(?:an?\s+)?"


def make_prompts(
    contents: Iterable[str], words: Sequence[str], prefix: str = "This is "
) -> list[list[str]]:
    """Every content after every format word: `[N][K]` prompts such as "This is a photo of X"."""
    return [[f"{prefix}{word} {content}" for word in words] for content in contents]


def content_of(prompt: str, words: Iterable[str]) -> str | None:
    """What a prompt says after its format word; None where it begins with none of `words`.

    Upper and lower case, a leading "This is" and the article of the format word do not matter.
    """
    for word in sorted(words, key=len, reverse=True):
        bare = re.sub(r"^an?\s+", "", word.strip(), flags=re.IGNORECASE)
        pattern = r"\s+".join(map(re.escape, bare.split()))
        found = re.match(rf"\s*{_OPENING}{pattern}\s+(?=\S)", prompt, re.IGNORECASE)
        if found:
            return prompt[found.end() :].strip()
    return None
