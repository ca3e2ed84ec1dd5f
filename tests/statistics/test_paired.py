import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from jclip.statistics.paired import wilcoxon_signed_rank


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
