"""Stability of a score under circular shifts: probe B of paper 1."""

import dataclasses
import warnings

import numpy as np
import scipy
from jaxtyping import Bool, Float, Int

from jclip.errors import InputError
from jclip.statistics.bound_tests import CorrectedTest, StabilityTest, run_bound_tests
from jclip.statistics.calibration import FlipBound
from jclip.statistics.intervals import Interval, median_interval

# The normal approximation behind Shapiro and Wilk's p was fitted up to here (Royston 1995, R94).
_MOST_IMAGES = 5000


@dataclasses.dataclass(frozen=True)
class ShiftStatistics:
    """Statistics of |d| = |score - unshifted score| for the T = S - 1 shifts other than zero.

    Arrays have one entry per shift. Medians and means are in score units (100 x cosine).

    Attributes:
        shift_index: the shift's column in the scores.
        n: number of images.
        median: median |d|.
        median_interval: its 95 % order-statistic interval; NaN with fewer than 6 images.
        mean: mean |d|.
        shapiro_statistic: Shapiro-Wilk W of |d|; NaN with fewer than 3 images or equal |d|.
        shapiro_p: its p value; also NaN with more than 5000 images, where none is known.
        reference: the paper's Wilcoxon test, None without beta.
        corrected: sign test, shares and bootstrap, None without beta.
    """

    shift_index: Int[np.ndarray, " t"]
    n: Int[np.ndarray, " t"]
    median: Float[np.ndarray, " t"]
    median_interval: Interval
    mean: Float[np.ndarray, " t"]
    shapiro_statistic: Float[np.ndarray, " t"]
    shapiro_p: Float[np.ndarray, " t"]
    reference: StabilityTest | None
    corrected: CorrectedTest | None


def shift_statistics(
    scores: Float[np.ndarray, "n s"],
    beta: float | FlipBound | None,
    alpha: float = 0.01,
    *,
    identity: Bool[np.ndarray, " s"] | None = None,
    seed: int = 0,
) -> ShiftStatistics:
    """Summarises |d| per shift and, where a stability bound is given, tests |d| against it.

    `reference` is the paper's test (paper 1, probe B): a one-sided Wilcoxon signed-rank test on
    |d| - beta, alternative "less", scipy's defaults. |d| is skewed, so that its p is no p of a
    median; `corrected` is.

    Args:
        scores: `[N, S]` in 100 x cosine; column 0 is the unshifted panorama.
        beta: stability bound in score units, the `FlipBound` that it was estimated by on the same
            N images, row for row, or None for no test.
        alpha: level of the tests.
        identity: `[S]`, True where a shift leaves the score unchanged by construction (`tiles`
            at multiples of its stride). Such shifts are described and not tested.
        seed: of the bootstrap.

    Raises:
        InputError: fewer than two columns, no image, too few images for any p < alpha, scores
            that are not finite or do not change at all, a negative or infinite beta, or alpha
            outside (0, 1).
        ValueError: a `FlipBound` of another number of images.
    """
    scores = np.asarray(scores, np.float64)
    _check_scores(scores)
    change = np.abs(scores[:, 1:] - scores[:, :1])
    images, shifts = change.shape
    tested = np.ones(shifts, bool) if identity is None else ~identity[1:]
    reference = corrected = None
    if beta is not None:
        reference, corrected = run_bound_tests(change, beta, alpha, tested, seed)
    shapiro_statistic, shapiro_p = shapiro_wilk(change)
    return ShiftStatistics(
        shift_index=np.arange(1, shifts + 1),
        n=np.full(shifts, images),
        median=np.median(change, axis=0),
        median_interval=median_interval(change),
        mean=np.mean(change, axis=0),
        shapiro_statistic=shapiro_statistic,
        shapiro_p=shapiro_p,
        reference=reference,
        corrected=corrected,
    )


def shapiro_wilk(
    values: Float[np.ndarray, "n t"],
) -> tuple[Float[np.ndarray, " t"], Float[np.ndarray, " t"]]:
    """Shapiro-Wilk test of every column: statistic W and p value, `[T]` each.

    Equals `scipy.stats.shapiro` column by column. Both are NaN with fewer than 3 values or all of
    them equal, and p with more than 5000, where its approximation is not known to hold.
    """
    n, columns = values.shape
    statistic, p = np.full((2, columns), np.nan)
    defined = np.ptp(values, axis=0) > 0
    if n < 3 or not defined.any():
        return statistic, p
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "scipy.stats.shapiro: For N > 5000")
        result = scipy.stats.shapiro(values[:, defined], axis=0)
    statistic[defined] = result.statistic
    if n <= _MOST_IMAGES:
        p[defined] = result.pvalue
    return statistic, p


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
