import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from jclip.errors import InputError
from jclip.statistics.ranks import (
    chance_rank,
    compare_ranks,
    mean_rank_interval,
    positive_ranks,
    reference_median,
    summarise_ranks,
)

NAN = np.nan
# Right caption first; a tie with the second negative of box 1, box 2 has one negative only.
SCORES = np.array([[0.5, 0.4, 0.6, 0.3], [0.5, 0.6, 0.5, 0.7], [0.2, 0.1, NAN, NAN]])


def test_ranks_by_hand():
    expected = [[1, 2, 2], [2, 3, 4], [1, NAN, NAN]]
    np.testing.assert_array_equal(positive_ranks(SCORES, "reference"), expected)
    expected[1] = [2, 2.5, 3.5]
    np.testing.assert_array_equal(positive_ranks(SCORES, "averaged"), expected)


def test_a_model_that_tells_nothing_apart():
    scores = np.ones((4, 11))
    assert np.all(positive_ranks(scores, "reference") == np.arange(2, 12))
    np.testing.assert_array_equal(
        positive_ranks(scores, "averaged")[0], chance_rank(np.arange(1, 11))
    )


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 10**6))
def test_ranks_equal_counting(boxes, most, seed):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 4, (boxes, most + 1)).astype(float)
    counts = rng.integers(0, most + 1, boxes)
    scores[np.arange(most + 1) > counts[:, None]] = NAN
    ranks = positive_ranks(scores, "reference")
    for box, n in np.ndindex(boxes, most):
        first = scores[box, : n + 2]
        if n < counts[box]:
            assert ranks[box, n] == np.sum(first >= first[0])
        else:
            assert np.isnan(ranks[box, n])


def test_gaps_are_a_mistake():
    with pytest.raises(ValueError, match="NaN before"):
        positive_ranks(np.array([[0.5, NAN, 0.4]]), "reference")
    with pytest.raises(ValueError, match="NaN before"):
        positive_ranks(np.array([[NAN, 0.4]]), "reference")


def test_the_authors_median_is_one_further():
    assert reference_median(np.array([4.0, 1.0, 3.0, 2.0, 9.0])) == 4.0
    assert reference_median(np.array([1.0, 2.0, 3.0, 4.0])) == 4.0
    assert reference_median(np.array([1.0, 5.0])) == 5.0
    assert reference_median(np.array([2.0])) == 2.0


def test_summary_by_hand():
    summary = summarise_ranks(positive_ranks(SCORES, "reference"))
    np.testing.assert_array_equal(summary.boxes, [3, 2, 2])
    np.testing.assert_allclose(summary.mean, [4 / 3, 2.5, 3])
    np.testing.assert_array_equal(summary.median, [1, 2.5, 3])
    np.testing.assert_array_equal(summary.median_reference, [2, 3, 4])
    np.testing.assert_array_equal(summary.chance, [1.5, 2, 2.5])
    assert np.all(summary.interval.low <= summary.mean)
    assert np.all(summary.interval.high >= summary.mean)


def test_numbers_that_no_box_reaches_are_missing():
    summary = summarise_ranks(np.array([[1.0, NAN], [2.0, NAN]]))
    np.testing.assert_array_equal(summary.boxes, [2, 0])
    for values in (summary.mean, summary.median, summary.median_reference, *summary.interval):
        assert np.isfinite(values[0]) and np.isnan(values[1])


def test_the_interval_is_a_bootstrap_of_the_mean():
    rng = np.random.default_rng(0)
    ranks = rng.integers(1, 12, 400).astype(float)
    low, high = mean_rank_interval(ranks, seed=1)
    means = ranks[rng.integers(400, size=(4000, 400))].mean(axis=1)
    np.testing.assert_allclose((low, high), np.quantile(means, (0.025, 0.975)), atol=0.03)
    assert mean_rank_interval(ranks, seed=1) == (low, high)
    assert mean_rank_interval(np.full(5, 3.0)) == (3.0, 3.0)
    with pytest.raises(InputError, match="confidence"):
        mean_rank_interval(ranks, confidence=1.0)
    with pytest.raises(ValueError, match="no ranks"):
        mean_rank_interval(np.empty(0))


def test_models_are_compared_box_by_box():
    rng = np.random.default_rng(0)
    first = rng.integers(1, 5, 60).astype(float)
    second = first + rng.integers(0, 3, 60)
    found = compare_ranks(first, second)
    expected = scipy.stats.wilcoxon(first - second)
    assert (found.statistic, found.p) == tuple(np.asarray(expected))
    assert found.difference == pytest.approx(np.mean(first - second))
    assert (found.boxes, found.effect) == (60, -1.0)
    assert compare_ranks(second, first).p == found.p
    # Differences that only average to zero are differences.
    evened = np.array([6.0, 6, *[1] * 10]), np.array([1.0, 1, *[2] * 10])
    found = compare_ranks(*evened)
    expected = scipy.stats.wilcoxon(evened[0] - evened[1])
    assert (found.statistic, found.p) == tuple(np.asarray(expected))
    assert (found.boxes, found.difference) == (12, 0.0) and 0 < found.p < 1
    same = compare_ranks(first, first)
    assert (same.p, same.difference) == (1.0, 0.0) and np.isnan(same.effect)
    with pytest.raises(ValueError, match="finite"):
        compare_ranks(first, np.full(60, NAN))
