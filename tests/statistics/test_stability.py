import numpy as np
import pytest
import scipy.stats

from jclip.errors import InputError
from jclip.statistics.bound_tests import minimum_images
from jclip.statistics.calibration import calibrate_flip_bound
from jclip.statistics.stability import order_by_stability, shift_statistics


def _scores(images=12, shifts=8, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(25, 3, (images, 1)) + rng.normal(0, 1.5, (images, shifts))


def test_worked_example_by_hand():
    unshifted = np.full(7, 20.0)
    change = np.array([0.1, -0.2, 0.3, -0.4, 0.5, -0.6, 0.7])
    far = np.array([3.0, -4.0, 5.0, -6.0, 7.0, -8.0, 9.0])
    scores = np.column_stack([unshifted, unshifted + change, unshifted + far])
    result = shift_statistics(scores, beta=1.0)
    assert result.shift_index.tolist() == [1, 2]
    assert result.n.tolist() == [7, 7]
    np.testing.assert_allclose(result.median, [0.4, 6.0], atol=1e-12)
    np.testing.assert_allclose(result.mean, [0.4, 6.0], atol=1e-12)
    test = result.reference
    # |d| - 1 is negative in all seven: rank sum 0, one sign pattern in 2**7. Then all positive.
    assert test.statistic.tolist() == [0.0, 28.0]
    np.testing.assert_allclose(test.p, [1 / 128, 1.0], rtol=1e-12)
    assert test.stable.tolist() == [True, False]
    assert test.tested.all()


@pytest.mark.parametrize("images", [12, 60])
def test_each_shift_equals_scipy(images):
    scores = _scores(images)
    result = shift_statistics(scores, beta=1.7919)
    for t, index in enumerate(result.shift_index):
        change = np.abs(scores[:, index] - scores[:, 0])
        expected = scipy.stats.wilcoxon(change - 1.7919, alternative="less")
        assert result.median[t] == np.median(change)
        assert result.mean[t] == pytest.approx(change.mean(), rel=1e-12)
        assert result.reference.statistic[t] == expected.statistic
        assert result.reference.p[t] == pytest.approx(expected.pvalue, rel=1e-12)
        assert result.reference.stable[t] == (expected.pvalue < 0.01)


def test_float32_scores_are_compared_in_float64():
    scores = _scores().astype(np.float32)
    expected = np.abs(scores.astype(np.float64)[:, 1] - scores.astype(np.float64)[:, 0])
    assert shift_statistics(scores, None).mean[0] == expected.mean()


def test_without_beta_nothing_is_tested_and_one_image_is_enough():
    result = shift_statistics(np.array([[20.0, 21.5]]), None)
    assert result.reference is None
    assert result.median.tolist() == [1.5]


def test_identities_are_described_but_not_tested():
    scores = _scores()
    scores[:, 4] = scores[:, 0]
    identity = np.arange(8) % 4 == 0
    result = shift_statistics(scores, 50.0, identity=identity)
    assert result.median[3] == 0
    assert np.isnan(result.reference.p).tolist() == [False, False, False, True] + [False] * 3
    assert result.reference.stable.tolist() == [True, True, True, False, True, True, True]
    assert result.reference.tested.tolist() == result.reference.stable.tolist()


def _bound(scores, scale=1.0):
    mirrored = scores[:, 0] + np.random.default_rng(9).normal(0, scale, len(scores))
    return calibrate_flip_bound(scores[:, 0], mirrored)


def test_corrected_by_hand():
    # |d| = 1 .. 8 against 3.5 and 9: three and eight of eight lie below.
    scores = np.column_stack([np.zeros(8), np.arange(1.0, 9), -np.arange(1.0, 9)[::-1]])
    test = shift_statistics(scores, 3.5).corrected
    assert (test.beta, test.alpha, test.confidence) == (3.5, 0.01, 0.95)
    np.testing.assert_allclose(test.p, [219 / 256, 219 / 256], rtol=1e-12)
    assert test.adjusted_p.tolist() == [1.0, 1.0]
    assert test.share_above.tolist() == [5 / 8, 5 / 8]
    expected = scipy.stats.binomtest(5, 8).proportion_ci(0.95, "exact")
    np.testing.assert_allclose(np.array(test.share_above_interval)[:, 1], expected, rtol=1e-9)
    test = shift_statistics(scores, 9.0).corrected
    np.testing.assert_allclose(test.adjusted_p, [2 / 256, 2 / 256], rtol=1e-12)
    assert test.stable.all()
    assert test.p_all_shifts == pytest.approx(1 / 256, rel=1e-12)
    assert test.median_excess is None


def test_a_change_of_exactly_beta_is_not_above_it():
    # |d| = 1 .. 8 against 4: four above, three below, and one that no test counts.
    scores = np.column_stack([np.zeros(8), np.arange(1.0, 9)])
    result = shift_statistics(scores, 4.0)
    assert result.corrected.share_above.tolist() == [4 / 8]
    expected = scipy.stats.binomtest(4, 8).proportion_ci(0.95, "exact")
    np.testing.assert_allclose(np.ravel(result.corrected.share_above_interval), expected, rtol=1e-9)
    # P(Bin(7, 1/2) <= 4) = 99 / 128.
    assert result.corrected.p[0] == pytest.approx(99 / 128, rel=1e-12)


def test_the_bootstrap_takes_beta_as_the_bound_did():
    scores = _scores(30)
    mirrored = scores[:, 0] + np.random.default_rng(9).normal(0, 1, 30)
    found = {}
    for method in ("linear", "weibull"):
        bound = calibrate_flip_bound(scores[:, 0], mirrored, quantile_method=method)
        found[method] = shift_statistics(scores, bound, seed=3).corrected.median_excess
        draws = np.random.default_rng(3).integers(30, size=(2000, 30), dtype=np.int32)
        flips = np.abs(scores[:, 0] - mirrored)[draws]
        first, third = np.quantile(flips, (0.25, 0.75), axis=1, method=method)
        change = np.abs(scores[:, 1:] - scores[:, :1])[draws]
        excess = np.median(change, axis=1) - (third + 1.5 * (third - first))[:, None]
        expected = np.quantile(excess, (0.025, 0.975), axis=0)
        np.testing.assert_allclose(found[method].interval, expected, rtol=1e-9)
        assert (found[method].confidence, found[method].resamples) == (0.95, 2000)
        assert found[method].share_below.tolist() == np.mean(excess < 0, axis=0).tolist()
    assert not np.allclose(found["linear"].interval, found["weibull"].interval, rtol=1e-3)


def test_holm_counts_tested_shifts_only():
    # One sign pattern in 2**8 for each shift: 0.0039, and twice that, below alpha; thrice, above.
    scores = np.column_stack([np.zeros(8), np.arange(1.0, 9), np.arange(2.0, 10), np.arange(8.0)])
    assert not shift_statistics(scores, 10.0).corrected.stable.any()
    identity = np.array([True, False, False, True])
    test = shift_statistics(scores, 10.0, identity=identity).corrected
    assert test.stable.tolist() == [True, True, False]
    assert test.tested.tolist() == [True, True, False]
    for values in (test.p, test.adjusted_p, test.share_above, test.share_above_interval.high):
        assert np.isnan(values).tolist() == [False, False, True]


def test_description_needs_no_bound():
    scores = _scores(40)
    result = shift_statistics(scores, None)
    assert result.corrected is None
    change = np.abs(scores[:, 3] - scores[:, 0])
    # P(Bin(40, 1/2) < 14) <= 0.025 < P(< 15).
    low, high = (limit[2] for limit in result.median_interval)
    assert [low, high] == np.sort(change)[[13, -14]].tolist()
    assert result.shapiro_p[2] == pytest.approx(scipy.stats.shapiro(change).pvalue, rel=1e-9)


def test_estimated_bound_equals_its_value_and_adds_the_bootstrap():
    scores = _scores(60)
    bound = _bound(scores)
    estimated, given = shift_statistics(scores, bound), shift_statistics(scores, bound.value)
    np.testing.assert_array_equal(estimated.reference.p, given.reference.p)
    np.testing.assert_array_equal(estimated.corrected.p, given.corrected.p)
    assert given.corrected.median_excess is None
    excess = estimated.corrected.median_excess
    distance = estimated.median - bound.value
    assert np.all((excess.interval.low < distance) & (distance < excess.interval.high))
    again = shift_statistics(scores, bound).corrected.median_excess
    np.testing.assert_array_equal(again.interval, excess.interval)
    other = shift_statistics(scores, bound, seed=1).corrected.median_excess
    assert not np.array_equal(other.interval, excess.interval)


def test_bootstrap_leaves_out_identities_and_long_sweeps():
    scores = _scores(30, shifts=18)
    bound = _bound(scores)
    assert shift_statistics(scores, bound).corrected.median_excess is None
    identity = np.arange(18) % 9 == 0
    found = shift_statistics(scores, bound, identity=identity).corrected.median_excess
    assert np.flatnonzero(np.isnan(found.share_below)).tolist() == [8]
    everywhere = shift_statistics(scores, bound, identity=np.ones(18, bool)).corrected
    assert everywhere.median_excess is None
    assert np.isnan(everywhere.p_all_shifts)


def test_bound_of_other_images_is_refused():
    scores = _scores(30)
    with pytest.raises(ValueError, match="beta of 29 images for scores of 30"):
        shift_statistics(scores, _bound(scores[:29]))


@pytest.mark.parametrize("images", [50, 300])
def test_familywise_level_at_a_true_median_of_beta(images):
    # All shifts share the unshifted score, so that their tests depend on each other.
    rng = np.random.default_rng(images)
    median = np.sqrt(2) * scipy.stats.halfnorm.median()
    runs = 500
    rejected = [
        shift_statistics(rng.normal(size=(images, 5)), float(median), 0.05).corrected.stable.any()
        for _ in range(runs)
    ]
    assert 0.005 < np.mean(rejected) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)


