"""The stability bound beta: how much a score changes when a panorama is mirrored."""

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Float

from jclip.errors import InputError


@dataclasses.dataclass(frozen=True)
class FlipBound:
    """Beta with the sample that it was estimated from, which a bootstrap draws again.

    `value` is in score units (100 x cosine). `differences` `[N]` has one entry per panorama, score
    minus mirrored score, absolute unless `signed`.
    """

    value: float
    differences: Float[np.ndarray, " n"]
    signed: bool
    quantile_method: str


def calibrate_flip_bound(
    scores: Float[np.ndarray, " n"],
    flipped: Float[np.ndarray, " n"],
    *,
    signed: bool = False,
    quantile_method: str = "linear",
) -> FlipBound:
    """Beta = Q3 + 1.5 (Q3 - Q1) of the score differences under a left-right flip (paper 1).

    Scores are 100 x cosine, `flipped` those of the same panoramas mirrored. Paper 1 does not say
    whether differences are signed nor how quartiles are interpolated; the defaults are absolute
    differences and the linear `method` of `numpy.quantile`.

    Raises:
        InputError: no images, scores that are not finite, or an unknown quantile method.
    """
    differences = np.asarray(scores, np.float64) - np.asarray(flipped, np.float64)
    if len(differences) == 0:
        raise InputError("no images: beta needs at least one panorama and its mirror image")
    if not np.all(np.isfinite(differences)):
        row = int(np.argmin(np.isfinite(differences)))
        raise InputError(
            f"image {row} (counted from 0) has score {scores[row]} and mirrored score "
            f"{flipped[row]}: beta needs finite scores"
        )
    if not signed:
        differences = np.abs(differences)
    method = check_quantile_method(quantile_method)
    first, third = np.quantile(differences, _QUARTILES, method=method)
    return FlipBound(float(upper_fence(first, third)), differences, signed, quantile_method)


def upper_fence(
    first: Float[np.ndarray, "..."] | float, third: Float[np.ndarray, "..."] | float
) -> Float[np.ndarray, "..."] | float:
    """Tukey's upper fence Q3 + 1.5 (Q3 - Q1)."""
    return third + 1.5 * (third - first)


def quartile_positions(n: int, quantile_method: str) -> Float[np.ndarray, "2"]:
    """Where Q1 and Q3 of n values lie in their sorted order: 2.25 is a quarter from [2] to [3].

    Every method of numpy interpolates linearly between two neighbours in the sorted sample, at a
    place that depends on n alone.

    Raises:
        InputError: an unknown quantile method.
    """
    method = check_quantile_method(quantile_method)
    return np.quantile(np.arange(n, dtype=np.float64), _QUARTILES, method=method)


_QUARTILES = (0.25, 0.75)
_QUANTILE_METHODS = """
    linear lower higher midpoint nearest inverted_cdf averaged_inverted_cdf closest_observation
    interpolated_inverted_cdf hazen weibull median_unbiased normal_unbiased
""".split()


def check_quantile_method(name: str) -> Any:
    """The name of a `method` of `numpy.quantile`.

    Raises:
        InputError: it is none; the message lists them.
    """
    if name not in _QUANTILE_METHODS:
        known = ", ".join(_QUANTILE_METHODS)
        raise InputError(f"quantile method {name!r} is none of numpy's: {known}")
    return name
