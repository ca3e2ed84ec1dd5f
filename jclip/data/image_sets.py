"""Sets of captioned images: where they come from and what has to hold before they are used."""

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from jclip.data.captions import (
    DEFAULT_RULES,
    CaptionRules,
    Captions,
    checked_caption,
    find_captions,
    ordered_rows,
    read_captions,
)
from jclip.data.image_sources import FoundImages, find_images
from jclip.data.images import DEFAULT_PIXEL_LIMIT, ImageFile, unlike_a_viewer
from jclip.errors import InputError


@dataclasses.dataclass(frozen=True)
class ImageSet:
    """Images with a caption each; nothing is decoded yet.

    `lines` are the captions' line numbers in `caption_file`, or numbers of examples where there is
    no file. `notices` are sentences that a person should read: files left alone, how captions were
    paired. `digest` is a SHA-256 over names, captions and the images' digests. `demo_world` marks
    scenes of the demo world, the only ones that the demo model knows. `view_captions` are eight of
    each image, of its views around the horizon, or there are none at all; `stacked` marks images
    that are eight pictures one below the other instead of a panorama. `missing` are the names of
    those that a list or a folder promises and that are not there.
    """

    name: str
    images: tuple[ImageFile, ...]
    captions: tuple[str, ...]
    lines: tuple[int, ...]
    caption_file: str
    notices: tuple[str, ...] = ()
    demo_world: bool = False
    view_captions: tuple[tuple[str, ...], ...] = ()
    stacked: bool = False
    missing: tuple[str, ...] = ()

    @property
    def identity(self) -> dict[str, str | int]:
        """What two runs over the same set have in common."""
        return {"captions": self.caption_file, "count": len(self.images), "sha256": self.digest}

    @property
    def digest(self) -> str:
        """Changes when a name, a caption or (as far as `ImageFile.digest` sees) a picture does."""
        pairs = zip(self.images, self.captions, strict=True)
        rows = [f"{image.name}\0{caption}\0{image.digest}" for image, caption in pairs]
        rows += ["\0".join(own) for own in self.view_captions]
        return hashlib.sha256("\n".join(rows).encode()).hexdigest()


def open_image_sets(
    sources: Sequence[str],
    captions: Path | None = None,
    pixel_limit: int = DEFAULT_PIXEL_LIMIT,
    rules: CaptionRules = DEFAULT_RULES,
    find: Callable[[str, int], FoundImages] = find_images,
) -> list[ImageSet]:
    """Open several sets, each with the captions beside it unless there is one file for all.

    `rules` are for captions outside of tables; `find` finds the images of a source, by default as
    `open_image_set` says.

    Raises:
        InputError: two sets have one name, captions without names are given for several sets, or
            see `open_image_set`.
    """
    sources = [sources] if isinstance(sources, str) else sources
    found = [find(source, pixel_limit) for source in sources]
    names = [each.name for each in found]
    for source, name in zip(sources, names, strict=True):
        if names.count(name) > 1:
            raise InputError(
                f"{name} is the name of two sets of images; OTHER={source} gives one another name"
            )
    if captions is not None:
        return _sharing(found, captions, rules)
    return [_captioned(each, rules) for each in found]


def open_image_set(
    source: str, captions: Path | None = None, pixel_limit: int = DEFAULT_PIXEL_LIMIT
) -> ImageSet:
    """Open a set of images; everything about it is checked, nothing is decoded.

    Args:
        source: a folder, or a pattern of files in it (`FOLDER/**` for all folders below it too); a
            `.tar` in webdataset's layout, or a folder of them; `samples`, twelve CC0 panoramas that
            ship with the package; `demo` or `demo-photos`, panoramas or perspective photos of demo
            scenes that no training saw, rendered now (96 of them; `demo:480` for more); or
            `tfds:NAME[:SPLIT]`, a prepared TFDS data set. `NAME=SOURCE` calls the set by another
            name than the source's own.
        captions: a caption file (`read_captions`); by default the one beside the images.
        pixel_limit: of one image, in pixels, checked from the header.

    Raises:
        InputError: see `find_images`, `find_captions` and `read_captions`; or a caption that came
            with its image is empty.
    """
    return open_image_sets([source], captions, pixel_limit)[0]


