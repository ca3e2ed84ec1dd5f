"""Where an image lands in what a vision tower sees, a square but for `native`, for every fit."""

import dataclasses
import math
from typing import NamedTuple

from jclip.errors import InputError
from jclip.images.arguments import whole_number

FITS = ("crop", "squash", "pad", "tiles", "native")
Fit = str
"""How an image becomes a square: one of `FITS`, or of panoramas `cube`, `ring:N` or `tangent:N`."""


class Patches(NamedTuple):
    """The size of images for a tower that takes every shape (NaFlex).

    Attributes:
        side: of a patch, in pixels.
        budget: how many patches an image has at most.
    """

    side: int
    budget: int

    @property
    def square(self) -> int:
        """The side in pixels of the largest square within the budget."""
        return math.isqrt(self.budget) * self.side


Size = int | Patches
"""The side in pixels of the square that a tower takes, or what a tower takes that needs none."""
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

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of what the tower sees."""
        above, below, left, right = self.bars
        return above + self.window[0] + below, left + self.window[1] + right


def native_grid(height: int, width: int, size: Patches) -> tuple[int, int]:
    """Rows and columns of patches that an image gets of a budget; its aspect is nearly kept.

    The rule is that of SigLIP 2's image processor: the largest scale, found by halving, at which
    both sides, rounded up to whole patches, stay within the budget.
    """

    def patches(length: int, scale: float) -> int:
        return max(math.ceil(length * scale / size.side), 1)

    low, high = _PRECISION / 10, _LARGEST_SCALE
    while high - low >= _PRECISION:
        scale = (low + high) / 2
        within = patches(height, scale) * patches(width, scale) <= size.budget
        low, high = (scale, high) if within else (low, scale)
    return patches(height, low), patches(width, low)


_PRECISION, _LARGEST_SCALE = 1e-5, 100.0


def place(height: int, width: int, size: Size, fit: Fit) -> Placement:
    """Place an image of `height x width` pixels into `size x size` pixels.

    `crop` is torchvision's Resize of the shortest side and CenterCrop; `squash` resizes the whole
    image; `pad` is open_clip's resize mode "longest" with black bars; `tiles` cuts two squares out
    of a panorama, centred on yaw 0 (column W/2) and yaw 180 degrees (column 0). `native` resizes
    the whole image to what `native_grid` gives it; other fits take the largest square instead.

    Raises:
        InputError: one side is more than `LARGEST_RATIO` times the other, `pad` leaves nothing of
            the shorter side, `tiles` is asked of an image narrower than high, or `native` of a
            tower that takes squares or with too small a budget.
        TypeError: A length is no whole number.
        ValueError: The fit is unknown, or a length is not positive.
    """
    height, width = whole_number("height", height, None), whole_number("width", width, None)
    if fit == "native":
        return _native(height, width, size)
    size = size.square if isinstance(size, Patches) else whole_number("size", size, None)
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
    raise ValueError(f"unknown fit {fit!r}; known: {', '.join(FITS)}")


def _native(height: int, width: int, size: Size) -> Placement:
    if not isinstance(size, Patches):
        raise InputError("fit 'native' is for towers that take every shape (NaFlex)")
    if min(height, width, *size) < 1:
        raise ValueError(f"cannot fit {height} x {width} pixels into {size.budget} patches")
    if max(height, width) > 2 * size.budget * min(height, width):
        raise InputError(
            f"an image of {width} x {height} pixels is too narrow for fit 'native' with "
            f"{size.budget} patches"
        )
    rows, columns = native_grid(height, width, size)
    shape = rows * size.side, columns * size.side
    return Placement((0,), width, shape, shape, (0, 0), (0, 0, 0, 0))
