"""Image files: listing, checking by header, and decoding to RGB."""

import dataclasses
import hashlib
import io
import os
import re
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from jclip.errors import InputError

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}
DEFAULT_PIXEL_LIMIT = 16384 * 8192
# Enough of a file to tell an edited picture from the old one without reading a data set twice.
DIGESTED_BYTES = 1 << 16


@dataclasses.dataclass(frozen=True)
class ImageFile:
    """An image that was found and whose size is known, in pixels.

    `content` is a file, or a function that makes the pixels, `[H, W, 3] uint8`. `digest`, of a file
    or a stored image, is the SHA-256 of its length and its first 64 KiB.
    """

    name: str
    content: Path | Callable[[], np.ndarray]
    height: int
    width: int
    digest: str

    @property
    def whole(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of all of it."""
        return 0, 0, self.width, self.height


def natural_order(name: str) -> list[tuple[int, int | str]]:
    """Sort key under which `2.jpg` comes before `10.jpg`."""
    parts = re.split(r"(\d+)", name)
    return [(0, int(p)) if p.isdecimal() else (1, p) for p in parts if p]


def list_images(folder: Path) -> list[Path]:
    """The image files of a folder, in natural order of their names.

    Raises:
        InputError: the folder is missing, is no folder, or holds no image.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder of images")
    files = [p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file()]
    if not files:
        raise InputError(f"{folder}: no images ({', '.join(sorted(SUFFIXES))}) in this folder")
    return sorted(files, key=lambda path: natural_order(path.name))


def inspect_images(paths: list[Path], pixel_limit: int = DEFAULT_PIXEL_LIMIT) -> list[ImageFile]:
    """Read every header, decode nothing.

    Raises:
        InputError: a file is not an image, holds 16-bit values, or exceeds `pixel_limit` pixels.
    """
    return [_inspect(path, pixel_limit) for path in paths]


def _inspect(path: Path, pixel_limit: int) -> ImageFile:
    height, width = _size(path, str(path), pixel_limit)
    with path.open("rb") as file:
        digest = _digest(os.stat(path).st_size, file.read(DIGESTED_BYTES))
    return ImageFile(path.name, path, height, width, digest)


def inspect_encoded(
    name: str, read: Callable[[], bytes], pixel_limit: int = DEFAULT_PIXEL_LIMIT
) -> ImageFile:
    """The same for an image whose bytes are in another kind of store, read again when decoded.

    Raises:
        InputError: as `inspect_images`.
    """
    content = read()
    height, width = _size(io.BytesIO(content), name, pixel_limit)

    def pixels() -> np.ndarray:
        return _rgb(io.BytesIO(read()), name)

    return ImageFile(name, pixels, height, width, _digest(len(content), content[:DIGESTED_BYTES]))


def _size(file: Path | io.BytesIO, label: str, pixel_limit: int) -> tuple[int, int]:
    # Pillow's own limit is a global that warns at 89 megapixels, less than a 16k panorama.
    Image.MAX_IMAGE_PIXELS = pixel_limit
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(file) as image:
                width, height = image.size
                sixteen_bit = holds_16_bits(image)
    except Image.DecompressionBombError:
        size = "over twice the limit"
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{label}: not an image that can be read ({error})") from None
    else:
        if width * height <= pixel_limit:
            if sixteen_bit:
                raise InputError(f"{label}: 16-bit image; convert it to 8 bits per channel first")
            return height, width
        size = f"{width} x {height}"
    raise InputError(f"{label}: {size} pixels, limit {pixel_limit}", argument="pixel_limit")


def holds_16_bits(image: Image.Image) -> bool:
    """Whether an image has more than 8 bits per channel; of a file, before it is decoded."""
    # Pillow reads 16-bit colour as 8 bits without a word: only the decoder's tiles tell.
    return image.mode in ("I", "F") or ";16" in f"{image.mode}{getattr(image, 'tile', '')}"


def _digest(length: int, head: bytes) -> str:
    return hashlib.sha256(length.to_bytes(8) + head).hexdigest()


def decode(file: ImageFile) -> UInt8[np.ndarray, "h w 3"]:
    """The pixels as RGB, converted as paper 1 does: `convert("RGB")`, EXIF rotation ignored.

    Raises:
        InputError: the file is truncated or corrupt, or has changed size since it was inspected.
    """
    if not isinstance(file.content, Path):
        return file.content()
    pixels = _rgb(file.content, str(file.content))
    if pixels.shape[:2] != (file.height, file.width):
        raise InputError(f"{file.content}: changed while the run was going on")
    return pixels


def _rgb(file: Path | io.BytesIO, label: str) -> np.ndarray:
    try:
        with Image.open(file) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{label}: cannot be decoded ({error})") from None
