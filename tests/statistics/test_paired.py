import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from jclip.errors import InputError
from jclip.statistics.paired import (
    hodges_lehmann,
    rank_biserial,
    sign_test,
    wilcoxon_signed_rank,
)


def test_worked_example():
    # Ranks of |d| are 3, 1, 4, 2, 5; the positive differences hold ranks 1 and 2. Of the 32 sign
    # patterns, 5 have a positive rank sum of 3 or less: {}, {1}, {2}, {3}, {1, 2}.
    differences = np.array([[-3.0], [1.0], [-4.0], [2.0], [-5.0]])
    statistic, p = wilcoxon_signed_rank(differences, "less")
    assert statistic.tolist() == [3.0]
    assert p[0] == pytest.approx(5 / 32, rel=1e-12)


@pytest.mark.parametrize("alternative", ["less", "greater"])
@pytest.mark.parametrize("images", [7, 13, 14, 50, 51, 200])
def test_columns_equal_scipy_one_by_one(images, alternative):
    rng = np.random.default_rng(images)
    differences = rng.normal(-0.3, 1.0, (images, 6))
    differences[:, 1] = np.round(differences[:, 1], 1)
    differences[0, 2] = 0.0
    differences[1, 3] = -differences[0, 3]
    statistic, p = wilcoxon_signed_rank(differences, alternative)
    for column in range(6):
        expected = scipy.stats.wilcoxon(differences[:, column], alternative=alternative)
        assert statistic[column] == expected.statistic
        assert p[column] == pytest.approx(expected.pvalue, rel=1e-12)


@settings(max_examples=30, deadline=None)
@given(arrays(np.float64, (8, 3), elements=st.integers(-4, 4).map(float)))
def test_ties_in_one_column_leave_the_others_alone(differences):
    # A column without ties or zeros beside the drawn ones, which are full of them.
    exact = np.array([1.5, -2.5, 3.5, -4.5, -5.5, -6.5, -7.5, -8.5])
    differences[0] += 9.0
    _, p = wilcoxon_signed_rank(np.column_stack([differences, exact]), "less")
    assert p[-1] == scipy.stats.wilcoxon(exact, alternative="less").pvalue


def test_more_columns_than_one_chunk():
    differences = np.random.default_rng(1).normal(size=(12, 200))
    _, p = wilcoxon_signed_rank(differences, "less")
    for column in (0, 63, 64, 199):
        assert p[column] == scipy.stats.wilcoxon(differences[:, column], alternative="less").pvalue


def test_column_of_zeros_is_refused():
    with pytest.raises(ValueError, match="zero in column 1"):
        wilcoxon_signed_rank(np.array([[1.0, 0.0], [2.0, 0.0]]), "less")


def test_sign_test_by_hand():
    # Of five differences other than zero, one is positive: (1 + 5) / 32; none below: 1 / 32.
    differences = np.array([[-1.0, 1, 0], [-2, 5, 0], [0, 3, 0], [3, 3, 0], [-1, 0, 0], [-1, 8, 0]])
    np.testing.assert_allclose(sign_test(differences, "less"), [6 / 32, 1, 1], rtol=1e-12)
    np.testing.assert_allclose(sign_test(differences, "greater"), [31 / 32, 1 / 32, 1], rtol=1e-12)


@pytest.mark.parametrize("alternative", ["less", "greater"])
def test_sign_test_equals_scipys_binomial_test(alternative):
    differences = np.random.default_rng(0).normal(size=(300, 5))
    for column, p in zip(differences.T, sign_test(differences, alternative), strict=True):
        expected = scipy.stats.binomtest(int((column > 0).sum()), 300, alternative=alternative)
        assert p == pytest.approx(expected.pvalue, rel=1e-9)


@pytest.mark.parametrize("images", [50, 200, 1000])
def test_only_the_sign_test_has_its_level_on_skewed_differences(images):
    # Half-normal |d| whose true median equals beta.
    runs = 4000
    rng = np.random.default_rng(images)
    excess = np.abs(rng.normal(size=(images, runs))) - scipy.stats.halfnorm.median()
    rejected = np.mean(sign_test(excess, "less") < 0.01)
    assert 0.003 < rejected <= 0.01 + 3 * np.sqrt(0.01 * 0.99 / runs)
    _, p = wilcoxon_signed_rank(excess[:, :1000], "less")
    assert np.mean(p < 0.01) <= 0.001
    # In the other direction the same skew passes for evidence.
    _, p = wilcoxon_signed_rank(excess[:, :1000], "greater")
    assert np.mean(p < 0.01) > 0.05


def test_rank_biserial_by_hand():
    # The zero leaves first; ranks 1, 2.5, 2.5, 4 with 2.5 and 4 positive: (6.5 - 3.5) / 10.
    differences = np.array([[0.0, 1, -1, 0], [-1, 2, -1, 0], [3, 3, -1, 0], [-3, 4, 0, 0]])
    differences = np.vstack([differences, [[5.0, 5, 0, 0]]])
    np.testing.assert_allclose(rank_biserial(differences), [0.3, 1, -1, np.nan], rtol=1e-12)


