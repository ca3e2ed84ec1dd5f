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
    if bound is not None and len(bound.differences) != len(change):
        raise ValueError(f"beta of {len(bound.differences)} images for scores of {len(change)}")
    return (
        _reference_test(change, value, alpha, tested),
        _corrected_test(change, value, bound, alpha, tested, seed),
    )


def minimum_images(alpha: float) -> int:
    """Fewest images with which a signed-rank test can reach p < alpha: 2**-n < alpha.

    Raises:
        InputError: alpha outside (0, 1).
    """
    if not 0 < alpha < 1:
        raise InputError(f"alpha must lie between 0 and 1, not {alpha}")
    return math.floor(-math.log2(alpha)) + 1


def _check(
    change: Float[np.ndarray, "n t"], beta: float, alpha: float, tested: Bool[np.ndarray, " t"]
) -> None:
    if not (math.isfinite(beta) and beta >= 0):
        raise InputError(f"beta must be a finite score difference of 0 or more, not {beta}")
    needed = minimum_images(alpha)
    if len(change) < needed:
        raise InputError(
            f"too few images: the Wilcoxon test can only reach p < {alpha:g} with "
            f"{needed} images or more, and there are {len(change)}"
        )
    if tested.any() and not change[:, tested].any():
        raise InputError("constant scores: no image's score changes at any shift")
    if np.any(equal := tested & np.all(change - beta == 0, axis=0)):
        index = int(np.argmax(equal)) + 1
        raise InputError(
            f"every |d| equals beta = {beta:g} at shift index {index}: nothing to test"
        )


def _reference_test(
    change: Float[np.ndarray, "n t"], beta: float, alpha: float, tested: Bool[np.ndarray, " t"]
) -> StabilityTest:
    statistic, p = wilcoxon_signed_rank(change[:, tested] - beta, "less")
    p = _all_shifts(p, tested)
    # A comparison with NaN is False: what was not tested is not stable.
    return StabilityTest(beta, float(alpha), tested, _all_shifts(statistic, tested), p, p < alpha)


def _corrected_test(
    change: Float[np.ndarray, "n t"],
    beta: float,
    bound: FlipBound | None,
    alpha: float,
    tested: Bool[np.ndarray, " t"],
    seed: int,
) -> CorrectedTest:
    images = len(change)
    change = change[:, tested]
    p = _all_shifts(sign_test(change - beta, "less"), tested)
    adjusted_p = holm(p)
    above = np.count_nonzero(change > beta, axis=0)
    return CorrectedTest(
        beta=beta,
        alpha=float(alpha),
        confidence=_CONFIDENCE,
        tested=tested,
        p=p,
        adjusted_p=adjusted_p,
        stable=adjusted_p < alpha,
        p_all_shifts=intersection_union(p),
        share_above=_all_shifts(above / images, tested),
        share_above_interval=_interval_of_all_shifts(
            clopper_pearson(above, images, _CONFIDENCE), tested
        ),
        median_excess=_median_excess(change, bound, tested, seed),
    )


def _median_excess(
    change: Float[np.ndarray, "n u"],
    bound: FlipBound | None,
    tested: Bool[np.ndarray, " t"],
    seed: int,
) -> MedianExcess | None:
    if bound is None or not 0 < change.shape[1] <= _MOST_BOOTSTRAPPED_SHIFTS:
        return None
    found = bootstrap_median_excess(
        change, bound.differences, _CONFIDENCE, seed=seed, quantile_method=bound.quantile_method
    )
    return dataclasses.replace(
        found,
        interval=_interval_of_all_shifts(found.interval, tested),
        share_below=_all_shifts(found.share_below, tested),
    )


def _all_shifts(
    values: Float[np.ndarray, " u"], tested: Bool[np.ndarray, " t"]
) -> Float[np.ndarray, " t"]:
    """One value per shift, NaN where it was not tested."""
    spread = np.full(len(tested), np.nan)
    spread[tested] = values
    return spread


def _interval_of_all_shifts(interval: Interval, tested: Bool[np.ndarray, " t"]) -> Interval:
    return Interval(_all_shifts(interval.low, tested), _all_shifts(interval.high, tested))
