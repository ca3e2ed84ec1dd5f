"""Tests of |d| against the stability bound beta, one per shift: the paper's and a corrected one."""

import dataclasses
import math

import numpy as np
from jaxtyping import Bool, Float

from jclip.errors import InputError
from jclip.statistics.calibration import FlipBound
from jclip.statistics.intervals import (
    Interval,
    MedianExcess,
    bootstrap_median_excess,
    clopper_pearson,
)
from jclip.statistics.multiple import holm, intersection_union
from jclip.statistics.paired import sign_test, wilcoxon_signed_rank

_CONFIDENCE = 0.95
# Beyond these the bootstrap would take longer than everything else together.
_MOST_BOOTSTRAPPED_SHIFTS = 16


@dataclasses.dataclass(frozen=True)
class StabilityTest:
    """A one-sided test per shift that |d| lies below beta: p < alpha says *stable*.

    A shift that was not tested has NaN as statistic and p, and is not called stable.
    """

    beta: float
    alpha: float
    tested: Bool[np.ndarray, " t"]
    statistic: Float[np.ndarray, " t"]
    p: Float[np.ndarray, " t"]
    stable: Bool[np.ndarray, " t"]


@dataclasses.dataclass(frozen=True)
class CorrectedTest:
    """Whether the median |d| lies below beta, without the signed-rank test's need for symmetry.

    A shift that was not tested has NaN everywhere and is not called stable.

    Attributes:
        p: `[T]`, the exact one-sided sign test of |d| - beta, each shift on its own.
        adjusted_p: `[T]`, Holm's adjustment over the tested shifts.
        stable: `[T]`, adjusted p < alpha.
        p_all_shifts: p of the intersection-union test, "the median lies below beta at every tested
            shift"; it needs no adjustment.
        share_above: `[T]`, share of images with |d| > beta.
        share_above_interval: its Clopper-Pearson interval.
        median_excess: bootstrap of median |d| - beta with beta estimated anew in each resample;
            None where beta was given by value or with more than 16 tested shifts.
        confidence: level of the intervals.
    """

    beta: float
    alpha: float
    confidence: float
    tested: Bool[np.ndarray, " t"]
    p: Float[np.ndarray, " t"]
    adjusted_p: Float[np.ndarray, " t"]
    stable: Bool[np.ndarray, " t"]
    p_all_shifts: float
    share_above: Float[np.ndarray, " t"]
    share_above_interval: Interval
    median_excess: MedianExcess | None


def run_bound_tests(
    change: Float[np.ndarray, "n t"],
    beta: float | FlipBound,
    alpha: float,
    tested: Bool[np.ndarray, " t"],
    seed: int,
) -> tuple[StabilityTest, CorrectedTest]:
    """Both tests of |d| `[N, T]` at the shifts marked `tested`; see `shift_statistics`."""
    bound = beta if isinstance(beta, FlipBound) else None
    value = float(beta.value if isinstance(beta, FlipBound) else beta)
    _check(change, value, alpha, tested)
    images = len(change)
    if bound is not None and len(bound.differences) != images:
        raise ValueError(f"beta of {len(bound.differences)} images for scores of {images}")
    change = change[:, tested]

    def spread(values: Float[np.ndarray, " u"]) -> Float[np.ndarray, " t"]:
        """One value per shift, NaN where it was not tested."""
        found = np.full(len(tested), np.nan)
        found[tested] = values
        return found

    statistic, p = map(spread, wilcoxon_signed_rank(change - value, "less"))
    # A comparison with NaN is False: what was not tested is not stable.
    reference = StabilityTest(value, float(alpha), tested, statistic, p, p < alpha)
    p = spread(sign_test(change - value, "less"))
    adjusted_p = holm(p)
    above = np.count_nonzero(change > value, axis=0)
    excess = None
    if bound is not None and 0 < change.shape[1] <= _MOST_BOOTSTRAPPED_SHIFTS:
        method = bound.quantile_method
        excess = bootstrap_median_excess(
            change, bound.differences, _CONFIDENCE, seed=seed, quantile_method=method
        )
        interval, below = Interval(*map(spread, excess.interval)), spread(excess.share_below)
        excess = dataclasses.replace(excess, interval=interval, share_below=below)
    return reference, CorrectedTest(
        beta=value,
        alpha=float(alpha),
        confidence=_CONFIDENCE,
        tested=tested,
        p=p,
        adjusted_p=adjusted_p,
        stable=adjusted_p < alpha,
        p_all_shifts=intersection_union(p),
        share_above=spread(above / images),
        share_above_interval=Interval(*map(spread, clopper_pearson(above, images, _CONFIDENCE))),
        median_excess=excess,
    )


def minimum_images(alpha: float) -> int:
    """Fewest images with which a signed-rank test can reach p < alpha: 2**-n < alpha.

    Raises:
        InputError: alpha outside (0, 1).
    """
    if not 0 < alpha < 1:
        raise InputError(f"alpha must lie between 0 and 1, not {alpha}")
    return math.floor(-math.log2(alpha)) + 1


def check_enough_images(images: int, alpha: float) -> None:
    """Raises InputError where no test of so few images can reach p < alpha."""
    if images < (needed := minimum_images(alpha)):
        raise InputError(
            f"too few images: the Wilcoxon test can only reach p < {alpha:g} with {needed} images "
            f"or more, and there are {images}"
        )


def _check(
    change: Float[np.ndarray, "n t"], beta: float, alpha: float, tested: Bool[np.ndarray, " t"]
) -> None:
    if not (math.isfinite(beta) and beta >= 0):
        raise InputError(f"beta must be a finite score difference of 0 or more, not {beta}")
    check_enough_images(len(change), alpha)
    if tested.any() and not change[:, tested].any():
        raise InputError("constant scores: no image's score changes at any shift")
    if np.any(equal := tested & np.all(change - beta == 0, axis=0)):
        index = int(np.argmax(equal)) + 1
        raise InputError(
            f"every |d| equals beta = {beta:g} at shift index {index}: nothing to test"
        )
