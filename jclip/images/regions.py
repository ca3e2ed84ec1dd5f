"""RoIAlign with one bin as two vectors of weights a box, made on the host.

With one output bin, RoIAlign (He et al. 2017; torchvision's `roi_align` with `aligned=True` and as
many samples as cells) is separable: a region of a map F is `y @ F @ x`. So the device needs one
product for all boxes of all maps, and neither gathers nor ragged shapes.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int


class RegionWeights(NamedTuple):
    """How much of every row and every column of a map is in each box; both sum to 1 inside it."""

    y: Float32[np.ndarray, "r rows"]
    x: Float32[np.ndarray, "r columns"]


def region_weights(boxes: Float[np.ndarray, "r 4"], grid: tuple[int, int]) -> RegionWeights:
    """Weights of boxes `(x1, y1, x2, y2)`, in cells, over the rows and columns of a map.

    Args:
        boxes: a cell's first corner is at whole numbers; what is outside of the map counts 0, and
            beyond the centre of the last cell that cell goes on.
        grid: rows and columns of the map.

    Returns:
        `[R, rows]` and `[R, columns]`. A box of less than a cell is one bilinear sample at its
        centre; one without area has no weights but zeros.
    """
    boxes = np.asarray(boxes, np.float32)
    rows, columns = grid
    y = _axis_weights(boxes[:, 1], boxes[:, 3], rows)
    return RegionWeights(y, _axis_weights(boxes[:, 0], boxes[:, 2], columns))


def boxes_in_cells(
    boxes: Float[np.ndarray, "r 4"],
    sizes: Int[np.ndarray, "#r 2"],
    grid: tuple[int, int],
) -> Float32[np.ndarray, "r 4"]:
    """Boxes `[x, y, w, h]` in pixels of their pictures as corners `(x1, y1, x2, y2)` in cells.

    Args:
        boxes: of pictures that became the tower's input whole.
        sizes: height and width of each one's picture, in pixels.
        grid: rows and columns of cells that the picture became.
    """
    low = boxes[:, :2]
    corners = np.concatenate([low, low + boxes[:, 2:]], axis=1)
    scale = np.tile(np.asarray(grid, np.float64)[::-1] / np.asarray(sizes)[:, ::-1], 2)
    return (corners * scale).astype(np.float32)


def _axis_weights(
    start: Float32[np.ndarray, " r"], end: Float32[np.ndarray, " r"], cells: int
) -> Float32[np.ndarray, "r cells"]:
    """Mean over a box's samples of their linear weights, in float32 as torchvision has it."""
    half = np.float32(0.5)
    start, end = start - half, end - half
    size = end - start
    # The number of samples is the size in cells, rounded up; each box has its own.
    samples = np.maximum(np.ceil(size), 0).astype(np.int64)
    box = np.repeat(np.arange(len(samples)), samples)
    number = np.arange(len(box)) - np.repeat(np.cumsum(samples) - samples, samples)
    at = start[box] + (number.astype(np.float32) + half) * size[box] / samples[box].astype(
        np.float32
    )
    inside = (at >= -1) & (at <= cells)
    box, at = box[inside], np.clip(at[inside], 0, cells - 1)
    low = at.astype(np.int64)
    part = at - low
    high = np.minimum(low + 1, cells - 1)
    where = np.concatenate([box * cells + low, box * cells + high])
    summed = np.bincount(where, np.concatenate([1 - part, part]), len(samples) * cells)
    mean = summed.reshape(-1, cells) / np.maximum(samples, 1)[:, None]
    return mean.astype(np.float32)
