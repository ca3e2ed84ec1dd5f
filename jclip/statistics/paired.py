"""Paired tests and effect sizes, vectorised over columns."""

from typing import Literal

import numpy as np
import scipy
from jaxtyping import Bool, Float, Int

from jclip.statistics.intervals import check_confidence


def wilcoxon_signed_rank(
    differences: Float[np.ndarray, "n t"], alternative: Literal["less", "greater"]
) -> tuple[Float[np.ndarray, " t"], Float[np.ndarray, " t"]]:
    """One-sided Wilcoxon signed-rank test of every column, with scipy's defaults.

    Equals `scipy.stats.wilcoxon(column, alternative=alternative)` of each column on its own, where
    paired differences lie below or above zero under the alternative.

    Returns:
        The sums of the ranks of the positive differences and the p values, `[T]` each.

    Raises:
        ValueError: a column holds only zeros, which leaves nothing to rank.
    """
    columns = np.asarray(differences, np.float64)
    if np.any(zeros := np.all(columns == 0, axis=0)):
        raise ValueError(f"every difference is zero in column {int(np.argmax(zeros))}")
    statistic, p = np.empty((2, columns.shape[1]))
    # scipy picks one method for the whole array: a tie in one column would take the exact test
    # from all the others. Columns with and without ties are therefore tested apart.
    tied = _has_ties_or_zeros(columns)
    for group in (np.flatnonzero(tied), np.flatnonzero(~tied)):
        for start in range(0, len(group), _COLUMNS_AT_A_TIME):
            chunk = group[start : start + _COLUMNS_AT_A_TIME]
            result = scipy.stats.wilcoxon(columns[:, chunk], alternative=alternative, axis=0)
            statistic[chunk], p[chunk] = np.asarray(result)
    return statistic, p


def sign_test(
    differences: Float[np.ndarray, "n t"], alternative: Literal["less", "greater"]
) -> Float[np.ndarray, " t"]:
    """Exact one-sided sign test of every column's median against zero, p values `[T]`.

    Unlike the signed-rank test, whose arguments it has, it does not need a symmetric distribution.
    Zeros are dropped, as they are there; a column of nothing else has p = 1.

    Raises:
        ValueError: a difference is not finite.
    """
    columns = _finite(differences)
    positive = np.count_nonzero(columns > 0, axis=0)
    negative = np.count_nonzero(columns < 0, axis=0)
    against = positive if alternative == "less" else negative
    return scipy.stats.binom.cdf(against, positive + negative, 0.5)


def rank_biserial(differences: Float[np.ndarray, "n t"]) -> Float[np.ndarray, " t"]:
    """Matched-pairs rank-biserial correlation of every column: (T+ - T-) / (T+ + T-).

    T+ and T- are the rank sums of the positive and negative differences (Kerby 2014,
    Comprehensive Psychology 3): 1 where all are positive, -1 where all are negative, about 0 where
    neither outweighs the other. Zeros are dropped before ranking; NaN where nothing else is left.

    Raises:
        ValueError: a difference is not finite.
    """
    columns = _finite(differences)
    zeros = np.count_nonzero(columns == 0, axis=0)
    # Zeros hold the lowest ranks, so that dropping them lowers every other rank by their number.
    ranks = scipy.stats.rankdata(np.abs(columns), axis=0) - zeros
    balance = np.sum(np.sign(columns) * ranks, axis=0)
    left = len(columns) - zeros
    total = left * (left + 1) / 2
    return np.divide(balance, total, out=np.full(len(total), np.nan), where=total > 0)


