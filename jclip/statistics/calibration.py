"""The stability bound beta: how much a score changes when a panorama is mirrored."""

import numpy as np
from jaxtyping import Float

__all__ = ["flip_bound"]


def flip_bound(scores: Float[np.ndarray, " n"], flipped: Float[np.ndarray, " n"]) -> float:
    """Beta = Q3 + 1.5 (Q3 - Q1) of |score - score of the mirrored panorama|, in score units.

    Paper 1 does not say whether differences are signed nor how quartiles are interpolated; these
    are absolute differences and numpy's linear quantiles.
    """
    first, third = np.quantile(np.abs(scores - flipped), (0.25, 0.75))
    return float(third + 1.5 * (third - first))
