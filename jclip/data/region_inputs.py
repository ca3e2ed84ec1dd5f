"""Pictures that are embedded whole, and the weights of the boxes in each."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

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
    pictures = [files[table.images[number].file] for number in numbers]
    boxes = [table.boxes[rows[some]] for some in own]
    found = picture_regions(pictures, boxes, config, patch_size, grid)
    cells = np.zeros(len(rows))
    cells[np.concatenate(own)] = found.cells
    return dataclasses.replace(found, boxes=tuple(own), cells=cells)


def picture_regions(
    files: Sequence[ImageFile],
    boxes: Sequence[Float64[np.ndarray, "_ 4"]],
    config: ImageConfig,
    patch_size: int,
    grid: tuple[int, int] | None = None,
) -> RegionInputs:
    """Pictures and the boxes `[x, y, w, h]` in each, in pixels, numbered one after the other.

    Other arguments and errors are those of `region_inputs`.
    """
    fit = region_fit(config)
    pictures = [square_part(file.name, file, file.whole, config, fit) for file in files]
    counts = np.array([len(own) for own in boxes])
    owner = np.repeat(np.arange(len(files)), counts)
    every, sizes = np.concatenate(boxes), np.array([[file.height, file.width] for file in files])
    shapes = np.array([[one.height, one.width] for one in pictures]) // patch_size
    weights: dict[int, RegionWeights] = {}
    # All boxes of pictures of one shape at once: there may be thousands of pictures.
    for shape in np.unique(shapes, axis=0):
        members = np.flatnonzero((shapes == shape).all(axis=1))
        rows = np.flatnonzero(np.isin(owner, members))
        rows_and_columns = (int(shape[0]), int(shape[1]))
        cells = boxes_in_cells(every[rows], sizes[owner[rows]], grid or rows_and_columns)
        found = region_weights(cells, rows_and_columns)
        ends = np.cumsum(counts[members])[:-1]
        parts = zip(*(np.split(axis, ends) for axis in found), strict=True)
        weights |= dict(zip(members.tolist(), itertools.starmap(RegionWeights, parts), strict=True))
    shares = every[:, 2:].prod(axis=1) / sizes.prod(axis=1)[owner]
    return RegionInputs(
        pictures=tuple(pictures),
        boxes=tuple(np.split(np.arange(len(every)), np.cumsum(counts)[:-1])),
        weights=tuple(weights[number] for number in range(len(files))),
        cells=shares * shapes.prod(axis=1)[owner],
    )
