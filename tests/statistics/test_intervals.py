import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from jclip.errors import InputError
from jclip.statistics.intervals import bootstrap_median_excess, clopper_pearson, median_interval


@given(st.integers(0, 40), st.integers(0, 40), st.sampled_from([0.8, 0.95, 0.99]))
def test_clopper_pearson_equals_scipy(successes, failures, confidence):
    n = max(successes + failures, 1)
    low, high = clopper_pearson(np.array([successes]), n, confidence)
    result = scipy.stats.binomtest(successes, n).proportion_ci(confidence, "exact")
    np.testing.assert_allclose([low[0], high[0]], [result.low, result.high], rtol=1e-9, atol=1e-15)


def test_clopper_pearson_by_hand():
    # 0 of n: (1 - high)**n = 0.025; n of n: low**n = 0.025.
    low, high = clopper_pearson(np.array([[0, 10]]), 10)
    np.testing.assert_allclose(low, [[0, 0.025**0.1]], rtol=1e-12)
    np.testing.assert_allclose(high, [[1 - 0.025**0.1, 1]], rtol=1e-12)
    with pytest.raises(ValueError, match="between 0 and n"):
        clopper_pearson(np.array([11]), 10)


def test_clopper_pearson_covers():
    for share in (0.02, 0.3):
        k = np.arange(51)
        low, high = clopper_pearson(k, 50)
        weight = scipy.stats.binom.pmf(k, 50, share)
        assert 0.95 <= weight[(low <= share) & (share <= high)].sum() < 0.999


def test_median_interval_by_hand():
    # P(Bin(9, 1/2) <= 1) = 10 / 512 <= 0.025 < P(<= 2) = 46 / 512: second to second to last.
    values = np.array([[5.0, 50], [1, 10], [9, 90], [2, 20], [8, 80], [3, 30], [7, 70]])
    values = np.vstack([values, [[4.0, 40], [6, 60]]])
    low, high = median_interval(values)
    assert (low.tolist(), high.tolist()) == ([2, 20], [8, 80])


def test_median_interval_needs_six_values():
    # All of six values miss the median with chance 2 / 64 <= 5 %, all of five with 2 / 32.
    values = np.arange(6.0)[:, None]
    assert [limit.tolist() for limit in median_interval(values)] == [[0.0], [5.0]]
    assert np.isnan(median_interval(values[:5])).all()
    assert np.isnan(median_interval(values[:1])).all()


@pytest.mark.parametrize("n", [6, 7, 51, 400])
def test_median_interval_covers(n):
    runs = 10_000
    low, high = median_interval(np.random.default_rng(n).exponential(size=(n, runs)))
    covered = np.mean((low <= np.log(2)) & (np.log(2) <= high))
    assert 0.95 - 3 * np.sqrt(0.05 * 0.95 / runs) <= covered < 0.99


def test_bootstrap_equals_resampled_arrays():
    # The same draws, with the resamples built and handed to numpy.
    rng = np.random.default_rng(1)
    change = np.round(np.abs(rng.normal(size=(31, 3))), 1)
    flips = np.abs(rng.normal(size=31))
    draws = np.random.default_rng(5).integers(31, size=(400, 31), dtype=np.int32)
    for method in ("linear", "weibull"):
        found = bootstrap_median_excess(change, flips, 0.9, 400, 5, quantile_method=method)
        first, third = np.quantile(flips[draws], (0.25, 0.75), axis=1, method=method)
        beta = third + 1.5 * (third - first)
        excess = np.median(change[draws], axis=1) - beta[:, None]
        np.testing.assert_allclose(
            found.interval, np.quantile(excess, (0.05, 0.95), axis=0), rtol=1e-12
        )
        assert found.share_below.tolist() == np.mean(excess < 0, axis=0).tolist()


def test_bootstrap_in_many_parts(monkeypatch):
    rng = np.random.default_rng(2)
    change, flips = np.abs(rng.normal(size=(40, 2))), np.abs(rng.normal(size=40))
    whole = bootstrap_median_excess(change, flips, resamples=50)
    monkeypatch.setattr("jclip.statistics.intervals._DRAWS_AT_A_TIME", 7 * 40)
    parts = bootstrap_median_excess(change, flips, resamples=50)
    np.testing.assert_array_equal(parts.interval, whole.interval)


def test_bootstrap_covers_and_knows_that_beta_is_estimated():
    # |d| half-normal of scale 1, flips of scale 0.3: quartiles of |N(0, 1)| are .3186 and 1.1503.
    first, third = scipy.stats.halfnorm.ppf([0.25, 0.75])
    excess = scipy.stats.halfnorm.median() - 0.3 * (third + 1.5 * (third - first))
    rng = np.random.default_rng(3)
    covered, fixed = [], []
    for _ in range(300):
        change, flips = np.abs(rng.normal(size=(150, 1))), 0.3 * np.abs(rng.normal(size=150))
        low, high = bootstrap_median_excess(change, flips, 0.9, 400, 0).interval
        covered.append(low[0] <= excess <= high[0])
        quartiles = np.quantile(flips, (0.25, 0.75))
        beta = quartiles[1] + 1.5 * (quartiles[1] - quartiles[0])
        low, high = median_interval(change, 0.9)
        fixed.append(low[0] - beta <= excess <= high[0] - beta)
    assert 0.84 < np.mean(covered) < 0.97
    assert np.mean(fixed) < np.mean(covered)


def test_level_outside_its_range_is_named():
    for call in (
        lambda: clopper_pearson(np.array([1]), 2, 1.0),
        lambda: median_interval(np.ones((9, 1)), 0.0),
        lambda: bootstrap_median_excess(np.ones((9, 1)), np.ones(9), 95.0),
    ):
        with pytest.raises(InputError, match="confidence must lie between 0 and 1"):
            call()