def _captioned(found: FoundImages, rules: CaptionRules) -> ImageSet:
    """A set with the captions that came with its images, or that stand beside them."""
    if found.folder is not None and not found.own:
        names = [image.name for image in found.images]
        return _sharing([found], find_captions(found.folder, names), rules)[0]
    texts = []
    if not found.own:
        raise InputError(f"{found.name}: no captions with the images", argument="captions")
    for image, text in zip(found.images, found.own, strict=True):
        where = f"{found.name}: {image.name}"
        if text is None:
            raise InputError(f"{where}: no caption in {found.called}")
        checked_caption(where, text)
        texts.append(text)
    lines = range(found.first, found.first + len(texts))
    return _image_set(found, Captions(tuple(texts), tuple(lines)), found.called)


def _sharing(found: Sequence[FoundImages], file: Path, rules: CaptionRules) -> list[ImageSet]:
    """Sets with captions out of one file."""
    by_order = file.suffix.lower() == ".txt"
    if len(found) > 1 and (by_order or file.is_dir()):
        raise InputError(
            f"{file}: captions without the names of their images belong to one set; several share "
            "a table with the columns file and caption",
            argument="captions",
        )
    files = [
        (image.name, str(each.folder.resolve() if each.folder else each.name))
        for each in found
        for image in each.images
    ]
    names, folders = zip(*files, strict=True)
    texts, lines = read_captions(file, names, folders, rules)
    called = "a text beside each image" if file.is_dir() else file.name
    sets, start = [], 0
    for each in found:
        own = slice(start, start := start + len(each.images))
        paired = [_pairs(names[own], texts[own], rules.order)] if by_order else []
        sets.append(_image_set(each, Captions(texts[own], lines[own]), called, paired))
    return sets


def _image_set(
    found: FoundImages, captions: Captions, called: str, notices: Sequence[str] = ()
) -> ImageSet:
    unlike = [f"{found.name}: {notice}" for notice in unlike_a_viewer(found.images)]
    notices = (*found.notices, *notices, *unlike)
    return ImageSet(
        found.name,
        found.images,
        *captions,
        called,
        notices,
        found.demo_world,
        found.view_captions,
        found.stacked,
        found.missing,
    )


def _pairs(names: Sequence[str], texts: Sequence[str], order: str) -> str:
    """Which image has the first, the second and the last line of a file without names."""
    pairs = [(names[row], texts[row]) for row in ordered_rows(names, order)]
    shown = dict(zip(("first", "second"), pairs[:-1], strict=False)) | {"last": pairs[-1]}
    said = ", ".join(f"{word} {name} = {text!r}" for word, (name, text) in shown.items())
    return f"captions paired by {order} order; {said}"


def uncaptioned_set(found: FoundImages) -> ImageSet:
    """Images that are looked at without captions; those that they have are left alone."""
    rows = range(len(found.images))
    captions = Captions(("",) * len(rows), tuple(row + 1 for row in rows))
    return _image_set(found._replace(view_captions=()), captions, "")


def split_image_set(opened: ImageSet, shares: Sequence[float], seed: int) -> list[ImageSet]:
    """Parts of a set with the given shares of its images, drawn at random; none is in two parts.

    Parts between the first and the last may be empty.

    Raises:
        InputError: the first or the last part would be empty.
    """
    order = np.random.default_rng(seed).permutation(len(opened.images))
    ends = np.round(np.cumsum(shares) / np.sum(shares) * len(order)).astype(int)
    parts = [np.sort(part) for part in np.split(order, ends[:-1])]
    if min(len(parts[0]), len(parts[-1])) == 0:
        raise InputError(f"{opened.name}: {len(order)} images are too few for {len(shares)} parts")
    return [
        dataclasses.replace(
            opened,
            images=tuple(opened.images[row] for row in part),
            captions=tuple(opened.captions[row] for row in part),
            lines=tuple(opened.lines[row] for row in part),
            view_captions=tuple(opened.view_captions[row] for row in part if opened.view_captions),
        )
        for part in parts
    ]


def not_two_to_one(images: Sequence[ImageFile]) -> list[str]:
    """A notice if some images do not have the ratio of equirectangular panoramas."""
    odd = [i for i in images if i.width != 2 * i.height]
    if not odd:
        return []
    first = f"{odd[0].name} is {odd[0].width} x {odd[0].height}"
    return [f"{len(odd)} of {len(images)} images are not 2:1 as equirectangular ones are: {first}"]
