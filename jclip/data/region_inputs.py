"""Pictures that are embedded whole, and the weights of the boxes in each."""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, Int64

from jclip.checkpoints import ImageConfig
from jclip.data.boxes import BoxTable
from jclip.data.feature_inputs import square_part
from jclip.data.images import ImageFile
from jclip.images import Fit, Patches
from jclip.images.regions import RegionWeights, boxes_in_cells, region_weights


@dataclasses.dataclass(frozen=True)
class RegionInputs:
    """P pictures, as the tower takes them, and the distinct boxes in each.

    Attributes:
        pictures: whole, squashed to the tower's square or, where it takes every shape, native.
        boxes: of each picture, which of the D distinct boxes are in it.
        weights: of these boxes over the picture's rows and columns of patches.
        cells: `[D]`, how many patches each box covers.
    """

    pictures: tuple[ImageFile, ...]
    boxes: tuple[Int64[np.ndarray, " _"], ...]
    weights: tuple[RegionWeights, ...]
    cells: Float64[np.ndarray, " d"]

    def padded(
        self, rows: int, pictures: tuple[int, ...]
    ) -> tuple[Float32[np.ndarray, "n b rows"], Float32[np.ndarray, "n b columns"]]:
        """Weights of some pictures of one shape, in arrays of N `rows`, zeros where no box is.

        The number of boxes is rounded up to a power of two, so that few are compiled.
        """
        most = 1 << (max(len(self.boxes[one]) for one in pictures) - 1).bit_length()
        first = self.weights[pictures[0]]
        padded = [np.zeros((rows, most, axis.shape[1]), np.float32) for axis in first]
        for row, one in enumerate(pictures):
            for target, axis in zip(padded, self.weights[one], strict=True):
                target[row, : len(axis)] = axis
        return padded[0], padded[1]


def region_fit(config: ImageConfig) -> Fit:
    """How a whole picture enters a tower whose map has regions: nothing of it is cut off."""
    return "native" if isinstance(config.size, Patches) else "squash"


def fixed_grid(config: ImageConfig) -> tuple[int, int] | None:
    """The grid that FG-CLIP's code takes for that of every tower; None where it takes the tower's.

    It is 24 x 24 at 336 pixels, and 14 x 14 else. FG-CLIP 2's code asks the picture.
    """
    if isinstance(config.size, Patches):
        return None
    return (24, 24) if config.size == 336 else (14, 14)


def region_inputs(
    table: BoxTable,
    files: Mapping[str, ImageFile],
    config: ImageConfig,
    patch_size: int,
    grid: tuple[int, int] | None = None,
) -> RegionInputs:
    """The pictures and the distinct boxes of a table.

    Args:
        table: boxes of several sets; see `BoxTable.distinct`.
        files: of its images, by name.
        config: of the checkpoint; `size` and `interpolation` matter.
        patch_size: in pixels.
        grid: rows and columns of the cells that boxes are given in; the picture's own by default.

    Raises:
        InputError: a picture cannot become what the tower takes.
    """
    rows, _ = table.distinct()
    of_boxes = table.image_rows[rows]
    numbers = np.unique(of_boxes).tolist()
    own = [np.flatnonzero(of_boxes == number) for number in numbers]
    found = [
        picture_regions(
            files[table.images[number].file], table.boxes[rows[some]], config, patch_size, grid
        )
        for number, some in zip(numbers, own, strict=True)
    ]
    cells = np.zeros(len(rows))
    for some, one in zip(own, found, strict=True):
        cells[some] = one.cells
    pictures, weights = zip(*((one.picture, one.weights) for one in found), strict=True)
    return RegionInputs(pictures, tuple(own), weights, cells)


class PictureRegions(NamedTuple):
    """A picture as the tower takes it; weights of boxes in it, and how many patches each covers."""

    picture: ImageFile
    weights: RegionWeights
    cells: Float64[np.ndarray, " b"]


def picture_regions(
    file: ImageFile,
    boxes: Float64[np.ndarray, "b 4"],
    config: ImageConfig,
    patch_size: int,
    grid: tuple[int, int] | None = None,
) -> PictureRegions:
    """One picture and boxes `[x, y, w, h]` in it, in pixels; other arguments as `region_inputs`.

    Raises:
        InputError: the picture cannot become what the tower takes.
    """
    picture = square_part(file.name, file, file.whole, config, region_fit(config))
    shape = picture.height // patch_size, picture.width // patch_size
    size = np.array([[file.height, file.width]])
    weights = region_weights(boxes_in_cells(boxes, size, grid or shape), shape)
    cells = boxes[:, 2:].prod(axis=1) * np.prod(shape) / size.prod()
    return PictureRegions(picture, weights, cells)
