"""Stability of a score under circular shifts: probe B of paper 1."""

import dataclasses
import math

import numpy as np
from jaxtyping import Bool, Float, Int

from jclip.errors import InputError
from jclip.statistics.paired import wilcoxon_signed_rank

__all__ = [
    "ShiftStatistics",
    "StabilityTest",
    "minimum_images",
    "order_by_stability",
    "shift_statistics",
]


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
class ShiftStatistics:
    """Statistics of |d| = |score - unshifted score| for the T = S - 1 shifts other than zero.

    Arrays have one entry per shift; `shift_index` is the column in the scores. Medians and means
    are in score units (100 x cosine). `reference` is the paper's Wilcoxon test, None without beta.
    """

    shift_index: Int[np.ndarray, " t"]
    n: Int[np.ndarray, " t"]
    median: Float[np.ndarray, " t"]
    mean: Float[np.ndarray, " t"]
    reference: StabilityTest | None


def shift_statistics(
    scores: Float[np.ndarray, "n s"],
    beta: float | None,
    alpha: float = 0.01,
    *,
    identity: Bool[np.ndarray, " s"] | None = None,
) -> ShiftStatistics:
    """Summarises |d| per shift and, where a stability bound is given, tests |d| against it.

    The test is the paper's (paper 1, probe B): a one-sided Wilcoxon signed-rank test on |d| - beta,
    alternative "less", scipy's defaults.

    Args:
        scores: `[N, S]` in 100 x cosine; column 0 is the unshifted panorama.
        beta: stability bound in score units, or None for no test.
        alpha: level of the test.
        identity: `[S]`, True where a shift leaves the score unchanged by construction (`tiles`
            at multiples of its stride). Such shifts are described and not tested.

    Raises:
        InputError: fewer than two columns, no image, too few images for any p < alpha, scores
            that are not finite or do not change at all, a negative or infinite beta, or alpha
            outside (0, 1).
    """
    scores = np.asarray(scores, np.float64)
    _check_scores(scores)
    change = np.abs(scores[:, 1:] - scores[:, :1])
    images, shifts = change.shape
    tested = np.ones(shifts, bool) if identity is None else ~identity[1:]
    return ShiftStatistics(
        shift_index=np.arange(1, shifts + 1),
        n=np.full(shifts, images),
        median=np.median(change, axis=0),
        mean=np.mean(change, axis=0),
        reference=None if beta is None else _reference_test(change, beta, alpha, tested),
    )


def minimum_images(alpha: float) -> int:
    """Fewest images with which a signed-rank test can reach p < alpha: 2**-n < alpha.

    Raises:
        InputError: alpha outside (0, 1).
    """
    if not 0 < alpha < 1:
        raise InputError(f"alpha must lie between 0 and 1, not {alpha}")
    return math.floor(-math.log2(alpha)) + 1


def order_by_stability(scores: Float[np.ndarray, "n s"]) -> Int[np.ndarray, " n"]:
    """Row numbers from the most to the least stable panorama, by the largest |d| of its shifts."""
    largest = np.max(np.abs(scores[:, 1:] - scores[:, :1]), axis=1)
    return np.argsort(largest, kind="stable")


def _check_scores(scores: Float[np.ndarray, "n s"]) -> None:
    images, columns = scores.shape
    if images == 0:
        raise InputError("no images: statistics need at least one scored image")
    if columns < 2:
        raise InputError("only unshifted scores: statistics need at least one shift other than 0")
    if not np.all(np.isfinite(scores)):
        row, column = np.argwhere(~np.isfinite(scores))[0]
        raise InputError(
            f"the score of image {row} (counted from 0) at shift index {column} is "
            f"{scores[row, column]}: statistics need finite scores"
        )


def _reference_test(
    change: Float[np.ndarray, "n t"], beta: float, alpha: float, tested: Bool[np.ndarray, " t"]
) -> StabilityTest:
    if not (math.isfinite(beta) and beta >= 0):
        raise InputError(f"beta must be a finite score difference of 0 or more, not {beta}")
    needed = minimum_images(alpha)
    if len(change) < needed:
        raise InputError(
            f"too few images: the Wilcoxon test can only reach p < {alpha:g} with "
            f"{needed} images or more, and there are {len(change)}"
        )
    excess = change[:, tested] - beta
    if tested.any() and not change[:, tested].any():
        raise InputError("constant scores: no image's score changes at any shift")
    if np.any(equal := np.all(excess == 0, axis=0)):
        index = np.flatnonzero(tested)[equal][0] + 1
        raise InputError(
            f"every |d| equals beta = {beta:g} at shift index {index}: nothing to test"
        )
    statistic = np.full(len(tested), np.nan)
    p = np.full(len(tested), np.nan)
    statistic[tested], p[tested] = wilcoxon_signed_rank(excess, "less")
    # A comparison with NaN is False: what was not tested is not stable.
    return StabilityTest(float(beta), float(alpha), tested, statistic, p, p < alpha)