@pytest.mark.parametrize(
    ("scores", "beta", "message"),
    [
        (np.zeros((0, 8)), None, "no images"),
        (np.ones((5, 1)), None, "at least one shift"),
        (_scores(6), 1.0, "7 images or more, and there are 6"),
        (np.full((8, 3), 20.0), 1.0, "constant scores"),
        (np.full((8, 3), 20.0), 0.0, "constant scores"),
        (np.tile([20.0, 22.0, 25.0], (8, 1)), 2.0, "equals beta = 2 at shift index 1"),
        (_scores(), -1.0, "beta must be"),
        (_scores(), float("nan"), "beta must be"),
    ],
)
def test_bad_input_is_named(scores, beta, message):
    with pytest.raises(InputError, match=message):
        shift_statistics(scores, beta)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_score_that_is_not_finite_is_located(value):
    scores = _scores()
    scores[3, 2] = value
    with pytest.raises(InputError, match=r"image 3 .* shift index 2 is (nan|inf)"):
        shift_statistics(scores, None)


def test_minimum_images_is_the_first_that_can_reach_alpha():
    for alpha in (0.05, 0.01, 0.001, 2.0**-7):
        n = minimum_images(alpha)
        assert 2.0**-n < alpha <= 2.0 ** -(n - 1)
    with pytest.raises(InputError, match="alpha"):
        minimum_images(1.0)


def test_order_by_stability_goes_by_the_largest_change():
    scores = np.array([[20.0, 20.0, 25.0], [20.0, 19.0, 19.0], [20.0, 17.0, 23.0]])
    assert order_by_stability(scores).tolist() == [1, 2, 0]
