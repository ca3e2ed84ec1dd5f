"""Captioned images out of tar shards in webdataset's layout, read where they lie in the file."""

import functools
import json
import posixpath
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jclip.data.caption_files import CAPTION_NAMES
from jclip.data.file_names import is_hidden, require_unicode
from jclip.data.images import DEFAULT_PIXEL_LIMIT, SUFFIXES, ImageFile, inspect_encoded
from jclip.errors import InputError

_CAPTIONS = (".txt", ".json", ".caption")


def open_shards(
    shards: Sequence[Path], pixel_limit: int = DEFAULT_PIXEL_LIMIT
) -> tuple[tuple[ImageFile, ...], tuple[str | None, ...]]:
    """The images of uncompressed tar files, in the files' order, and the captions beside them.

    Members of one name up to its first dot belong together: a picture, and its caption in a `.txt`,
    or in a `.json` under one of `CAPTION_NAMES`. Of several shards images are called
    `SHARD/MEMBER`. Format: webdataset, which img2dataset and others write.

    Args:
        shards: the files.
        pixel_limit: of one image, in pixels.

    Returns:
        Images and captions, None where there is none.

    Raises:
        InputError: naming shard and member: no tar file, compressed, without images, a name that is
            not UTF-8 or given twice, two pictures of one name, a picture or caption that cannot be
            read.
    """
    images, captions = [], []
    for shard in shards:
        for key, members in _samples(shard).items():
            pictures = [suffix for suffix in members if suffix in SUFFIXES]
            if len(pictures) > 1:
                raise InputError(f"{shard}: {key} has {' and '.join(pictures)}, one is expected")
            for suffix in pictures:
                name = f"{shard.stem}/{key}{suffix}" if len(shards) > 1 else f"{key}{suffix}"
                read = functools.partial(_content, shard, *members[suffix])
                try:
                    images.append(inspect_encoded(name, read, pixel_limit))
                except InputError as error:
                    raise InputError(f"{shard}: {error.message}", error.argument) from None
                captions.append(_caption(shard, key, members))
    if not images:
        raise InputError(f"{shards[0]}: no images in this tar file")
    return tuple(images), tuple(captions)


def _samples(shard: Path) -> dict[str, dict[str, tuple[int, int]]]:
    """Where the members of each name lie, offset and length in bytes, by suffix."""
    samples: dict[str, dict[str, tuple[int, int]]] = {}
    try:
        with tarfile.open(shard, "r:") as tar:
            for member in tar:
                folder, file = posixpath.split(member.name)
                if not member.isreg() or any(map(is_hidden, member.name.split("/"))):
                    continue
                require_unicode(member.name)
                stem, dot, suffix = file.partition(".")
                own = samples.setdefault(posixpath.join(folder, stem), {})
                if own.setdefault(suffix := (dot + suffix).lower(), (0, -1)) != (0, -1):
                    raise InputError(f"{shard}: {member.name} is there twice")
                own[suffix] = member.offset_data, member.size
    except InputError:
        raise
    except Exception as error:  # damaged headers lead the reader anywhere
        raise InputError(f"{shard}: cannot be read as an uncompressed tar file ({error})") from None
    return samples


def _content(shard: Path, offset: int, length: int) -> bytes:
    with shard.open("rb") as file:
        file.seek(offset)
        return file.read(length)


def _caption(shard: Path, key: str, members: dict[str, tuple[int, int]]) -> str | None:
    for suffix in (suffix for suffix in _CAPTIONS if suffix in members):
        where = f"{shard}: {key}{suffix}"
        try:
            text = _content(shard, *members[suffix]).decode("utf-8-sig")
            found: Any = json.loads(text) if suffix == ".json" else text
        except (ValueError, RecursionError) as error:
            raise InputError(f"{where} cannot be read ({error})") from None
        if isinstance(found, dict):
            found = next((found[name] for name in CAPTION_NAMES if name in found), None)
        if isinstance(found, str):
            return found.strip()
    return None
