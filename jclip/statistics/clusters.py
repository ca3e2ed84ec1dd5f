"""Means of records that come in clusters, such as boxes of one picture: clusters are resampled."""

import numpy as np
from jaxtyping import Float, Int

from jclip.statistics.intervals import Interval, check_confidence

_RESAMPLES = 2000
# Up to so many clusters that differ, all signs are tried.
_EXACT_CLUSTERS = 20
_SIGNS = 20_000
_DRAWS_AT_A_TIME = 2**22


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
        seed: of the draws, which are the same for all columns.

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
    number, generator = len(sums), np.random.default_rng(seed)
    means, at_once = [], max(1, _DRAWS_AT_A_TIME // number)
    for start in range(0, _RESAMPLES, at_once):
        size = (min(at_once, _RESAMPLES - start), number)
        draws = generator.integers(number, size=size) + number * np.arange(size[0])[:, None]
        drawn = np.bincount(draws.ravel(), minlength=size[0] * number).reshape(size)
        drawn = drawn.astype(np.float64)
        with np.errstate(invalid="ignore"):
            means.append((drawn @ sums) / (drawn @ counts))
    tail = (1 - confidence) / 2
    return Interval(*np.quantile(np.concatenate(means), (tail, 1 - tail), axis=0))


def cluster_sign_flip(
    differences: Float[np.ndarray, " n"], clusters: Int[np.ndarray, " n"], seed: int = 0
) -> float:
    """Two-sided p of a mean difference of zero, by flipping the signs of whole clusters.

    Under the null hypothesis two models may be exchanged in any cluster. All signs are tried where
    at most 20 clusters differ, else 20,000 draws of them, of which what was observed is one more.

    Args:
        differences: of N records, first minus second model.
        clusters: which one each record belongs to, as any number.
        seed: of the draws.
    """
    sums = _by_cluster(differences[:, None], clusters)[:, 0]
    # Values are shares of records; what rounding leaves of a zero must not count as a difference.
    sums = sums[np.abs(sums) > 1e-12]
    observed = abs(sums.sum()) - 1e-9
    if len(sums) == 0:
        return 1.0
    if len(sums) <= _EXACT_CLUSTERS:
        totals = np.zeros(1)
        for one in sums:
            totals = np.concatenate([totals + one, totals - one])
        return float(np.mean(np.abs(totals) >= observed))
    generator, extreme = np.random.default_rng(seed), 0
    at_once = max(1, _DRAWS_AT_A_TIME // len(sums))
    for start in range(0, _SIGNS, at_once):
        flipped = generator.integers(
            2, size=(min(at_once, _SIGNS - start), len(sums)), dtype=np.int8
        )
        totals = sums.sum() - 2 * (flipped.astype(np.float64) @ sums)
        extreme += int(np.count_nonzero(np.abs(totals) >= observed))
    return (1 + extreme) / (1 + _SIGNS)


def _by_cluster(
    values: Float[np.ndarray, "n k"], clusters: Int[np.ndarray, " n"]
) -> Float[np.ndarray, "c k"]:
    """The sums of the values of every cluster."""
    _, own = np.unique(clusters, return_inverse=True)
    number = int(own.max()) + 1
    return np.stack([np.bincount(own, column, number) for column in values.T], axis=1)
