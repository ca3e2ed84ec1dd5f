"""Means of records that come in clusters, such as boxes of one picture: clusters are resampled."""

import numpy as np
import scipy
from jaxtyping import Float, Int

from jclip.statistics.intervals import Interval, check_confidence

_RESAMPLES = 2000
# Up to so many clusters that differ, all signs are tried.
_EXACT_CLUSTERS = 20
_SIGNS = 20_000
# Sums of shares such as 1/3 round; what is nearer than this is equal.
_DIGITS = 9


def cluster_interval(
    values: Float[np.ndarray, "n k"],
    clusters: Int[np.ndarray, " n"],
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap of the mean of every column, `[K]`: 2000 draws of whole clusters.

    Args:
        values: of N records; NaN where a record has none.
        clusters: which one each record belongs to, as any number.
        confidence: of the interval.
        seed: of the draws.

    Returns:
        NaN for a column without values, or where a resample has none.

    Raises:
        InputError: confidence outside (0, 1).
        ValueError: no records.
    """
    check_confidence(confidence)
    if len(values) == 0:
        raise ValueError("no records")
    there = ~np.isnan(values)
    sums = _by_cluster(np.where(there, values, 0), clusters)
    counts = _by_cluster(there.astype(np.float64), clusters)
    tail = (1 - confidence) / 2
    limits = [
        np.quantile(_resampled_means(*column, seed), (tail, 1 - tail))
        for column in zip(sums.T, counts.T, strict=True)
    ]
    return Interval(*np.transpose(limits))


def _resampled_means(
    sums: Float[np.ndarray, " c"], counts: Float[np.ndarray, " c"], seed: int
) -> Float[np.ndarray, " resamples"]:
    """Means of resamples; clusters of one sum and count are alike: only their number is drawn."""
    kinds = np.column_stack([sums.round(_DIGITS), counts])
    kinds, number = np.unique(kinds, axis=0, return_counts=True)
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(len(sums), number / len(sums), size=_RESAMPLES)
    with np.errstate(invalid="ignore"):
        return (drawn @ kinds[:, 0]) / (drawn @ kinds[:, 1])


def cluster_sign_flip(
    differences: Float[np.ndarray, " n"], clusters: Int[np.ndarray, " n"], seed: int = 0
) -> float:
    """Two-sided p of a mean difference of zero, by flipping the signs of whole clusters.

    Under the null hypothesis two models may be exchanged in any cluster. Exact where the sums of
    clusters are whole numbers (those of equal size are binomial, and their distributions are
    convolved) or at most 20 differ; else of 20,000 draws, of which what was observed is one more.
    With whole numbers and every record a cluster of its own it is McNemar's test.

    Args:
        differences: of N records, first minus second model.
        clusters: which one each record belongs to, as any number.
        seed: of the draws.
    """
    sums = _by_cluster(differences[:, None], clusters)[:, 0].round(_DIGITS)
    sums = sums[sums != 0]
    if len(sums) == 0:
        return 1.0
    if (sums == sums.round()).all():
        return _exact_share(sums.astype(int))
    observed = abs(sums.sum()) - 10.0**-_DIGITS
    if len(sums) <= _EXACT_CLUSTERS:
        totals = np.zeros(1)
        for one in sums:
            totals = np.concatenate([totals + one, totals - one])
        return float(np.mean(np.abs(totals) >= observed))
    # Of clusters with one difference, up or down, only the number that goes up is drawn.
    sizes, number = np.unique(np.abs(sums), return_counts=True)
    up = np.random.default_rng(seed).binomial(number, 0.5, size=(_SIGNS, len(sizes)))
    totals = (2 * up - number) @ sizes
    return (1 + int(np.count_nonzero(np.abs(totals) >= observed))) / (1 + _SIGNS)


def _exact_share(sums: Int[np.ndarray, " c"]) -> float:
    """The share of all signs that bring the total as far from zero as it is."""
    observed = abs(int(sums.sum()))
    sizes, counts = np.unique(np.abs(sums), return_counts=True)
    # Entry i is the chance of a total of 2 i - (all sizes): every flip moves it by twice a size.
    chances = np.ones(1)
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        spread = np.zeros(size * count + 1)
        spread[::size] = scipy.stats.binom.pmf(np.arange(count + 1), count, 0.5)
        chances = np.convolve(chances, spread)
    totals = 2 * np.arange(len(chances)) - (len(chances) - 1)
    return float(min(1.0, chances[np.abs(totals) >= observed].sum()))


def _by_cluster(
    values: Float[np.ndarray, "n k"], clusters: Int[np.ndarray, " n"]
) -> Float[np.ndarray, "c k"]:
    """The sums of the values of every cluster."""
    _, own = np.unique(clusters, return_inverse=True)
    number = int(own.max()) + 1
    return np.stack([np.bincount(own, column, number) for column in values.T], axis=1)
