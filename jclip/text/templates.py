"""Templates of prompts for zero-shot classification: texts in which `{}` stands for a class."""

import importlib.resources
from collections.abc import Sequence
from pathlib import Path

from jclip.errors import InputError
from jclip.files.text_files import lines_of, read_text

SIMPLE = (
    "a photo of a {}",
    "an image of a {}",
    "a picture of a {}",
    "a view of a {}",
    "a photograph of a {}",
    "a {}",
)
"""A short list of our own."""


def openai_templates() -> tuple[str, ...]:
    """OpenAI's eighty for ImageNet, in their order; see `imagenet_templates/ORIGIN.md`."""
    file = importlib.resources.files("jclip.text") / "imagenet_templates" / "openai.txt"
    return tuple(file.read_text("utf-8").splitlines())


def read_templates(choice: str) -> tuple[str, ...]:
    """`simple`, `openai`, or those of a file, one a line.

    Raises:
        InputError: there is no such file, it holds none, or a line has not one `{}`.
    """
    if choice == "simple":
        return SIMPLE
    if choice == "openai":
        return openai_templates()
    path = Path(choice)
    if not path.is_file():
        raise InputError(
            f"{choice}: neither simple, openai nor a file of templates, one a line",
            argument="templates",
        )
    lines = [(n, line.strip()) for n, line in enumerate(lines_of(read_text(path)), 1)]
    lines = [(n, line) for n, line in lines if line]
    if not lines:
        raise InputError(f"{path}: no template in it", argument="templates")
    for number, line in lines:
        if line.count("{}") != 1:
            raise InputError(f"{path}, line {number}: {line!r:.60} does not hold one {{}}")
    return tuple(line for _, line in lines)


def prompts_of(classes: Sequence[str], templates: Sequence[str]) -> list[str]:
    """Every class in every template, class after class."""
    return [template.replace("{}", name) for name in classes for template in templates]
