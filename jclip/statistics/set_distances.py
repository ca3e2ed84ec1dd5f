"""How far two sets of embeddings lie apart: kernel and Frechet distances, with bootstrap intervals.

CMMD is the squared MMD of unit vectors under a Gaussian kernel of width 10, times 1000 (Jayasumana
et al. 2024, with their code). Kernel values of unit vectors lie in 0.98 .. 1, so that all of it is
computed in float64: float32 loses the digits that matter.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from jclip.statistics.intervals import check_confidence

SIGMA, SCALE = 10.0, 1000.0
FEWEST_RESAMPLED = 6
"""Of fewer panoramas in a set a bootstrap knows too little: there is no interval."""


@dataclasses.dataclass(frozen=True)
class SetDistance:
    """A distance between two sets, with a bootstrap interval of both; NaN where there is none."""

    value: float
    low: float
    high: float


def unit_rows(vectors: Float[np.ndarray, "n e"]) -> Float[np.ndarray, "n e"]:
    """Every row scaled to length 1, in float64."""
    vectors = np.asarray(vectors, np.float64)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def frechet_distance(first: Float[np.ndarray, "n e"], second: Float[np.ndarray, "m e"]) -> float:
    """Frechet distance of two normal distributions with the sets' means and covariances (n - 1).

    The trace of the root of a product of covariances is the nuclear norm of a product of factors of
    them, which needs no root of a matrix and is exact where the covariances are singular.

    Raises:
        ValueError: a set of fewer than two vectors has no covariance.
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if min(len(first), len(second)) < 2:
        raise ValueError("a covariance needs at least two vectors")
    ours, theirs = _factor(first), _factor(second)
    means = np.sum((first.mean(axis=0) - second.mean(axis=0)) ** 2)
    common = np.linalg.svd(ours @ theirs.T, compute_uv=False).sum()
    return float(means + np.sum(ours**2) + np.sum(theirs**2) - 2 * common)


def _factor(vectors: Float[np.ndarray, "n e"]) -> Float[np.ndarray, "k e"]:
    """R with the covariance R^T R."""
    centred = (vectors - vectors.mean(axis=0)) / np.sqrt(len(vectors) - 1)
    return np.linalg.qr(centred, mode="r")


def mmd(
    first: Float[np.ndarray, "n e"], second: Float[np.ndarray, "m e"], *, biased: bool = True
) -> float:
    """Squared maximum mean discrepancy times 1000: CMMD where the rows have length 1.

    The biased estimate counts every vector's kernel with itself, and is above zero for two samples
    of one distribution; the unbiased leaves them out.

    Raises:
        ValueError: an empty set, or one of a single vector for the unbiased estimate.
    """
    n, m = len(first), len(second)
    if min(n, m) < (1 if biased else 2):
        raise ValueError(f"sets of {n} and {m} vectors are too small")
    weights = np.repeat([1.0, 0.0], [n, m])
    kernel = _kernel(np.concatenate([first, second]))
    return float(_mmd_of_counts(kernel, weights[None], 1 - weights[None], biased)[0])


