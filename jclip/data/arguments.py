"""Images, captions and boxes as a caller has them, checked, and refused by the argument's name."""

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, get_args

import jax
import numpy as np
from jaxtyping import Float64
from PIL import Image

from jclip.data.images import ImageFile, holds_16_bits, inspect_images
from jclip.errors import InputError
from jclip.images.boxes import BOX_ROUNDING
from jclip.text.cleaning import is_unicode, repaired


def images_argument(images: Any, name: str = "images") -> list[ImageFile]:
    """Several images, of any sizes; files are not decoded yet.

    Args:
        images: a list of PIL images, RGB arrays `[H, W, 3] uint8` and paths, or one array
            `[N, H, W, 3] uint8`.
        name: what errors call the argument.

    Raises:
        InputError: a single image, no image, or one that cannot be an image; it is named.
    """
    if isinstance(images, str | os.PathLike | Image.Image):
        raise InputError(f"{name}: a single image where a list is meant; write [image]")
    if isinstance(images, np.ndarray | jax.Array) and images.ndim != 4:
        raise InputError(
            f"{name}: an array of shape {images.shape}; several images are [N, H, W, 3], and a "
            "single one [H, W, 3] goes into a list, [image]"
        )
    found = _listed(images, name, "images")
    return [image_argument(image, f"{name}[{row}]") for row, image in enumerate(found)]


def image_argument(image: Any, name: str = "image") -> ImageFile:
    """One image: a PIL image, an RGB array `[H, W, 3] uint8`, or a path.

    Raises:
        InputError: it is none of these, or a file that cannot be read.
    """
    if isinstance(image, str | os.PathLike):
        try:
            (found,) = inspect_images([Path(image)])
        except InputError as error:
            raise InputError(f"{name}: {error}") from None
        return dataclasses.replace(found, name=name)
    if isinstance(image, Image.Image):
        return _pil_image(image, name)
    if not isinstance(image, np.ndarray | jax.Array):
        raise InputError(
            f"{name}: a {type(image).__name__} is no image; PIL images, arrays and paths are"
        )
    pixels = np.asarray(image)
    if pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        order = "channels come last" if pixels.ndim == 3 and pixels.shape[0] == 3 else "RGB"
        raise InputError(f"{name}: shape {pixels.shape}, not [H, W, 3] ({order})")
    if pixels.dtype != np.uint8:
        raise InputError(f"{name}: {pixels.dtype} values; pixels are uint8, 0 to 255")
    return ImageFile(name, lambda: pixels, *pixels.shape[:2], digest="")


def _pil_image(image: Image.Image, name: str) -> ImageFile:
    try:
        # Opened files are decoded here, since Pillow cannot do that in two threads at once.
        image.load()
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{name}: cannot be decoded ({error})") from None
    if holds_16_bits(image):
        raise InputError(f"{name}: 16-bit image; convert it to 8 bits per channel first")
    if 0 in image.size:
        raise InputError(f"{name}: an image without pixels")
    return ImageFile(
        name, lambda: np.asarray(image.convert("RGB")), image.height, image.width, digest=""
    )


def texts_argument(texts: Any, name: str = "captions", count: int | None = None) -> list[str]:
    """Several texts.

    Args:
        texts: a list of them.
        name: what errors call the argument.
        count: how many there have to be; None for any number.

    Raises:
        InputError: a single text, no text, a blank one, or another number.
    """
    if isinstance(texts, str):
        raise InputError(f"{name}: a single text where a list is meant; write [text]")
    found = _listed(texts, name, "texts")
    for row, text in enumerate(found):
        if not isinstance(text, str):
            raise InputError(f"{name}[{row}]: a {type(text).__name__} where a text is meant")
        if not is_unicode(text):
            raise InputError(f"{name}[{row}]: half a surrogate pair, no Unicode, in {text!a:.80}")
        if not repaired(text):
            raise InputError(f"{name}[{row}]: a blank text")
    if count is not None and len(found) != count:
        raise InputError(f"{name}: {len(found)} for {count} images, one for each")
    return found


def one_of(name: str, value: Any, choices: Any) -> Any:
    """The value, if a `Literal` allows it.

    Raises:
        InputError: it does not.
    """
    known = get_args(choices)
    if value not in known:
        raise InputError(f"{name}: {value!r:.60} is none of {', '.join(map(str, known))}")
    return value


def boxes_argument(boxes: Any, image: ImageFile) -> Float64[np.ndarray, "b 4"]:
    """Boxes `[x, y, w, h]` in pixels of an image, x and y of the upper left corner.

    Raises:
        InputError: not four numbers each, no box, or one that is empty or not inside the image.
    """
    try:
        found = np.asarray(boxes)
    except (TypeError, ValueError):
        found = np.empty((0, 4))
    # Words and truth values would be taken for numbers.
    found = found.astype(np.float64) if found.dtype.kind in "iuf" else np.empty((0, 4))
    if found.ndim != 2 or found.shape[1] != 4 or len(found) == 0:
        raise InputError("boxes: not a list of boxes [x, y, w, h]")
    inside = np.array([image.width, image.height]) + BOX_ROUNDING
    for row, box in enumerate(found):
        corner, sides = box[:2], box[2:]
        wrong = None
        if not (np.isfinite(box).all() and sides.min() > 0):
            wrong = "has no size"
        elif corner.min() < -BOX_ROUNDING or (corner + sides > inside).any():
            wrong = f"reaches out of the image of {image.width} x {image.height} pixels"
        if wrong:
            raise InputError(f"boxes[{row}]: {box.tolist()} {wrong}; a box is [x, y, w, h]")
    return found


def captions_of_boxes(captions: Any, boxes: int) -> list[list[str]]:
    """The right caption of every box, and wrong ones after it.

    Raises:
        InputError: not one list per box, a list without a wrong caption, or one with the right
            caption among the wrong ones.
    """
    if isinstance(captions, str) or not isinstance(captions, Sequence | np.ndarray):
        raise InputError("captions: a list of captions for every box is meant")
    if len(captions) != boxes:
        raise InputError(f"captions: {len(captions)} lists for {boxes} boxes, one for each")
    found = [texts_argument(own, f"captions[{row}]") for row, own in enumerate(captions)]
    for row, (right, *wrong) in enumerate(found):
        if not wrong:
            raise InputError(f"captions[{row}]: no wrong caption after the right one")
        if right in wrong:
            raise InputError(f"captions[{row}]: the right caption is among the wrong ones")
    return found


def _listed(values: Any, name: str, what: str) -> list[Any]:
    unordered = isinstance(values, Mapping | Set | bytes)
    if unordered or not isinstance(values, Iterable):
        raise InputError(f"{name}: a {type(values).__name__} where a list of {what} is meant")
    found = list(values)
    if not found:
        raise InputError(f"{name}: an empty list")
    return found
