"""The bound under mirroring, by hand."""

import numpy as np
import pytest

from jclip.errors import InputError
from jclip.statistics.calibration import calibrate_flip_bound, quartile_positions

SCORES = np.full(5, 10.0)
FLIPPED = np.array([10.0, 9.0, 12.0, 7.0, 14.0])  # |d| = 0, 1, 2, 3, 4; d = 0, 1, -2, 3, -4
METHODS = (
    "linear lower higher midpoint nearest inverted_cdf averaged_inverted_cdf closest_observation "
    "interpolated_inverted_cdf hazen weibull median_unbiased normal_unbiased"
).split()


def test_flip_bound_by_hand():
    bound = calibrate_flip_bound(SCORES, FLIPPED)
    assert bound.value == 3 + 1.5 * 2
    assert (bound.value, bound.signed, bound.quantile_method) == (6.0, False, "linear")
    # What the bootstrap draws from is what the value was taken from.
    assert bound.differences.tolist() == [0, 1, 2, 3, 4]


def test_signed_differences_by_hand():
    # Sorted -4, -2, 0, 1, 3: quartiles -2 and 1.
    bound = calibrate_flip_bound(SCORES, FLIPPED, signed=True)
    assert bound.value == 1 + 1.5 * 3
    assert bound.signed
    assert bound.differences.tolist() == [0, 1, -2, 3, -4]


@pytest.mark.parametrize(
    # The Weibull quartiles of five values lie at (5 + 1) q - 1 = 0.5 and 3.5.
    ("method", "expected"),
    [("weibull", 3.5 + 1.5 * 3), ("inverted_cdf", 3 + 1.5 * 2), ("midpoint", 3 + 1.5 * 2)],
)
def test_quantile_method_by_hand(method, expected):
    bound = calibrate_flip_bound(SCORES, FLIPPED, quantile_method=method)
    assert bound.value == expected
    assert bound.quantile_method == method


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 10, 101])
def test_quartile_positions_give_numpys_quartiles(method, n):
    ordered = np.sort(np.random.default_rng(n).exponential(size=n))
    positions = quartile_positions(n, method)
    found = np.interp(positions, np.arange(n), ordered)
    np.testing.assert_allclose(found, np.quantile(ordered, (0.25, 0.75), method=method), rtol=1e-12)


def test_unknown_quantile_method_lists_the_known():
    with pytest.raises(InputError, match=r"'tukey' is none of numpy's: linear, .*normal_unbiased"):
        calibrate_flip_bound(SCORES, FLIPPED, quantile_method="tukey")


def test_bad_scores_are_named():
    with pytest.raises(InputError, match=r"image 1 .* mirrored score nan"):
        calibrate_flip_bound(SCORES, np.array([1.0, np.nan, 1.0, 1.0, 1.0]))
    with pytest.raises(InputError, match="no images"):
        calibrate_flip_bound(np.zeros(0), np.zeros(0))
