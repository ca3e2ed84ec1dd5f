"""Sets of captioned images: where they come from and what has to hold before they are used."""

import dataclasses
import hashlib
import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import numpy as np

from jclip.data.captions import CAPTION_FILES, find_captions, read_captions
from jclip.data.demo_world import open_demo_panoramas, open_demo_photos
from jclip.data.images import DEFAULT_PIXEL_LIMIT, ImageFile, inspect_images, list_images
from jclip.data.tfds_images import TFDS, open_tfds_images
from jclip.errors import InputError
from jclip.files.local import require_local

DEMO_IMAGES = 96
DEMO_HEIGHT = 128


@dataclasses.dataclass(frozen=True)
class ImageSet:
    """Images with a caption each; nothing is decoded yet.

    `lines` are the captions' line numbers in `caption_file`, or numbers of examples where there is
    no file. `notices` are sentences that a person should read: files left alone, how captions were
    paired. `digest` is a SHA-256 over names, captions and the images' digests. `demo_world` marks
    scenes of the demo world, the only ones that the demo model knows.
    """

    name: str
    images: tuple[ImageFile, ...]
    captions: tuple[str, ...]
    lines: tuple[int, ...]
    caption_file: str
    notices: tuple[str, ...] = ()
    demo_world: bool = False

    @property
    def identity(self) -> dict[str, str | int]:
        """What two runs over the same set have in common."""
        return {"captions": self.caption_file, "count": len(self.images), "sha256": self.digest}

    @property
    def digest(self) -> str:
        """Changes when a name, a caption or (as far as `ImageFile.digest` sees) a picture does."""
        pairs = zip(self.images, self.captions, strict=True)
        rows = [f"{image.name}\0{caption}\0{image.digest}" for image, caption in pairs]
        return hashlib.sha256("\n".join(rows).encode()).hexdigest()


def open_image_sets(
    sources: Sequence[str], captions: Path | None = None, pixel_limit: int = DEFAULT_PIXEL_LIMIT
) -> list[ImageSet]:
    """Open several sets, each with the captions beside it unless there is only one.

    Raises:
        InputError: two sets have one name, `captions` are given for several sets, or see
            `open_image_set`.
    """
    if captions is not None and len(sources) > 1:
        raise InputError(
            "a caption file belongs to one set of images; each of several has its own",
            argument="captions",
        )
    sets = [open_image_set(source, captions, pixel_limit) for source in sources]
    names = [opened.name for opened in sets]
    for source, name in zip(sources, names, strict=True):
        if names.count(name) > 1:
            raise InputError(
                f"{name} is the name of two sets of images; OTHER={source} gives one another name"
            )
    return sets


