"""Two models, right or wrong on the same records: exact tests, by record and by cluster."""

import dataclasses

import numpy as np
import scipy
from jaxtyping import Bool, Float, Int

from jclip.statistics.intervals import check_confidence

_RESAMPLES = 2000


@dataclasses.dataclass(frozen=True)
class McNemar:
    """McNemar's test of two models' right answers, two-sided and exact.

    `only_first` and `only_second` count the records that one model alone has right, `difference` is
    the first one's share of right answers minus the second's. `p_exact` is the binomial test of the
    discordant records, `p_mid` its mid-p, which keeps its level in practice and wastes less
    (Fagerland, Lydersen and Laake 2013, BMC Medical Research Methodology 13).
    """

    only_first: int
    only_second: int
    difference: float
    p_exact: float
    p_mid: float


def mcnemar(first: Bool[np.ndarray, " n"], second: Bool[np.ndarray, " n"]) -> McNemar:
    """Whether two models have other shares of N records right; without discordant ones p is 1.

    Raises:
        ValueError: no records, or not the same number of both.
    """
    if len(first) == 0 or len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} records: need as many of both, and some")
    ours, theirs = int(np.sum(first & ~second)), int(np.sum(second & ~first))
    n = ours + theirs
    exact = float(scipy.stats.binomtest(ours, n, 0.5).pvalue) if n else 1.0
    at = float(scipy.stats.binom.pmf(ours, n, 0.5)) if n else 0.0
    mid = exact - at if ours != theirs else 1 - at / 2
    difference = float(np.mean(first) - np.mean(second))
    return McNemar(ours, theirs, difference, exact, mid)


def sign_flip_test(differences: Int[np.ndarray, " n"], clusters: Int[np.ndarray, " n"]) -> float:
    """Two-sided p of a difference between two models where records of one cluster depend.

    The records of a cluster change sides together: p is the share of all ways to flip the signs of
    the clusters' sums that bring the total as far from zero as it is. Exact for any number of
    clusters: those of equal size are binomial, and their distributions are convolved. With every
    record a cluster of its own it is McNemar's.

    Args:
        differences: first minus second of each record, such as -1, 0 and 1.
        clusters: which cluster each record is in.
    """
    _, of = np.unique(clusters, return_inverse=True)
    sums = np.bincount(of, weights=differences).round().astype(int)
    observed = abs(int(sums.sum()))
    sizes, counts = np.unique(np.abs(sums[sums != 0]), return_counts=True)
    # Entry i is the chance of a total of 2 i - (all sizes): every flip moves it by twice a size.
    chances = np.ones(1)
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        spread = np.zeros(size * count + 1)
        spread[::size] = scipy.stats.binom.pmf(np.arange(count + 1), count, 0.5)
        chances = np.convolve(chances, spread)
    totals = 2 * np.arange(len(chances)) - (len(chances) - 1)
    return float(min(1.0, chances[np.abs(totals) >= observed].sum()))


def cluster_mean_interval(
    values: Float[np.ndarray, " n"],
    clusters: Int[np.ndarray, " n"],
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile bootstrap of the mean over records, whole clusters resampled 2000 times.

    Clusters that have as many records of the same sum are drawn together, multinomially, so that
    thousands of them cost as little as a few.

    Raises:
        InputError: confidence outside (0, 1).
        ValueError: no records.
    """
    check_confidence(confidence)
    if len(values) == 0:
        raise ValueError("no records")
    _, of = np.unique(clusters, return_inverse=True)
    each = np.stack([np.bincount(of), np.bincount(of, weights=values)], axis=1)
    kinds, counts = np.unique(each, axis=0, return_counts=True)
    total = counts.sum()
    drawn = np.random.default_rng(seed).multinomial(total, counts / total, size=_RESAMPLES)
    records, sums = (drawn @ kinds).T
    tail = (1 - confidence) / 2
    low, high = np.quantile(sums / records, (tail, 1 - tail))
    return float(low), float(high)
