"""Where images come from: a folder, tar shards, TFDS, the samples, or the demo world."""

import glob
import hashlib
import os
import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jclip.data.captions import CAPTION_FILES
from jclip.data.demo_world import open_demo_panoramas, open_demo_photos
from jclip.data.file_names import is_hidden, require_unicode, same_name, shown
from jclip.data.images import SUFFIXES, ImageFile, files_of, inspect_images, list_images
from jclip.data.tfds_images import TFDS, open_tfds_images
from jclip.data.webdataset import open_shards
from jclip.files.local import require_local

DEMO_IMAGES = 96
DEMO_HEIGHT = 128


class FoundImages(NamedTuple):
    """Images before they have captions.

    Captions that came with them are `own`, with the number of the first and what they are called;
    others are looked for in `folder`. `view_captions`, `stacked` and `missing` are those of an
    `ImageSet`.
    """

    name: str
    images: tuple[ImageFile, ...]
    folder: Path | None = None
    own: tuple[str | None, ...] = ()
    first: int = 1
    called: str = ""
    demo_world: bool = False
    notices: tuple[str, ...] = ()
    view_captions: tuple[tuple[str, ...], ...] = ()
    stacked: bool = False
    missing: tuple[str, ...] = ()


def find_images(source: str, pixel_limit: int) -> FoundImages:
    """The images of a source (see `jclip.data.image_sets.open_image_set`), none decoded.

    Raises:
        InputError: see `list_images`, `inspect_images`, `open_shards` and `open_tfds_images`.
    """
    renamed = re.fullmatch(r"([\w.-]+)=(.+)", source)
    if renamed is not None and not os.path.isdir(source):
        return find_images(renamed[2], pixel_limit)._replace(name=renamed[1])
    if found := re.fullmatch(r"(demo|demo-photos)(?::([1-9]\d*))?", source):
        draw = open_demo_panoramas if found[1] == "demo" else open_demo_photos
        demo = draw(int(found[2] or DEMO_IMAGES), DEMO_HEIGHT)
        images = tuple(map(_in_memory, demo.names, demo.pixels))
        return FoundImages(found[1], images, None, demo.captions, 1, found[1], demo_world=True)
    if source.startswith(TFDS):
        images, own, field = open_tfds_images(source, pixel_limit)
        name = source.removeprefix(TFDS)
        # The builders of `jclip.data.demo_builders` are all called so.
        drawn = name.startswith("demo_")
        return FoundImages(name, images, None, own, 0, f"{source} {field}", drawn)
    if source == "samples":
        folder = Path(str(resources.files("jclip.data") / "samples"))
        return _in_folder(folder, "*", pixel_limit)
    require_local(source)
    path, pattern = Path(source), "*"
    if not os.path.exists(path) and glob.has_magic(source):
        first = next(n for n, part in enumerate(path.parts) if glob.has_magic(part))
        path, pattern = Path(*path.parts[:first]), str(Path(*path.parts[first:]))
    if os.path.isfile(path) and path.suffix.lower() == ".tar":
        require_unicode(path)
        return _in_shards(path.stem, path.parent, [path], pixel_limit)
    return _in_folder(path, pattern, pixel_limit)


def _in_folder(folder: Path, pattern: str, pixel_limit: int) -> FoundImages:
    """Image files, or what is in tar shards where there are only these."""
    name = folder.resolve().name
    if not files_of(folder, pattern, SUFFIXES) and (tar := files_of(folder, pattern, {".tar"})):
        return _in_shards(name, folder, tar, pixel_limit)
    paths = list_images(folder, pattern)
    images = tuple(inspect_images(paths, pixel_limit, below=folder))
    notices = _left_alone(folder, paths) if pattern == "*" else ()
    return FoundImages(name, images, folder, notices=notices)


def _in_shards(name: str, folder: Path, shards: Sequence[Path], pixel_limit: int) -> FoundImages:
    images, own = open_shards(shards, pixel_limit)
    own = own if any(text is not None for text in own) else ()
    return FoundImages(name, images, folder, own, called="captions in the tar")


def _in_memory(name: str, pixels: np.ndarray) -> ImageFile:
    height, width, _ = pixels.shape
    return ImageFile(name, pixels.copy, height, width, hashlib.sha256(pixels).hexdigest())


def _left_alone(folder: Path, images: Sequence[Path]) -> tuple[str, ...]:
    expected = {path.name for path in images} | {"ORIGIN.md", "README.md"}
    stems = {same_name(path.stem) for path in images}
    others = sorted(
        path.name
        for path in folder.iterdir()
        if path.name not in expected
        and not is_hidden(path.name)
        and same_name(path.name) not in CAPTION_FILES
        and not (path.suffix.lower() == ".txt" and same_name(path.stem) in stems)
    )
    if not others:
        return ()
    first = shown(others[0])
    return (f"{folder}: {len(others)} entries are not images and were left alone: {first}, ...",)
