"""Captions of images: by file name, by natural order (`prompts.txt`), or a text beside each."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from jclip.data.caption_files import caption_rows
from jclip.data.file_names import (
    KnownFiles,
    is_hidden,
    natural_order,
    require_unicode,
    same_name,
)
from jclip.errors import InputError
from jclip.files.text_files import lines_of, read_text
from jclip.text.cleaning import is_unicode, repaired

CAPTION_FILES = (
    "captions.csv",
    "captions.jsonl",
    "prompts.txt",
    "captions.json",
    "captions.tsv",
    "metadata.csv",
    "metadata.jsonl",
)
"""Names looked for beside the images, in this order, when no caption file is given; upper and lower
case do not matter."""
_TABLES = (".csv", ".tsv", ".jsonl", ".json")


class Captions(NamedTuple):
    """One caption per image, and the line of the file that each stands in, from 1."""

    texts: tuple[str, ...]
    lines: tuple[int, ...]


class CaptionRules(NamedTuple):
    """How captions are read that do not stand in a table.

    `order`: the N-th line of a `.txt` belongs to the N-th image in `natural` order (1, 2, 10), or
    in `lexicographic` order of the paths (1, 10, 2), as `sorted` has it. `lines`, of a `.txt` of
    one image: `one`, and a second is refused, the `first`, or the `whole` text.
    """

    order: Literal["natural", "lexicographic"] = "natural"
    lines: Literal["one", "first", "whole"] = "one"


DEFAULT_RULES = CaptionRules()


def find_captions(folder: Path, image_names: Sequence[str] = ()) -> Path:
    """The caption file beside the images of a folder, or the folder if images have texts of theirs.

    Raises:
        InputError: there is none.
    """
    if (found := captions_beside(folder, image_names)) is not None:
        return found
    raise InputError(
        f"{folder}: no captions beside the images ({', '.join(CAPTION_FILES)}, or a .txt for each)",
        argument="captions",
    )


def captions_beside(folder: Path, image_names: Sequence[str] = ()) -> Path | None:
    """What `find_captions` finds; None where there is nothing."""
    there = {}
    for path in sorted(folder.iterdir(), reverse=True) if folder.is_dir() else ():
        if path.is_file():
            there[same_name(path.name)] = path
    for name in CAPTION_FILES:
        if name in there:
            return folder / name if (folder / name).is_file() else there[name]
    if any(_texts_beside(folder, image_names)):
        return folder
    return None


def read_captions(
    path: Path,
    image_names: Sequence[str],
    folders: Sequence[str] = (),
    rules: CaptionRules = DEFAULT_RULES,
) -> Captions:
    """One caption per image, in the order of `image_names`.

    Tables (`.csv`, `.tsv`, `.jsonl`, `.json`) have the columns `file` and `caption`, or what other
    tools call them (`FILE_NAMES`, `CAPTION_NAMES`). A file may be called by another path, in
    capitals, or in another Unicode form. Of a `.txt` file the N-th line belongs to the N-th image
    in natural order of the names, as in paper 1, but counted and in an order that people expect
    (fault 7 of its code). In a folder, `a.txt` is the caption of `a.png`.

    Args:
        path: the file.
        image_names: files, or paths below their folder.
        folders: that each of them lies in, where that is known; of several sets they tell images
            of one name apart.
        rules: for a `.txt`.

    Raises:
        InputError: naming the file and the line: unreadable, a column missing, a caption empty or
            no Unicode, two captions for an image, a caption without image or with several, an image
            without caption, or another number of lines than images.
    """
    require_unicode(path)
    if path.is_dir():
        return _read_beside(path, image_names, rules)
    suffix = path.suffix.lower()
    if suffix == ".txt":
        return _by_order(path, image_names, rules)
    if suffix not in _TABLES:
        raise InputError(
            f"{path}: captions are .csv, .jsonl or .txt files (.tsv and .json are read too)"
        )
    captions: dict[int, tuple[str, int]] = {}
    known = KnownFiles(image_names, folders or [""] * len(image_names))
    called = image_names
    if len(set(folders)) > 1:
        called = [f"{folder}/{name}" for folder, name in zip(folders, image_names, strict=True)]
    for line, name, caption in caption_rows(path):
        where = f"{path}, line {line}"
        rows = known.find(_unicode(where, name))
        if not rows:
            raise InputError(f"{where}: caption for {name!r}, which is not among the images")
        if len(rows) > 1:
            both = " or ".join(called[row] for row in rows[:2])
            raise InputError(f"{where}: caption for {name!r}, which may be {both}")
        if rows[0] in captions:
            raise InputError(f"{where}: second caption for {name!r}; one per image")
        captions[rows[0]] = checked_caption(where, caption), line
    missing = [name for row, name in enumerate(called) if row not in captions]
    if missing:
        raise InputError(f"{path}: no caption for {missing[0]!r} ({len(missing)} images without)")
    return _arranged(captions)


def _arranged(captions: dict[int, tuple[str, int]]) -> Captions:
    texts, lines = zip(*(captions[row] for row in range(len(captions))), strict=True)
    return Captions(texts, lines)


def _unicode(where: str, text: str) -> str:
    if not is_unicode(text):
        raise InputError(f"{where}: half a surrogate pair, no Unicode, in {text!a:.80}")
    return text


def checked_caption(where: str, caption: object) -> str:
    """A caption without blanks around it.

    Raises:
        InputError: it is no text, empty, or no Unicode; `where` says which.
    """
    if not isinstance(caption, str):
        raise InputError(f"{where}: the caption is a {type(caption).__name__}, not a text")
    # A text may be blank only once it is read as the tokenizers read it: `&nbsp;`.
    if not repaired(_unicode(where, caption)):
        raise InputError(f"{where}: empty caption")
    return caption.strip()


def _by_order(path: Path, image_names: Sequence[str], rules: CaptionRules) -> Captions:
    lines = lines_of(read_text(path).rstrip())
    captions = [checked_caption(f"{path}, line {n}", line) for n, line in enumerate(lines, start=1)]
    if len(captions) != len(image_names):
        raise InputError(f"{path}: {len(captions)} lines for {len(image_names)} images")
    rows = ordered_rows(image_names, rules.order)
    return _arranged({row: (captions[n], n + 1) for n, row in enumerate(rows)})


def ordered_rows(names: Sequence[str], order: str) -> list[int]:
    """The rows of names in an order of `CaptionRules`."""
    key = natural_order if order == "natural" else str
    return sorted(range(len(names)), key=lambda row: key(names[row]))


def _texts_beside(folder: Path, image_names: Sequence[str]) -> list[Path | None]:
    """The `.txt` of the same name beside each image, whatever its capitals."""
    there: dict[Path, dict[str, Path]] = {}
    found = []
    for name in image_names:
        image = folder / name
        if image.parent not in there:
            own = sorted(image.parent.iterdir()) if image.parent.is_dir() else []
            there[image.parent] = {same_name(p.name): p for p in own if not is_hidden(p.name)}
        found.append(there[image.parent].get(same_name(f"{image.stem}.txt")))
    return found


def caption_of(path: Path, rules: CaptionRules) -> str:
    """The caption in a text file of one image.

    Raises:
        InputError: it cannot be read or is empty, or has a second line that no rule allows.
    """
    lines = lines_of(read_text(path).strip())
    if len(lines) > 1 and rules.lines == "one":
        raise InputError(f"{path}: {len(lines)} lines; an image has one caption, on one line")
    whole = " ".join(" ".join(lines).split())
    return checked_caption(f"{path}, line 1", whole if rules.lines == "whole" else lines[0])


def _read_beside(folder: Path, image_names: Sequence[str], rules: CaptionRules) -> Captions:
    found = _texts_beside(folder, image_names)
    texts = []
    for name, path in zip(image_names, found, strict=True):
        if path is None:
            without = f"{found.count(None)} images without"
            raise InputError(f"{folder}: no .txt beside {name!r} for its caption ({without})")
        texts.append(caption_of(path, rules))
    return Captions(tuple(texts), (1,) * len(texts))
