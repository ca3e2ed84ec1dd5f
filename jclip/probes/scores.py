"""What the shift probe measures: the type that statistics and reports read."""

import dataclasses

import numpy as np
from jaxtyping import Float, Int

__all__ = ["ShiftScores"]


@dataclasses.dataclass(frozen=True)
class ShiftScores:
    """Scores of N panoramas at S shifts by one model under one fit.

    Rows are panoramas. `shifts` are pixels of the source, to the right, and differ between rows
    where widths differ; column 0 is the unshifted panorama. `scores` are 100 x cosine.
    """

    model: str
    fit: str
    images: tuple[str, ...]
    captions: tuple[str, ...]
    widths: Int[np.ndarray, " n"]
    shifts: Int[np.ndarray, "n s"]
    scores: Float[np.ndarray, "n s"]