@given(arrays(np.float64, (9, 2), elements=st.integers(-4, 4).map(float)))
def test_rank_biserial_is_wilcoxons_statistic_on_a_scale_from_minus_one_to_one(differences):
    differences[0] = 9.0
    statistic, _ = wilcoxon_signed_rank(differences, "greater")
    left = np.count_nonzero(differences, axis=0)
    expected = 2 * statistic / (left * (left + 1) / 2) - 1
    np.testing.assert_allclose(rank_biserial(differences), expected, atol=1e-12)


def _walsh(column):
    sums = column[:, None] + column
    return np.sort(sums[np.tril_indices(len(column))] / 2)


def test_hodges_lehmann_by_hand():
    # Walsh averages of 1, 2, 4: 1, 1.5, 2, 2.5, 3, 4. Eight sign patterns bear no 95 %, but 75 %:
    # P(T+ = 0) = 1 / 8.
    differences = np.array([[4.0], [1.0], [2.0]])
    estimate, low, high = hodges_lehmann(differences)
    assert estimate.tolist() == [2.25]
    assert np.isnan(low[0]) and np.isnan(high[0])
    _, low, high = hodges_lehmann(differences, 0.75)
    assert (low.tolist(), high.tolist()) == ([1.0], [4.0])


@settings(max_examples=50, deadline=None)
@given(arrays(np.float64, st.tuples(st.integers(6, 20), st.just(2)), elements=st.floats(-50, 50)))
def test_hodges_lehmann_equals_the_sorted_walsh_averages(differences):
    n = len(differences)
    patterns = np.array([0])
    for rank in range(1, min(n, 14) + 1):
        patterns = np.concatenate([patterns, patterns + rank])
    estimate, low, high = hodges_lehmann(differences)
    for t, column in enumerate(differences.T):
        walsh = _walsh(column)
        assert estimate[t] == pytest.approx(np.median(walsh), abs=1e-12)
        if n <= 14:
            # Every sign pattern written out: the largest k with P(T+ < k) <= 0.025.
            depth = next(k for k in range(200) if np.mean(patterns < k + 1) > 0.025)
            assert low[t] == pytest.approx(walsh[depth - 1], abs=1e-12)
            assert high[t] == pytest.approx(walsh[-depth], abs=1e-12)


def test_hodges_lehmann_of_tied_values_is_one_of_their_averages():
    differences = np.random.default_rng(0).integers(-2, 3, (501, 3)).astype(float)
    walsh = np.apply_along_axis(_walsh, 0, differences)
    estimate, low, high = hodges_lehmann(differences)
    assert estimate.tolist() == np.median(walsh, axis=0).tolist()
    assert np.isin([low, high], np.unique(walsh)).all()
    assert hodges_lehmann(np.full((9, 1), 0.3))[0][0] == pytest.approx(0.3, rel=1e-15)


def test_exact_and_approximate_interval_meet(monkeypatch):
    differences = np.random.default_rng(5).normal(size=(200, 3))
    exact = hodges_lehmann(differences)
    monkeypatch.setattr("jclip.statistics.paired._LARGEST_EXACT_SIGNED_RANK", 199)
    np.testing.assert_allclose(hodges_lehmann(differences), exact, atol=1e-3)


@pytest.mark.parametrize(("n", "runs"), [(6, 1500), (15, 1500), (250, 400)])
def test_hodges_lehmann_interval_covers(n, runs):
    differences = np.random.default_rng(n).uniform(-1, 1, (n, runs)) + 5.0
    _, low, high = hodges_lehmann(differences)
    covered = np.mean((low <= 5) & (high >= 5))
    assert 0.95 - 3 * np.sqrt(0.05 * 0.95 / runs) <= covered < 0.985


def test_hodges_lehmann_of_ten_thousand_values():
    # For normal values the estimate varies with variance pi / 3 / n.
    values = np.random.default_rng(4).normal(0.1, 1, (10_000, 1))
    estimate, low, high = hodges_lehmann(values)
    half = 1.96 * np.sqrt(np.pi / 3 / 10_000)
    assert abs(estimate[0] - 0.1) < 0.05
    assert (high - low)[0] == pytest.approx(2 * half, rel=0.05)


@pytest.mark.parametrize("function", [hodges_lehmann, rank_biserial, sign_test])
def test_difference_that_is_not_finite_is_located(function):
    arguments = ("less",) if function is sign_test else ()
    with pytest.raises(ValueError, match="difference 1 of column 0 is nan"):
        function(np.array([[1.0, 2.0], [np.nan, 3.0]]), *arguments)


def test_hodges_lehmann_names_a_bad_level():
    with pytest.raises(InputError, match="confidence"):
        hodges_lehmann(np.ones((9, 1)), 95.0)
    with pytest.raises(ValueError, match="no differences"):
        hodges_lehmann(np.ones((0, 1)))