def hodges_lehmann(
    differences: Float[np.ndarray, "n t"], confidence: float = 0.95
) -> tuple[Float[np.ndarray, " t"], Float[np.ndarray, " t"], Float[np.ndarray, " t"]]:
    """Hodges-Lehmann location of every column: the median of its Walsh averages (x_i + x_j) / 2.

    The interval holds every location that the two-sided signed-rank test does not reject: the k-th
    smallest to the k-th largest Walsh average (Hollander, Wolfe and Chicken, section 3.3). It
    assumes a symmetric distribution, but no particular one. k comes from the exact distribution of
    the statistic up to 200 values and from its normal approximation above. Zeros are kept.

    No such interval exists below n = log2(2 / (1 - confidence)) values, 6 at 95 %: NaN then.

    Returns:
        Estimate, lower and upper limit: `[T]` each, in the units of the differences.

    Raises:
        InputError: confidence outside (0, 1).
        ValueError: no differences, or one that is not finite.
    """
    check_confidence(confidence)
    columns = np.sort(_finite(differences), axis=0)
    n = len(columns)
    if n == 0:
        raise ValueError("no differences")
    averages = n * (n + 1) // 2
    k = _signed_rank_depth(n, confidence)
    ranks = np.array([(averages + 1) // 2, averages // 2 + 1, max(k, 1), averages + 1 - max(k, 1)])
    found = np.array([_walsh_averages(column, ranks) for column in np.ascontiguousarray(columns.T)])
    first, second, low, high = found.reshape(-1, len(ranks)).T
    if k == 0:
        low[:] = high[:] = np.nan
    return (first + second) / 2, low, high


# Up to 13 images with ties scipy enumerates 2**13 sign patterns, 1 MB per column.
_COLUMNS_AT_A_TIME = 64


def _has_ties_or_zeros(columns: Float[np.ndarray, "n t"]) -> Bool[np.ndarray, " t"]:
    magnitudes = np.sort(np.abs(columns), axis=0)
    return np.any(np.diff(magnitudes, axis=0) == 0, axis=0) | (magnitudes[0] == 0)


def _finite(differences: Float[np.ndarray, "n t"]) -> Float[np.ndarray, "n t"]:
    if not np.all(np.isfinite(differences)):
        row, column = np.argwhere(~np.isfinite(differences))[0]
        raise ValueError(f"difference {row} of column {column} is {differences[row, column]}")
    return np.asarray(differences, np.float64)


_LARGEST_EXACT_SIGNED_RANK = 200


def _signed_rank_depth(n: int, confidence: float) -> int:
    """The largest k with P(signed-rank statistic of n values < k) <= (1 - confidence) / 2."""
    tail = (1 - confidence) / 2
    if n > _LARGEST_EXACT_SIGNED_RANK:
        deviation = np.sqrt(n * (n + 1) * (2 * n + 1) / 24)
        mean = n * (n + 1) / 4
        return int(np.floor(mean + 0.5 + scipy.special.ndtri(tail) * deviation))
    probability = np.ones(1)
    for rank in range(1, n + 1):
        without = np.pad(probability, (0, rank))
        probability = (without + np.roll(without, rank)) / 2
    return int(np.count_nonzero(np.cumsum(probability) <= tail))


def _walsh_averages(
    ordered: Float[np.ndarray, " n"], ranks: Int[np.ndarray, " k"]
) -> Float[np.ndarray, " k"]:
    """The Walsh averages of these ranks, counted from 1, without forming all N (N + 1) / 2.

    Bisects the sum x_i + x_j by the number of pairs i <= j at or below it, O(N log N) a step.
    """
    low = np.full(len(ranks), np.nextafter(2 * ordered[0], -np.inf))
    high = np.full(len(ranks), 2 * ordered[-1])
    for _ in range(np.finfo(np.float64).nmant):
        middle = low + (high - low) / 2
        partners = np.searchsorted(ordered, middle[:, None] - ordered, side="right")
        diagonal = np.searchsorted(2 * ordered, middle, side="right")
        enough = (np.sum(partners, axis=1) + diagonal) // 2 >= ranks
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    # The smallest sum above the lower end, so that the result is a Walsh average and no midpoint.
    partners = np.searchsorted(ordered, low[:, None] - ordered, side="right")
    following = np.append(ordered, np.inf)[partners] + ordered
    return np.min(np.where(following > low[:, None], following, high[:, None]), axis=1) / 2
