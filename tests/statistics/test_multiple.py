import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import ndtr

from jclip.statistics.multiple import holm, intersection_union


def test_holm_by_hand():
    # 4 x .01, 3 x .02, 2 x .03 = .06, and .04 raised to what comes before it.
    adjusted = holm(np.array([[0.04, 0.01], [0.03, 0.02]]))
    np.testing.assert_allclose(adjusted, [[0.06, 0.04], [0.06, 0.06]], rtol=1e-12)


def test_nan_stays_and_does_not_count():
    adjusted = holm(np.array([0.02, np.nan, 0.5, np.nan]))
    np.testing.assert_allclose(adjusted, [0.04, np.nan, 0.5, np.nan], rtol=1e-12)
    assert holm(np.array([0.7, 0.8])).tolist() == [1.0, 1.0]
    assert np.isnan(holm(np.full(2, np.nan))).all()


@given(arrays(np.float64, st.integers(1, 12), elements=st.floats(0, 1)), st.floats(0.001, 0.5))
def test_holm_rejects_what_the_sequential_rule_rejects(p, alpha):
    rejected = np.zeros(len(p), bool)
    for i, index in enumerate(np.argsort(p)):
        if p[index] * (len(p) - i) > alpha:
            break
        rejected[index] = True
    assert (holm(p) <= alpha).tolist() == rejected.tolist()


def test_familywise_error_rate_is_held():
    # Seven true nulls that share half of their variance, three false ones beside them.
    rng = np.random.default_rng(0)
    runs = 4000
    z = np.sqrt(0.5) * (rng.normal(size=(runs, 1)) + rng.normal(size=(runs, 10)))
    z[:, 7:] += 4.0
    p = 1 - ndtr(z)
    adjusted = np.array([holm(row) for row in p])
    error = np.mean(np.any(adjusted[:, :7] < 0.05, axis=1))
    assert 0.01 < error <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)
    assert np.mean(np.any(p[:, :7] < 0.05, axis=1)) > 0.15
    assert np.mean(adjusted[:, 7:] < 0.05) > 0.7


def test_intersection_union_is_the_largest_p():
    assert intersection_union(np.array([0.01, np.nan, 0.2])) == 0.2
    assert np.isnan(intersection_union(np.array([np.nan])))
    assert np.isnan(intersection_union(np.zeros(0)))


def test_p_outside_its_range_is_refused():
    for function in (holm, intersection_union):
        with pytest.raises(ValueError, match="between 0 and 1"):
            function(np.array([0.5, 1.5]))
