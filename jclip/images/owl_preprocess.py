"""Image preprocessing of OWL-ViT and OWLv2, on the host, and boxes in what the tower then sees.

Photos come in hundreds of sizes, for each of which a device would compile anew.
"""

import dataclasses
import functools

import numpy as np
from jaxtyping import Float, Float32, UInt8
from scipy import ndimage

from jclip.images.arguments import channel_values, check_pixels
from jclip.images.boxes import fit_square


@dataclasses.dataclass(frozen=True, kw_only=True)
class DetectorImages:
    """Preparation of an image for one detector.

    `size` is the side of the square, in pixels; `mean` and `std` are per RGB channel, of values in
    0 .. 1. OWL-ViT squashes the image into the square. OWLv2 (`padded`) first makes it a square
    with black bars to the right or below.
    """

    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    padded: bool


def detector_pixels(
    image: UInt8[np.ndarray, "height width 3"], config: DetectorImages
) -> Float32[np.ndarray, "size size 3"]:
    """One RGB image as the detector wants it, normalised.

    OWL-ViT's are resized as Pillow does (bicubic, 8 bits). OWLv2's equal, to float32 rounding, the
    processor of transformers 5 that needs no PyTorch: a Gaussian blur and linear interpolation
    (`scipy.ndimage`, borders mirrored) of the square with its bars. Two things differ elsewhere:
    older versions made the bars grey (0.5), also when paper 2 was written, which transformers
    corrected in its pull request 41938; and its PyTorch processor blurs with a shorter kernel.

    Raises:
        TypeError: the image is no array of uint8.
        ValueError: it is not `[H, W, 3]`, or a mean or standard deviation is out of range.
    """
    check_pixels("image", image, "H W 3")
    channel_values("mean", config.mean)
    channel_values("std", config.std)
    if config.padded:
        unit = _resized_square(image.astype(np.float32) / 255, config.size)
    else:
        squashed = fit_square(image, config.size, "squash", "bicubic")
        unit = squashed.astype(np.float32) / 255
    mean, std = (np.array(each, np.float32) for each in (config.mean, config.std))
    return (unit - mean) / std


def _resized_square(
    image: Float32[np.ndarray, "height width 3"], size: int
) -> Float32[np.ndarray, "size size 3"]:
    # Black bars add nothing to the sums, so they are never made. Weights are positive and sum to
    # 1, so that nothing has to be clipped afterwards, as the library does.
    height, width = image.shape[:2]
    rows, columns = (_line_weights(max(height, width), kept, size) for kept in (height, width))
    resized = (rows @ image.reshape(height, -1)).reshape(size, width, 3)
    return np.ascontiguousarray(np.tensordot(columns, resized, axes=(1, 1)).swapaxes(0, 1))


@functools.lru_cache(maxsize=64)
def _line_weights(length: int, kept: int, size: int) -> Float32[np.ndarray, "size kept"]:
    """Blurring and resizing an axis of `length` to `size`, of which the first `kept` count."""
    lines = np.eye(length, kept)
    if length > size:
        sigma = (length / size - 1) / 2
        lines = ndimage.gaussian_filter1d(lines, sigma, axis=0, mode="mirror")
    zoomed = ndimage.zoom(lines, (size / length, 1), order=1, mode="mirror", grid_mode=True)
    return np.asarray(zoomed, np.float32)


def tower_boxes(
    boxes: Float[np.ndarray, "b 4"], height: int, width: int, config: DetectorImages
) -> Float32[np.ndarray, "b 4"]:
    """Boxes `[x, y, w, h]` in pixels of an image as x1, y1, x2, y2 in 0 .. 1 of the tower's square.

    There the detector predicts, and overlaps are what they are in pixels.
    """
    sides = (max(height, width),) * 2 if config.padded else (width, height)
    corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    return (corners / (*sides, *sides)).astype(np.float32)
