"""Paired tests, vectorised over columns."""

from typing import Literal

import numpy as np
import scipy.stats
from jaxtyping import Bool, Float

__all__ = ["wilcoxon_signed_rank"]


def wilcoxon_signed_rank(
    differences: Float[np.ndarray, "n t"], alternative: Literal["less", "greater"]
) -> tuple[Float[np.ndarray, " t"], Float[np.ndarray, " t"]]:
    """One-sided Wilcoxon signed-rank test of every column, with scipy's defaults.

    Equals `scipy.stats.wilcoxon(column, alternative=alternative)` of each column on its own.

    Args:
        differences: paired differences `[N, T]`, one test per column.
        alternative: where the differences lie under the alternative, below or above zero.

    Returns:
        statistic: `[T]`, the sum of the ranks of the positive differences.
        p: `[T]`, one-sided p values.

    Raises:
        ValueError: a column holds only zeros, which leaves nothing to rank.
    """
    columns = np.asarray(differences, np.float64)
    if np.any(zeros := np.all(columns == 0, axis=0)):
        raise ValueError(f"every difference is zero in column {int(np.argmax(zeros))}")
    statistic = np.empty(columns.shape[1])
    p = np.empty(columns.shape[1])
    # scipy picks one method for the whole array: a tie in one column would take the exact test
    # from all the others. Columns with and without ties are therefore tested apart.
    tied = _has_ties_or_zeros(columns)
    for group in (np.flatnonzero(tied), np.flatnonzero(~tied)):
        for start in range(0, len(group), _COLUMNS_AT_A_TIME):
            chunk = group[start : start + _COLUMNS_AT_A_TIME]
            result = scipy.stats.wilcoxon(columns[:, chunk], alternative=alternative, axis=0)
            statistic[chunk], p[chunk] = np.asarray(result)
    return statistic, p


# Up to 13 images with ties scipy enumerates 2**13 sign patterns, 1 MB per column.
_COLUMNS_AT_A_TIME = 64


def _has_ties_or_zeros(columns: Float[np.ndarray, "n t"]) -> Bool[np.ndarray, " t"]:
    magnitudes = np.sort(np.abs(columns), axis=0)
    return np.any(np.diff(magnitudes, axis=0) == 0, axis=0) | (magnitudes[0] == 0)
