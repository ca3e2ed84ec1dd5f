"""Where an image lands in the square that a vision tower sees, for every way of fitting it."""

import dataclasses
from typing import Literal, get_args

from jclip.errors import InputError
from jclip.images.arguments import whole_number

Fit = Literal["crop", "squash", "pad", "tiles"]
LARGEST_RATIO = 1000
"""Of the sides of what becomes a square; the cost of resizing the longer one grows with it."""


@dataclasses.dataclass(frozen=True)
class Placement:
    """How an image becomes `size x size` pixels: cut, resize, crop or add bars. All in pixels.

    Attributes:
        tile_starts: First source column of each part that is cut out and resized on its own; one
            part, starting at column 0, unless the fit is `tiles`.
        tile_width: Columns of each part.
        resized: Height and width after resizing.
        window: Height and width kept after resizing.
        offset: First row and column of that window.
        bars: Black pixels above, below, left and right of it.
    """

    tile_starts: tuple[int, ...]
    tile_width: int
    resized: tuple[int, int]
    window: tuple[int, int]
    offset: tuple[int, int]
    bars: tuple[int, int, int, int]


def place(height: int, width: int, size: int, fit: Fit) -> Placement:
    """Place an image of `height x width` pixels into `size x size` pixels.

    `crop` is torchvision's Resize of the shortest side and CenterCrop; `squash` resizes the whole
    image; `pad` is open_clip's resize mode "longest" with black bars; `tiles` cuts two squares out
    of a panorama, centred on yaw 0 (column W/2) and yaw 180 degrees (column 0).

    Raises:
        InputError: one side is more than `LARGEST_RATIO` times the other, `pad` leaves nothing of
            the shorter side, or `tiles` is asked of an image narrower than high.
        TypeError: A length is no whole number.
        ValueError: The fit is unknown, or a length is not positive.
    """
    height, width = whole_number("height", height, None), whole_number("width", width, None)
    size = whole_number("size", size, None)
    if min(height, width, size) < 1:
        raise ValueError(f"cannot fit {height} x {width} pixels into {size} x {size}")
    if max(height, width) > LARGEST_RATIO * min(height, width):
        raise InputError(
            f"an image of {width} x {height} pixels: one side may be at most {LARGEST_RATIO} times "
            "as long as the other"
        )
    whole = ((0,), width)
    square = (size, size)
    if fit == "crop":
        short, long = sorted((height, width))
        longer = int(size * long / short)
        resized = (size, longer) if height <= width else (longer, size)
        # Python rounds half to even here, and so does torchvision's CenterCrop.
        offset = (round((resized[0] - size) / 2.0), round((resized[1] - size) / 2.0))
        return Placement(*whole, resized, square, offset, (0, 0, 0, 0))
    if fit == "squash":
        return Placement(*whole, square, square, (0, 0), (0, 0, 0, 0))
    if fit == "pad":
        ratio = max(height, width) / size
        resized = (round(height / ratio), round(width / ratio))
        if min(resized) < 1:
            raise InputError(
                f"an image of {width} x {height} pixels is too narrow for fit 'pad' at size {size}"
            )
        above, left = (size - resized[0]) // 2, (size - resized[1]) // 2
        bars = (above, size - resized[0] - above, left, size - resized[1] - left)
        return Placement(*whole, resized, resized, (0, 0), bars)
    if fit == "tiles":
        if width < height:
            raise InputError(
                f"fit 'tiles' needs a panorama at least as wide as high, not {width} x {height}"
            )
        front = (width - height) // 2
        starts = (front, (front + width // 2) % width)
        return Placement(starts, height, square, square, (0, 0), (0, 0, 0, 0))
    raise ValueError(f"unknown fit {fit!r}; known: {', '.join(get_args(Fit))}")
