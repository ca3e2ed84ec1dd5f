"""Sets of generated panoramas and of real ones: opened, paired by name, checked before any work."""

import dataclasses
import functools
import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from jclip.data.captions import DEFAULT_RULES, CaptionRules, captions_beside, ordered_rows
from jclip.data.demo_generators import generate, generator_of
from jclip.data.hdr import HDR_SUFFIXES, inspect_hdr
from jclip.data.image_sets import ImageSet, open_image_sets, uncaptioned_set
from jclip.data.image_sources import DEMO_HEIGHT, DEMO_IMAGES, FoundImages, find_images
from jclip.data.images import DEFAULT_PIXEL_LIMIT, SUFFIXES, ImageFile, files_of
from jclip.data.panorama_folders import Layout, find_layout
from jclip.errors import InputError
from jclip.images.tone_mapping import ToneMap


def find_panoramas(
    source: str,
    pixel_limit: int,
    layout: Layout = "auto",
    split: str = "test",
    tone_map: ToneMap | None = None,
    *,
    natural: bool = False,
) -> FoundImages:
    """The panoramas of a source, none decoded, with the captions that its layout has for them.

    Args:
        source: a generator of the demo world (`jclip.data.demo_generators`), a folder in one of the
            layouts of `jclip.data.panorama_folders`, PanoEval's JSON lines, or what `find_images`
            takes, where a folder without images stands for all below it; `NAME=SOURCE` calls the
            set by another name.
        pixel_limit: of one image, in pixels.
        layout: which; `auto` looks at what lies there, `plain` is none of them.
        split: of PanFusion's data set: `train`, `test` or `all`.
        tone_map: of HDR panoramas, which make a set of their own.
        natural: of MVDiffusion's folder the real pictures, `{0..7}_natural.png`.

    Raises:
        InputError: the folder is not in that layout, or something of it is missing; or see
            `find_images`.
    """
    renamed = re.fullmatch(r"([\w.-]+)=(.+)", source)
    if renamed is not None and not os.path.exists(source):
        found = find_panoramas(renamed[2], pixel_limit, layout, split, tone_map, natural=natural)
        return found._replace(name=renamed[1])
    if (demo := generator_of(source)) is not None:
        return _generated(*demo)
    path = Path(source)
    if not path.exists():
        return find_images(source, pixel_limit)
    if layout != "plain":
        found = find_layout(path, pixel_limit, layout, split, natural=natural)
        if found is not None:
            return found
    if path.is_dir() and (linear := files_of(path, "**", HDR_SUFFIXES)):
        return _hdr(path, linear, tone_map, pixel_limit)
    below = path.is_dir() and not files_of(path, "*", SUFFIXES | {".tar"})
    return find_images(f"{source}/**" if below else source, pixel_limit)


def find_captioned(source: str, pixel_limit: int) -> FoundImages:
    """What `find_images` takes, or panoramas with one caption each in a layout of `find_panoramas`.

    For experiments that know nothing of layouts, so that only `panorama_score` chooses between
    them, takes a split other than PanFusion's `test`, and maps tones.

    Raises:
        InputError: see `find_images`; or the folder is one that only `panorama_score` reads.
    """
    renamed = re.fullmatch(r"([\w.-]+)=(.+)", source)
    name, place = renamed.groups() if renamed and not os.path.exists(source) else (None, source)
    path = Path(place)
    bare = path.is_dir() and not files_of(path, "*", SUFFIXES | {".tar"})
    if not (bare or (path.suffix == ".jsonl" and path.is_file())):
        return find_images(source, pixel_limit)
    only = "panorama_score is the experiment that reads them"
    try:
        found = find_layout(path, pixel_limit)
    except InputError as error:
        # Its argument, if any, is one of panorama_score's.
        more = f"; {only}" if error.argument else ""
        raise InputError(error.message + more) from None
    if found is not None and found.stacked:
        raise InputError(f"{place}: eight pictures of a scene and no panoramas; {only}")
    if found is not None:
        return found if name is None else found._replace(name=name)
    if bare and files_of(path, "**", HDR_SUFFIXES) and not files_of(path, "**", SUFFIXES):
        raise InputError(f"{place}: HDR images, which take a tone map; {only}")
    return find_images(source, pixel_limit)


def _hdr(
    folder: Path, files: Sequence[Path], tone_map: ToneMap | None, pixel_limit: int
) -> FoundImages:
    """HDR panoramas of a folder and those below it."""
    if others := files_of(folder, "**", SUFFIXES):
        raise InputError(
            f"{folder}: HDR images beside others, as {files[0].name} and {others[0].name}; a set "
            "is of one kind"
        )
    names = [file.relative_to(folder).as_posix() for file in files]
    images = [
        inspect_hdr(file, name, tone_map, pixel_limit)
        for file, name in zip(files, names, strict=True)
    ]
    said = f"{folder}: {len(files)} HDR images, tone map {tone_map}"
    return FoundImages(folder.resolve().name, tuple(images), folder, notices=(said,))


def _generated(generator: str, count: int | None) -> FoundImages:
    drawn = generate(generator, count or DEMO_IMAGES, DEMO_HEIGHT)
    height, width = drawn.pixels.shape[1:3]
    images = tuple(
        ImageFile(name, pixels.copy, height, width, hashlib.sha256(pixels).hexdigest())
        for name, pixels in zip(drawn.names, drawn.pixels, strict=True)
    )
    found = FoundImages(generator, images, None, drawn.captions, 1, generator, demo_world=True)
    return found._replace(view_captions=drawn.view_captions)