def open_image_set(
    source: str, captions: Path | None = None, pixel_limit: int = DEFAULT_PIXEL_LIMIT
) -> ImageSet:
    """Open a set of images; everything about it is checked, nothing is decoded.

    Args:
        source: a folder; `samples`, twelve CC0 panoramas that ship with the package; `demo` or
            `demo-photos`, panoramas or perspective photos of demo scenes that no training saw,
            rendered now (96 of them; `demo:480` for more); or `tfds:NAME[:SPLIT]`, a prepared TFDS
            data set. `NAME=SOURCE` calls the set by another name than the source's own.
        captions: a caption file (`read_captions`); by default the one beside the images.
        pixel_limit: of one image, in pixels, checked from the header.

    Raises:
        InputError: see `list_images`, `inspect_images`, `find_captions`, `read_captions` and
            `open_tfds_images`.
    """
    renamed = re.fullmatch(r"([\w.-]+)=(.+)", source)
    if renamed is not None and not Path(source).is_dir():
        return dataclasses.replace(
            open_image_set(renamed[2], captions, pixel_limit), name=renamed[1]
        )
    if found := re.fullmatch(r"(demo|demo-photos)(?::([1-9]\d*))?", source):
        draw = open_demo_panoramas if found[1] == "demo" else open_demo_photos
        demo = draw(int(found[2] or DEMO_IMAGES), DEMO_HEIGHT)
        images = tuple(map(_in_memory, demo.names, demo.pixels))
        return _with_captions(found[1], images, demo.captions, captions, found[1], 1, True)
    if source.startswith(TFDS):
        images, own, field = open_tfds_images(source, pixel_limit)
        name = source.removeprefix(TFDS)
        empty = [image.name for image, text in zip(images, own, strict=True) if not text.strip()]
        if empty and captions is None:
            raise InputError(f"{source}: {empty[0]} has an empty {field}")
        # The builders of `jclip.data.demo_builders` are all called so.
        drawn, about = name.startswith("demo_"), f"{source} {field}"
        return _with_captions(name, images, own, captions, about, 0, drawn)
    if source == "samples":
        folder = Path(str(resources.files("jclip.data") / "samples"))
    else:
        require_local(source)
        folder = Path(source)
    paths = list_images(folder)
    caption_file = captions or find_captions(folder)
    read = read_captions(caption_file, [p.name for p in paths])
    images = inspect_images(paths, pixel_limit)
    notices = _left_alone(folder, paths)
    if caption_file.suffix == ".txt":
        pairs = [f"{images[i].name} = {read.texts[i]!r}" for i in (0, -1)]
        notices.append(f"captions paired by natural order; first {pairs[0]}, last {pairs[1]}")
    name = source if source == "samples" else folder.resolve().name
    return ImageSet(name, tuple(images), *read, caption_file.name, tuple(notices))


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
        )
        for part in parts
    ]


def _with_captions(
    name: str,
    images: tuple[ImageFile, ...],
    own: tuple[str, ...],
    captions: Path | None,
    about: str,
    first: int,
    demo_world: bool,
) -> ImageSet:
    """Images with their own captions, numbered from `first`, or with those of a file."""
    if captions is not None:
        read = read_captions(captions, [image.name for image in images])
        return ImageSet(name, images, *read, captions.name, demo_world=demo_world)
    lines = tuple(range(first, first + len(images)))
    return ImageSet(name, images, own, lines, about, demo_world=demo_world)


def _in_memory(name: str, pixels: np.ndarray) -> ImageFile:
    height, width, _ = pixels.shape
    return ImageFile(name, pixels.copy, height, width, hashlib.sha256(pixels).hexdigest())


def _tfds(source: str, captions: Path | None, pixel_limit: int) -> ImageSet:
    name = source.removeprefix(TFDS)
    images, own, field = open_tfds_images(source, pixel_limit)
    # The builders of `jclip.data.demo_builders` are all called so.
    drawn = name.startswith("demo_")
    if captions is not None:
        read = read_captions(captions, [image.name for image in images])
        return ImageSet(name, images, *read, captions.name, demo_world=drawn)
    empty = [row for row, text in enumerate(own) if not text.strip()]
    if empty:
        raise InputError(f"{source}: {images[empty[0]].name} has an empty {field}")
    lines = tuple(range(len(images)))
    return ImageSet(name, images, own, lines, f"{source} {field}", demo_world=drawn)


def _left_alone(folder: Path, images: list[Path]) -> list[str]:
    expected = {p.name for p in images} | {*CAPTION_FILES, "ORIGIN.md", "README.md"}
    others = sorted(
        p.name for p in folder.iterdir() if p.name not in expected and not p.name.startswith(".")
    )
    if not others:
        return []
    return [f"{folder}: {len(others)} entries are not images and were left alone: {others[0]}, ..."]


def not_two_to_one(images: Sequence[ImageFile]) -> list[str]:
    """A notice if some images do not have the ratio of equirectangular panoramas."""
    odd = [i for i in images if i.width != 2 * i.height]
    if not odd:
        return []
    first = f"{odd[0].name} is {odd[0].width} x {odd[0].height}"
    return [f"{len(odd)} of {len(images)} images are not 2:1 as equirectangular ones are: {first}"]
