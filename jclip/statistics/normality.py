"""How far score changes are from a normal distribution."""

import warnings

import numpy as np
import scipy
from jaxtyping import Float

# The normal approximation behind the p value was fitted up to here (Royston 1995, AS R94).
_MOST_IMAGES = 5000


def shapiro_wilk(
    values: Float[np.ndarray, "n t"],
) -> tuple[Float[np.ndarray, " t"], Float[np.ndarray, " t"]]:
    """Shapiro-Wilk test of every column: statistic W and p value, `[T]` each.

    Equals `scipy.stats.shapiro` column by column. Both are NaN with fewer than 3 values or all of
    them equal, and p with more than 5000, where its approximation is not known to hold.
    """
    n, columns = values.shape
    statistic, p = np.full(columns, np.nan), np.full(columns, np.nan)
    defined = np.ptp(values, axis=0) > 0
    if n < 3 or not defined.any():
        return statistic, p
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "scipy.stats.shapiro: For N > 5000")
        result = scipy.stats.shapiro(values[:, defined], axis=0)
    statistic[defined] = result.statistic
    if n <= _MOST_IMAGES:
        p[defined] = result.pvalue
    return statistic, p
