"""What the shift probe measures: the type that statistics and reports read."""

import dataclasses

import numpy as np
from jaxtyping import Float, Int


@dataclasses.dataclass(frozen=True)
class ShiftScores:
    """Scores of N panoramas of one set at S shifts, by one model under one fit.

    Rows are panoramas, `heights` and `widths` are theirs in pixels. `shifts` are pixels of the
    source, to the right, and differ between rows where widths differ; column 0 is the unshifted
    panorama. `scores` are 100 x cosine, and so is `mirrored`, of the unshifted panorama flipped
    left to right (NaN where that was not asked for).
    """

    image_set: str
    model: str
    fit: str
    images: tuple[str, ...]
    captions: tuple[str, ...]
    heights: Int[np.ndarray, " n"]
    widths: Int[np.ndarray, " n"]
    shifts: Int[np.ndarray, "n s"]
    scores: Float[np.ndarray, "n s"]
    mirrored: Float[np.ndarray, " n"]

    @property
    def label(self) -> tuple[str, str, str]:
        """Set, model and fit: what tells the results of one run apart."""
        return self.image_set, self.model, self.fit
