import numpy as np
import pytest
import scipy.stats

from jclip.statistics.set_comparison import compare_sets


def test_worked_example():
    # 3 is larger than two of the four, 5 than three of them and ties with one: U = 2 + 3.5.
    (found,) = compare_sets({"a": np.array([3.0, 5.0]), "b": np.array([1.0, 2.0, 4.0, 5.0])})
    assert (found.first, found.second) == ("a", "b")
    assert found.statistic == 5.5
    assert found.superiority == 5.5 / 8


@pytest.mark.parametrize("ties", [False, True])
def test_every_pair_equals_scipy(ties):
    rng = np.random.default_rng(int(ties))
    values = {name: rng.normal(mean, 1, 9 + mean) for mean, name in enumerate("abc")}
    if ties:
        values = {name: np.round(sample, 1) for name, sample in values.items()}
    found = compare_sets(values)
    assert [(c.first, c.second) for c in found] == [("a", "b"), ("a", "c"), ("b", "c")]
    for c in found:
        expected = scipy.stats.mannwhitneyu(values[c.first], values[c.second])
        assert (c.statistic, c.p) == (expected.statistic, expected.pvalue)


def test_superiority_is_the_share_of_pairs_won():
    rng = np.random.default_rng(2)
    first, second = rng.normal(0.5, 1, 13), rng.normal(0, 2, 7)
    (found,) = compare_sets({"a": first, "b": second})
    assert found.superiority == np.mean(first[:, None] > second)
    (turned,) = compare_sets({"b": second, "a": first})
    assert turned.superiority == pytest.approx(1 - found.superiority, abs=1e-12)


def test_equal_values_are_no_difference():
    (found,) = compare_sets({"a": np.full(3, 2.0), "b": np.full(5, 2.0)})
    assert (found.p, found.superiority) == (1.0, 0.5)


@pytest.mark.parametrize("bad", [np.array([]), np.array([1.0, np.nan])])
def test_sets_without_usable_values_are_refused(bad):
    with pytest.raises(ValueError, match="set 'b'"):
        compare_sets({"a": np.ones(2), "b": bad})
