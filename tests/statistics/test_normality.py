import numpy as np
import pytest
import scipy.stats

from jclip.statistics.stability import shapiro_wilk


@pytest.mark.parametrize("n", [3, 4, 12, 500])
def test_columns_equal_scipy_one_by_one(n):
    values = np.abs(np.random.default_rng(n).normal(size=(n, 4)))
    values[:, 2] = 1.5
    statistic, p = shapiro_wilk(values)
    for column in (0, 1, 3):
        expected = scipy.stats.shapiro(values[:, column])
        assert statistic[column] == pytest.approx(expected.statistic, rel=1e-12)
        assert p[column] == pytest.approx(expected.pvalue, rel=1e-9)
    assert np.isnan(statistic[2]) and np.isnan(p[2])


def test_p_is_withheld_where_its_approximation_is_not_known_to_hold():
    values = np.random.default_rng(0).normal(size=(5001, 1))
    statistic, p = shapiro_wilk(values)
    assert 0.99 < statistic[0] <= 1
    assert np.isnan(p[0])
    assert shapiro_wilk(values[:5000])[1][0] > 0.001


def test_two_values_have_no_test():
    statistic, p = shapiro_wilk(np.array([[1.0], [2.0]]))
    assert np.isnan(statistic[0]) and np.isnan(p[0])