def mmd_interval(
    first: Float[np.ndarray, "n e"],
    second: Float[np.ndarray, "m e"],
    *,
    biased: bool = True,
    group: int = 1,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> SetDistance:
    """`mmd` with a bootstrap interval; the kernel is computed once for all resamples.

    Of sets of fewer than `FEWEST_RESAMPLED` groups there is no interval.

    Copies of one vector in a resample are no pair of two vectors for the unbiased estimate. Every
    `group` vectors, as the views of one scene, are drawn together.

    Raises:
        InputError: confidence outside (0, 1).
        ValueError: see `mmd`.
    """
    value = mmd(first, second, biased=biased)
    n, m = len(first), len(second)
    if min(n, m) < group * FEWEST_RESAMPLED:
        return SetDistance(value, np.nan, np.nan)
    kernel = _kernel(np.concatenate([first, second]))
    generator = np.random.default_rng(seed)

    def drawn(count: int) -> np.ndarray:
        groups = count // group
        counts = generator.multinomial(groups, np.full(groups, 1 / groups), resamples)
        return np.repeat(counts, group, axis=1)

    ours, theirs = drawn(n), drawn(m)
    left = np.pad(ours.astype(float), ((0, 0), (0, m)))
    right = np.pad(theirs.astype(float), ((0, 0), (n, 0)))
    return _basic(value, _mmd_of_counts(kernel, left, right, biased), confidence)


def frechet_interval(
    first: Float[np.ndarray, "n e"],
    second: Float[np.ndarray, "m e"],
    *,
    group: int = 1,
    confidence: float = 0.95,
    resamples: int = 100,
    seed: int = 0,
) -> SetDistance:
    """`frechet_distance` with a bootstrap interval; every `group` vectors are drawn together.

    Of sets of fewer than `FEWEST_RESAMPLED` groups there is no interval.

    Raises:
        InputError: confidence outside (0, 1).
        ValueError: see `frechet_distance`.
    """
    if min(len(first), len(second)) < group * FEWEST_RESAMPLED:
        return SetDistance(frechet_distance(first, second), np.nan, np.nan)
    generator = np.random.default_rng(seed)

    def drawn(vectors: np.ndarray) -> np.ndarray:
        groups = vectors.reshape(-1, group, vectors.shape[1])
        rows = generator.integers(len(groups), size=len(groups))
        return groups[rows].reshape(vectors.shape)

    found = [frechet_distance(drawn(first), drawn(second)) for _ in range(resamples)]
    return _basic(frechet_distance(first, second), np.array(found), confidence)


def mean_interval(
    values: Float[np.ndarray, " n"],
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    *,
    statistic: Callable[..., np.ndarray] = np.mean,
) -> SetDistance:
    """The mean of one value per panorama with a percentile bootstrap interval over panoramas.

    Values that are NaN are not there; without any all is NaN. `statistic` is another than the mean.

    Raises:
        InputError: confidence outside (0, 1).
    """
    check_confidence(confidence)
    values = np.asarray(values, np.float64)
    values = values[~np.isnan(values)]
    if not len(values):
        return SetDistance(np.nan, np.nan, np.nan)
    rows = np.random.default_rng(seed).integers(len(values), size=(resamples, len(values)))
    tail = (1 - confidence) / 2
    low, high = np.quantile(statistic(values[rows], axis=1), (tail, 1 - tail))
    return SetDistance(float(statistic(values, axis=0)), float(low), float(high))


def _basic(value: float, found: Float[np.ndarray, " r"], confidence: float) -> SetDistance:
    """The basic bootstrap interval: a resample is above the set as the set is above the truth.

    A distance grows with every copy in a resample; percentiles would not hold the value itself.
    """
    check_confidence(confidence)
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(found, (tail, 1 - tail))
    return SetDistance(value, float(2 * value - high), float(2 * value - low))


def _kernel(vectors: Float[np.ndarray, "n e"]) -> Float[np.ndarray, "n n"]:
    """`1 - k`, so that the digits of small distances stay."""
    vectors = np.asarray(vectors, np.float64)
    squares = np.sum(vectors**2, axis=1)
    distances = np.maximum(squares[:, None] + squares[None] - 2 * vectors @ vectors.T, 0)
    np.fill_diagonal(distances, 0)
    return -np.expm1(-distances / (2 * SIGMA**2))


def _mmd_of_counts(
    missing: Float[np.ndarray, "k k"],
    left: Float[np.ndarray, "r k"],
    right: Float[np.ndarray, "r k"],
    biased: bool,
) -> Float[np.ndarray, " r"]:
    """MMD of resamples that hold every vector so many times; `missing` is 1 - kernel."""

    def within(counts: np.ndarray) -> np.ndarray:
        total = counts.sum(axis=1)
        # Of a vector with itself nothing is missing, so only the number of pairs differs. A
        # resample of one vector alone has none.
        pairs = total**2 - (0 if biased else np.sum(counts**2, axis=1))
        sums = np.sum((counts @ missing) * counts, axis=1)
        return np.divide(sums, pairs, out=np.full(len(sums), np.nan), where=pairs > 0)

    between = np.sum((left @ missing) * right, axis=1)
    between = between / (left.sum(axis=1) * right.sum(axis=1))
    return SCALE * (2 * between - within(left) - within(right))
