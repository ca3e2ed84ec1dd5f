"""Ranks of a right caption among wrong ones: per number of negatives, with intervals and a test."""

import dataclasses
from typing import Literal

import numpy as np
import scipy
from jaxtyping import Float, Int

from jclip.statistics.intervals import Interval, check_confidence
from jclip.statistics.paired import rank_biserial

Ties = Literal["reference", "averaged"]

_RESAMPLES = 2000


@dataclasses.dataclass(frozen=True)
class RankSummary:
    """Ranks among the right caption and the first n negatives, for n = 1 .. K.

    Arrays are `[K]`. `boxes` counts those with at least n negatives; where there are none, all else
    is NaN. `median_reference` is the median as the authors' code takes it. `interval` is that of
    the mean.
    """

    boxes: Int[np.ndarray, " k"]
    mean: Float[np.ndarray, " k"]
    interval: Interval
    median: Float[np.ndarray, " k"]
    median_reference: Float[np.ndarray, " k"]
    chance: Float[np.ndarray, " k"]


@dataclasses.dataclass(frozen=True)
class RankComparison:
    """A two-sided Wilcoxon signed-rank test between two models' ranks of the same boxes.

    `difference` is the mean of first - second: below zero the first model ranks better. `effect` is
    the rank-biserial correlation of the differences, NaN where there is none.
    """

    boxes: int
    difference: float
    statistic: float
    p: float
    effect: float


def positive_ranks(scores: Float[np.ndarray, "n m"], ties: Ties) -> Float[np.ndarray, "n m-1"]:
    """Rank of the right caption among itself and its first n negatives, `[N, K]` for n = 1 .. K.

    Args:
        scores: `[N, K + 1]`, the right caption's first; NaN after a box's last negative.
        ties: `reference` counts every tie against the right caption, as paper 2's code does;
            `averaged` counts half of them, so that a model that tells nothing apart is at chance.

    Returns:
        1 for the best; NaN where a box has fewer than n negatives.

    Raises:
        ValueError: a right caption's score is NaN, or a negative follows a missing one.
    """
    right, wrong = scores[:, :1], scores[:, 1:]
    missing = np.isnan(wrong)
    if np.isnan(right).any() or np.any(missing[:, :-1] & ~missing[:, 1:]):
        raise ValueError("scores: a NaN before a box's last negative")
    lost = (wrong > right) + (1.0 if ties == "reference" else 0.5) * (wrong == right)
    ranks = 1 + np.cumsum(lost, axis=1)
    ranks[missing] = np.nan
    return ranks


def chance_rank(negatives: Int[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    """Expected rank of a guess: (n + 2) / 2 with n negatives, that is among n + 1 captions."""
    return (negatives + 2) / 2


def reference_median(ranks: Float[np.ndarray, " n"]) -> float:
    """The sorted rank at index n // 2 + 1 from 0, as paper 2's code has it: one too high.

    With fewer than three ranks, where that index is none, the last.
    """
    return float(np.sort(ranks)[min(len(ranks) // 2 + 1, len(ranks) - 1)])


def mean_rank_interval(
    ranks: Float[np.ndarray, " n"], confidence: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap of the mean over boxes, 2000 resamples.

    Ranks take few values, so a resample is a draw of how often each comes up: multinomial, and as
    fast for a hundred thousand boxes as for ten.

    Raises:
        InputError: confidence outside (0, 1).
        ValueError: no ranks.
    """
    check_confidence(confidence)
    if len(ranks) == 0:
        raise ValueError("no ranks")
    values, counts = np.unique(ranks, return_counts=True)
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(len(ranks), counts / len(ranks), size=_RESAMPLES)
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn @ values / len(ranks), (tail, 1 - tail))
    return float(low), float(high)


def summarise_ranks(
    ranks: Float[np.ndarray, "n k"], confidence: float = 0.95, seed: int = 0
) -> RankSummary:
    """Summary of the ranks `[N, K]` of `positive_ranks`, per number of negatives.

    Raises:
        InputError: confidence outside (0, 1).
    """
    most = ranks.shape[1]
    boxes = np.count_nonzero(~np.isnan(ranks), axis=0)
    mean, median, reference, low, high = np.full((5, most), np.nan)
    for k in np.flatnonzero(boxes):
        own = ranks[~np.isnan(ranks[:, k]), k]
        mean[k], median[k], reference[k] = own.mean(), np.median(own), reference_median(own)
        low[k], high[k] = mean_rank_interval(own, confidence, seed)
    chance = chance_rank(np.arange(1, most + 1))
    return RankSummary(boxes, mean, Interval(low, high), median, reference, chance)


def compare_ranks(
    first: Float[np.ndarray, " n"], second: Float[np.ndarray, " n"]
) -> RankComparison:
    """Whether two models rank the right captions of the same N boxes differently.

    Zeros are dropped, as in scipy's default; without any difference p is 1.

    Raises:
        ValueError: no ranks, or one that is not finite.
    """
    difference = np.asarray(first, np.float64) - second
    if len(difference) == 0 or not np.isfinite(difference).all():
        raise ValueError("ranks to compare have to be finite, and at least one")
    effect = float(rank_biserial(difference[:, None])[0])
    if not difference.any():
        return RankComparison(len(difference), 0.0, 0.0, 1.0, effect)
    statistic, p = map(float, np.asarray(scipy.stats.wilcoxon(difference)))
    return RankComparison(len(difference), float(difference.mean()), statistic, p, effect)
