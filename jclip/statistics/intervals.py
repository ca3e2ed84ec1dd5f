"""Confidence intervals of a share, of a median and of a median minus beta."""

import dataclasses
from typing import NamedTuple

import numpy as np
import scipy
from jaxtyping import Float, Int

from jclip.errors import InputError
from jclip.statistics.calibration import quartile_positions, upper_fence


class Interval(NamedTuple):
    """Lower and upper confidence limits, arrays of one shape."""

    low: Float[np.ndarray, "..."]
    high: Float[np.ndarray, "..."]


@dataclasses.dataclass(frozen=True)
class MedianExcess:
    """Bootstrap of median |d| - beta per shift, in score units.

    `interval` holds `[T]` percentile limits; `share_below` `[T]` is the share of resamples in
    which the median lies below beta.
    """

    interval: Interval
    share_below: Float[np.ndarray, " t"]
    confidence: float
    resamples: int


def clopper_pearson(
    successes: Int[np.ndarray, "..."], n: Int[np.ndarray, "..."] | int, confidence: float = 0.95
) -> Interval:
    """Exact interval of a binomial share, of the shape of `successes`; coverage >= confidence.

    Equals `scipy.stats.binomtest(k, n).proportion_ci(confidence, "exact")` entry by entry.

    Raises:
        InputError: confidence outside (0, 1).
        ValueError: a count below 0 or above n.
    """
    check_confidence(confidence)
    if np.any(successes < 0) or np.any(successes > n):
        raise ValueError("successes must lie between 0 and n")
    tail = (1 - confidence) / 2
    failures = n - successes
    # The beta quantiles need positive parameters; at either end the limit is 0 or 1 by definition.
    low = scipy.special.betaincinv(np.maximum(successes, 1), failures + 1, tail)
    high = scipy.special.betaincinv(successes + 1, np.maximum(failures, 1), 1 - tail)
    return Interval(np.where(successes == 0, 0.0, low), np.where(failures == 0, 1.0, high))


def median_interval(values: Float[np.ndarray, "n t"], confidence: float = 0.95) -> Interval:
    """Order-statistic interval of the median of every column, `[T]`; coverage >= confidence.

    The limits are the k-th smallest and k-th largest value, k as large as the binomial
    distribution of the number of values below the median allows; nothing is assumed about the
    distribution of the values, and ties only raise the coverage.

    No such interval exists below n = log2(2 / (1 - confidence)) values, 6 at 95 %: NaN then.

    Raises:
        InputError: confidence outside (0, 1).
    """
    check_confidence(confidence)
    n, columns = values.shape
    # The largest k with P(fewer than k of n values below the median) <= half the error.
    tail = (1 - confidence) / 2
    k = int(np.count_nonzero(scipy.stats.binom.cdf(np.arange(n // 2), n, 0.5) <= tail))
    if k == 0:
        return Interval(np.full(columns, np.nan), np.full(columns, np.nan))
    ordered = np.partition(values, (k - 1, n - k), axis=0)
    return Interval(ordered[k - 1], ordered[n - k])


def bootstrap_median_excess(
    change: Float[np.ndarray, "n t"],
    flip_difference: Float[np.ndarray, " n"],
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    *,
    quantile_method: str = "linear",
) -> MedianExcess:
    """Bootstraps images and, from the same resampled images, both median |d| and beta.

    Beta is estimated on the images that it judges; a test against its value takes it as known.
    Percentile intervals. `change` is |d| in score units, one column per shift; `flip_difference`
    holds the differences of a `FlipBound`, row for row of the same images, whose
    `quantile_method` belongs to it.

    Raises:
        InputError: no images, confidence outside (0, 1), or an unknown quantile method.
    """
    check_confidence(confidence)
    images, shifts = change.shape
    if images == 0:
        raise InputError("no images: a bootstrap needs at least one")
    columns = np.vstack([change.T, flip_difference])
    order = np.argsort(columns, axis=1)
    ordered = np.take_along_axis(columns, order, axis=1)
    middle = np.array([(images - 1) / 2])
    quartiles = quartile_positions(images, quantile_method)
    generator = np.random.default_rng(seed)
    excess = np.empty((resamples, shifts))
    at_a_time = max(1, _DRAWS_AT_A_TIME // images)
    for start in range(0, resamples, at_a_time):
        part = excess[start : start + at_a_time]
        counts = _resample_counts(generator, len(part), images)
        first, third = _resampled_quantiles(ordered[-1], counts[:, order[-1]], quartiles)
        beta = upper_fence(first, third)
        for t in range(shifts):
            (median,) = _resampled_quantiles(ordered[t], counts[:, order[t]], middle)
            part[:, t] = median - beta
    tail = (1 - confidence) / 2
    low, high = np.quantile(excess, (tail, 1 - tail), axis=0)
    return MedianExcess(Interval(low, high), np.mean(excess < 0, axis=0), confidence, resamples)


def check_confidence(confidence: float) -> None:
    """Raises InputError for a confidence outside (0, 1)."""
    if not 0 < confidence < 1:
        raise InputError(f"confidence must lie between 0 and 1, not {confidence}")


# Counts of these draws take 4 MB: about what a core's cache holds.
_DRAWS_AT_A_TIME = 2**20


def _resample_counts(
    generator: np.random.Generator, resamples: int, images: int
) -> Int[np.ndarray, "b n"]:
    """How often each resample drew each image."""
    draws = generator.integers(images, size=(resamples, images), dtype=np.int32)
    draws += images * np.arange(resamples, dtype=np.int32)[:, None]
    counts = np.bincount(draws.ravel(), minlength=resamples * images)
    return counts.astype(np.int32).reshape(resamples, images)


def _resampled_quantiles(
    ordered: Float[np.ndarray, " n"],
    counts: Int[np.ndarray, "b n"],
    positions: Float[np.ndarray, " q"],
) -> Float[np.ndarray, "q b"]:
    """Quantiles of resamples, without building them, from how often each sorted value was drawn.

    Every resample has N draws, so the running count over all resamples in a row passes
    b N + k exactly where resample b holds its k-th value.
    """
    resamples, images = counts.shape
    running = np.cumsum(counts.ravel(), dtype=np.int32)
    starts = images * np.arange(resamples, dtype=np.int32)
    below = np.floor(positions).astype(np.int32)
    above = np.minimum(below + 1, images - 1)

    def values(k):
        return ordered[np.searchsorted(running, starts + k[:, None], side="right") - starts]

    return values(below) + (positions - below)[:, None] * (values(above) - values(below))
