"""Boxes cut out of images as paper 2 does, and fitted to a square on the host.

Every box has a size of its own, for which a device would compile anew; Pillow does not mind.
"""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from jclip.errors import InputError
from jclip.images.arguments import check_pixels
from jclip.images.geometry import Fit, Size, place
from jclip.images.resample import Interpolation
from jclip.images.sphere_fits import sphere_cameras

_FILTERS: dict[Interpolation, Image.Resampling] = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
}

BOX_ROUNDING = 0.05
"""How far a box may end outside of its image, in pixels: COCO's are rounded to hundredths."""


def crop_box(
    box: Sequence[float | int], scale: float, image_width: int, image_height: int
) -> tuple[int, int, int, int]:
    """The pixels `(x1, y1, x2, y2)` that a box `[x, y, w, h]` becomes, x2 and y2 exclusive.

    As in paper 2's code: the box grows by `scale` about its centre, moved by whole pixels, is cut
    at the image's borders, and is rounded outwards.

    Raises:
        InputError: nothing of the box is left, or `scale` is not positive.
    """
    x, y, w, h = box
    if not 0 < scale < math.inf:
        raise InputError(f"box scale {scale}: has to be positive")
    new_w, new_h = w * scale, h * scale
    x1, y1 = x - (new_w - w) // 2, y - (new_h - h) // 2
    x2, y2 = min(x1 + new_w, image_width), min(y1 + new_h, image_height)
    x1, y1 = max(x1, 0), max(y1, 0)
    corners = math.floor(x1), math.floor(y1), math.ceil(x2), math.ceil(y2)
    if corners[0] >= corners[2] or corners[1] >= corners[3]:
        raise InputError(
            f"box {list(box)} at scale {scale:g} leaves nothing of an image of "
            f"{image_width} x {image_height} pixels"
        )
    return corners


def fit_square(
    pixels: UInt8[np.ndarray, "h w 3"],
    size: Size,
    fit: Fit = "crop",
    interpolation: Interpolation = "bicubic",
) -> UInt8[np.ndarray, "rows columns 3"]:
    """One RGB image of any shape as a vision tower sees it, before normalising.

    Equal to `jclip.images.preprocess` of the same image, level by level.

    Raises:
        InputError: the fit is `tiles`, or impossible for this shape.
        TypeError: the pixels are no array of uint8, or `size` is no whole number.
        ValueError: the pixels are not `[H, W, 3]`, or there is no such fit or filter.
    """
    check_pixels("pixels", pixels, "H W 3")
    if interpolation not in _FILTERS:
        raise ValueError(f"unknown interpolation {interpolation!r}; known: {', '.join(_FILTERS)}")
    if fit == "tiles" or sphere_cameras(fit):
        raise InputError(f"fit {fit!r} is for panoramas: a plain image is no circle")
    height, width = pixels.shape[:2]
    placed = place(height, width, size, fit)
    (resized_height, resized_width), (top, left) = placed.resized, placed.offset
    (rows, columns), (above, _, before, _) = placed.window, placed.bars
    resized = Image.fromarray(pixels).resize(
        (resized_width, resized_height), _FILTERS[interpolation]
    )
    square = np.zeros((*placed.shape, 3), np.uint8)
    seen = np.asarray(resized)[top : top + rows, left : left + columns]
    square[above : above + rows, before : before + columns] = seen
    return square
