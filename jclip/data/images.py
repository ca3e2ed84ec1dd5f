"""Image files: listing, checking by header, and decoding to RGB."""

import dataclasses
import glob
import hashlib
import io
import os
import warnings
from collections.abc import Callable, Sequence, Set
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import ExifTags, Image

from jclip.data.file_names import is_hidden, natural_order, require_unicode
from jclip.errors import InputError
from jclip.images import Fit, Size
from jclip.images.fits import check_placed

SUFFIXES = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".avif", ".bmp", ".tif", ".tiff"}
DEFAULT_PIXEL_LIMIT = 16384 * 8192
LARGEST_RATIO = 100
"""Of the sides of an image: of a longer one a crop keeps little, at the cost of resizing it all."""
# Of tags that Pillow cannot read; it would say so among progress bars, from several threads.
warnings.filterwarnings("ignore", module=r"PIL\.", append=True)
# Enough of a file to tell an edited picture from the old one without reading a data set twice.
DIGESTED_BYTES = 1 << 16


@dataclasses.dataclass(frozen=True)
class ImageFile:
    """An image that was found and whose size is known, in pixels.

    `content` is a file, or a function that makes the pixels, `[H, W, 3] uint8`. `digest`, of a file
    or a stored image, is the SHA-256 of its length and its first 64 KiB. `unlike` says what a
    viewer would show otherwise, by the keys of `UNLIKE_A_VIEWER`.
    """

    name: str
    content: Path | Callable[[], np.ndarray]
    height: int
    width: int
    digest: str
    unlike: tuple[str, ...] = ()

    @property
    def whole(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of all of it."""
        return 0, 0, self.width, self.height


def list_images(folder: Path, pattern: str = "*") -> list[Path]:
    """The image files of a folder, in natural order of their names; hidden ones are nobody's.

    Args:
        folder: where they are.
        pattern: which of them, as for `glob`; `**` stands for all folders below too.

    Raises:
        InputError: the folder is missing, is no folder, or holds no image; or a name is not UTF-8.
    """
    if found := files_of(folder, pattern, SUFFIXES):
        return found
    wanted = f"no images ({', '.join(sorted(SUFFIXES))})"
    if pattern == "*" and files_of(folder, "**", SUFFIXES):
        raise InputError(f"{folder}: {wanted} in this folder; '{folder}/**' reads those below it")
    known = {"*": "in this folder", "**": "in this folder or below it"}
    where = known.get(pattern, f"like {pattern}")
    raise InputError(f"{folder}: {wanted} {where}")


def files_of(folder: Path, pattern: str, suffixes: Set[str]) -> list[Path]:
    """The files of a folder that have one of some suffixes; else as `list_images`."""
    require_unicode(folder)
    if not os.path.isdir(folder):
        raise InputError(f"{folder}: no such folder of images")
    found = []
    for name in glob.iglob(pattern, root_dir=folder, recursive=True):
        path = folder / name
        hidden = any(map(is_hidden, Path(name).parts))
        if path.suffix.lower() in suffixes and not hidden and path.is_file():
            require_unicode(path)
            found.append(path)
    return sorted(found, key=lambda path: natural_order(path.relative_to(folder).as_posix()))


UNLIKE_A_VIEWER = {
    "orientation": "are turned or mirrored by an orientation tag (EXIF), which is not applied",
    "transparency": "may have transparent pixels, scored in the colour that is stored below them",
    "pictures": "hold several pictures, of which the first is scored",
}
"""What a viewer shows otherwise than it is scored."""


def unlike_a_viewer(images: Sequence[ImageFile]) -> list[str]:
    """Notices that count the images which a viewer shows otherwise than they are scored."""
    notices = []
    for kind, sentence in UNLIKE_A_VIEWER.items():
        if concerned := [image.name for image in images if kind in image.unlike]:
            notices.append(
                f"{len(concerned)} of {len(images)} images {sentence}: {concerned[0]}"
                f"{', ...' if concerned[1:] else ''}"
            )
    return notices


def check_fit(name: str, height: int, width: int, size: Size, fit: Fit) -> None:
    """Refuse an image that cannot become a square of `size` pixels.

    Raises:
        InputError: see `place`; the image is named.
    """
    try:
        check_placed(height, width, size, fit)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None


def inspect_images(
    paths: Sequence[Path], pixel_limit: int = DEFAULT_PIXEL_LIMIT, below: Path | None = None
) -> list[ImageFile]:
    """Read every header, decode nothing.

    Args:
        paths: the files.
        pixel_limit: of one image, in pixels.
        below: the folder from which images are named; by default the one that each is in.

    Raises:
        InputError: a file is not an image, holds 16-bit values, exceeds `pixel_limit` pixels or the
            ratio `LARGEST_RATIO`, or its name is no Unicode.
    """
    return [_inspect(path, pixel_limit, below or path.parent) for path in paths]


def _inspect(path: Path, pixel_limit: int, below: Path) -> ImageFile:
    require_unicode(path)
    height, width, unlike = _header(path, str(path), pixel_limit)
    with path.open("rb") as file:
        digest = _digest(os.stat(path).st_size, file.read(DIGESTED_BYTES))
    name = path.relative_to(below).as_posix()
    return ImageFile(name, path, height, width, digest, unlike)


def inspect_encoded(
    name: str, read: Callable[[], bytes], pixel_limit: int = DEFAULT_PIXEL_LIMIT
) -> ImageFile:
    """The same for an image whose bytes are in another kind of store, read again when decoded.

    Raises:
        InputError: as `inspect_images`.
    """
    content = read()
    height, width, unlike = _header(io.BytesIO(content), name, pixel_limit)

    def pixels() -> np.ndarray:
        return _rgb(io.BytesIO(read()), name)

    digest = _digest(len(content), content[:DIGESTED_BYTES])
    return ImageFile(name, pixels, height, width, digest, unlike)


def _header(
    file: Path | io.BytesIO, label: str, pixel_limit: int
) -> tuple[int, int, tuple[str, ...]]:
    """Height, width, and what of `UNLIKE_A_VIEWER` the image has."""
    # Pillow's own limit is a global that warns at 89 megapixels, less than a 16k panorama.
    Image.MAX_IMAGE_PIXELS = pixel_limit
    try:
        with warnings.catch_warnings():
            # About tags and sizes; what concerns the pixels is told below.
            warnings.simplefilter("ignore")
            with Image.open(file) as image:
                width, height = image.size
                sixteen_bit = holds_16_bits(image)
                unlike = seen_otherwise(image)
    except Image.DecompressionBombError:
        size = "over twice the limit"
    except MemoryError:
        raise
    except Exception as error:  # Pillow's readers raise whatever a damaged header leads them to
        raise InputError(f"{label}: not an image that can be read ({error})") from None
    else:
        if width * height <= pixel_limit:
            if sixteen_bit:
                raise InputError(f"{label}: 16-bit image; convert it to 8 bits per channel first")
            if max(width, height) > LARGEST_RATIO * min(width, height):
                raise InputError(
                    f"{label}: {width} x {height} pixels; one side may be at most {LARGEST_RATIO} "
                    "times as long as the other"
                )
            return height, width, unlike
        size = f"{width} x {height}"
    raise InputError(f"{label}: {size} pixels, limit {pixel_limit}", argument="pixel_limit")


def seen_otherwise(image: Image.Image) -> tuple[str, ...]:
    """What of `UNLIKE_A_VIEWER` an opened image has; told from its header."""
    found = []
    # Asked of a PNG without the tag, Pillow would decode it.
    if image.format != "PNG" or "exif" in image.info:
        try:
            turned = image.getexif().get(ExifTags.Base.Orientation, 1) not in (0, 1)
        except Exception:  # a damaged tag turns nothing
            turned = False
        found += ["orientation"] * turned
    if image.has_transparency_data:
        found.append("transparency")
    # A phone's second picture (MPO) is no viewer's concern.
    if image.format != "MPO" and getattr(image, "is_animated", False):
        found.append("pictures")
    return tuple(found)


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
            # Pillow warns that it is dropped; `unlike_a_viewer` has told.
            image.info.pop("transparency", None)
            # Of what is RGB already `convert` would make a copy, while other threads wait.
            return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
    except MemoryError:
        raise
    except Exception as error:  # Pillow's decoders raise whatever damaged data lead them to
        raise InputError(f"{label}: cannot be decoded ({error})") from None