def open_panorama_sets(
    sources: Sequence[str],
    captions: Path | None = None,
    reference: str | None = None,
    *,
    layout: Layout = "auto",
    split: str = "test",
    rules: CaptionRules = DEFAULT_RULES,
    tone_map: ToneMap | None = None,
    pixel_limit: int = DEFAULT_PIXEL_LIMIT,
) -> tuple[list[ImageSet], ImageSet | None]:
    """Generators' panoramas with captions, and real ones, which need none.

    The real ones of MVDiffusion's folder are its natural pictures, so that it may be both.
    Generators without captions of their views take those of the real panoramas of the same names.

    Raises:
        InputError: see `find_panoramas` and `open_image_sets`; or two panoramas of one set have one
            name, or two sets.
    """
    find = functools.partial(find_panoramas, layout=layout, split=split, tone_map=tone_map)
    sets = open_image_sets(sources, captions, pixel_limit, rules, find)
    real = (
        None
        if reference is None
        else _real(reference, pixel_limit, rules, functools.partial(find, natural=True))
    )
    if real is not None and real.name in [opened.name for opened in sets]:
        raise InputError(
            f"{real.name} is the name of two sets of images; OTHER={reference} gives one another "
            "name",
            argument="reference",
        )
    for opened in [*sets, *([] if real is None else [real])]:
        keys = [pair_key(image.name) for image in opened.images]
        if repeated := [key for key in keys if keys.count(key) > 1]:
            raise InputError(f"{opened.name}: two panoramas are called {repeated[0]}")
    sets = [_with_other_order(opened, rules.order) for opened in sets]
    return [_with_view_captions(opened, real) for opened in sets], real


def _real(source: str, pixel_limit: int, rules: CaptionRules, find) -> ImageSet:
    found = find(source, pixel_limit)
    names = [image.name for image in found.images]
    beside = found.folder is not None and captions_beside(found.folder, names) is not None
    if found.own or beside:
        return open_image_sets([source], None, pixel_limit, rules, find)[0]
    return uncaptioned_set(found)


def pair_key(name: str) -> str:
    """What a panorama is called whatever its format: its path without the suffix."""
    path = PurePosixPath(name)
    return str(path.with_suffix("")) if path.suffix.lower() in SUFFIXES | HDR_SUFFIXES else name


def _with_other_order(opened: ImageSet, order: str) -> ImageSet:
    """Says where captions paired by one order would be others by the other one."""
    names = [image.name for image in opened.images]
    by_order = any(f"captions paired by {order} order" in notice for notice in opened.notices)
    natural, lexicographic = (ordered_rows(names, o) for o in ("natural", "lexicographic"))
    if not by_order or natural == lexicographic:
        return opened
    said = (
        f"{opened.name}: lines of captions are in {order} order; the other of natural (1, 2, 10) "
        "and lexicographic (1, 10, 2) order pairs them otherwise"
    )
    return dataclasses.replace(opened, notices=(*opened.notices, said))


def _with_view_captions(opened: ImageSet, real: ImageSet | None) -> ImageSet:
    if real is None or opened.view_captions or opened.stacked or not real.view_captions:
        return opened
    at = {pair_key(image.name): row for row, image in enumerate(real.images)}
    keys = [pair_key(image.name) for image in opened.images]
    # What PanFusion drew several times of one scene is numbered.
    keys = [key if key in at else re.sub(r"_\d{6}$", "", key) for key in keys]
    if any(key not in at for key in keys):
        return opened
    return dataclasses.replace(
        opened,
        view_captions=tuple(real.view_captions[at[key]] for key in keys),
        notices=(*opened.notices, f"{opened.name}: captions of views are those of {real.name}"),
    )


@dataclasses.dataclass(frozen=True)
class Pairing:
    """Which panoramas two sets have in common, and what of one the other lacks, by pair key."""

    first: str
    second: str
    common: tuple[str, ...]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    other_captions: int

    @property
    def whole(self) -> bool:
        """Whether both have the same panoramas."""
        return not (self.only_first or self.only_second)


def pair_sets(first: ImageSet, second: ImageSet) -> Pairing:
    """Pair two sets by the names of their panoramas.

    Raises:
        InputError: they have none in common.
    """
    ours, theirs = (
        {pair_key(image.name): text for image, text in zip(s.images, s.captions, strict=True)}
        for s in (first, second)
    )
    common = tuple(key for key in ours if key in theirs)
    if not common:
        one, other = next(iter(ours)), next(iter(theirs))
        raise InputError(
            f"{first.name} and {second.name} have no panorama of one name: {one}, ... and "
            f"{other}, ..."
        )
    return Pairing(
        first.name,
        second.name,
        common,
        tuple(key for key in ours if key not in theirs),
        tuple(key for key in theirs if key not in ours),
        sum(ours[key] != theirs[key] for key in common),
    )


def require_two_to_one(sets: Sequence[ImageSet]) -> None:
    """Refuse panoramas of which no spherical view can be made.

    Raises:
        InputError: one is not twice as wide as high.
    """
    for opened in sets:
        for image in () if opened.stacked else opened.images:
            if image.width != 2 * image.height:
                raise InputError(
                    f"{opened.name}, {image.name}: {image.width} x {image.height} pixels; "
                    "equirectangular panoramas are twice as wide as high"
                )
