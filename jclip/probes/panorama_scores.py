"""Scores of panoramas as they are stored: a column per picture, and what is no score."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from jclip.probes.scores import Scores


@dataclasses.dataclass(kw_only=True)
class PanoramaScores(Scores):
    """Scores of N panoramas of one set by one model; columns are called `NAME/PICTURE`.

    Attributes:
        fits: `[F]`, under which the panorama was turned.
        orbits: `[N, F]`, scores of the mean of the embeddings of several yaws.
        features: `[N, F, E]`, of the panorama as it is, not normalised; of a generator's own
            eight pictures, which are under no fit, `[N, 8, E]`.
        seams: `[N, 9]`, the Discontinuity Score at all eighths of a turn, and PanoEval's.
    """

    fits: tuple[str, ...]
    orbits: Float[np.ndarray, "n f"]
    features: Float[np.ndarray, "n v e"]
    seams: Float[np.ndarray, "n 9"]

    @property
    def names(self) -> tuple[str, ...]:
        """Of all measures, in the order of their columns."""
        return tuple(dict.fromkeys(column.rpartition("/")[0] for column in self.columns))

    def pictures_of(self, name: str) -> Float[np.ndarray, "n k"]:
        """The scores of all pictures of a measure, `[N, K]`."""
        at = [k for k, column in enumerate(self.columns) if column.rpartition("/")[0] == name]
        return self.values[:, at]

    @property
    def _arrays(self) -> dict[str, np.ndarray]:
        names = ("values", "orbits", "features", "seams")
        return {name: getattr(self, name) for name in names}

    def _per_image(self) -> tuple[str, ...]:
        return ("images", "orbits", "features", "seams")

    def store(self, rows: Sequence[int], part: Any) -> None:
        """Take in what was measured of some images: values, orbits, features and seams."""
        for array, own in zip(self._arrays.values(), part, strict=True):
            array[list(rows)] = own

    def to_table(self) -> pa.Table:
        """One row per image: image_set, model, fit, image, and lists of all that was measured."""
        own = {name: pa.repeat(value, len(self.images)) for name, value in self.named.items()}
        lists = {name: _listed(array) for name, array in self._arrays.items()}
        return pa.table({**own, "image": pa.array(self.images, pa.string()), **lists})

    def fill(self, table: pa.Table) -> None:
        """Take in what `to_table` wrote of some images, by their names."""
        if rows := list(self._rows_of(table)):
            for name, array in self._arrays.items():
                found = table[name].combine_chunks().flatten().to_numpy()
                array[rows] = found.reshape(len(rows), *array.shape[1:])


def _listed(array: Float[np.ndarray, "n *rest"]) -> pa.Array:
    """A list per row; not of a fixed size, which may be none."""
    width = int(np.prod(array.shape[1:]))
    offsets = pa.array(np.arange(len(array) + 1, dtype=np.int32) * width)
    return pa.ListArray.from_arrays(offsets, pa.array(array.ravel()))
