import numpy as np
import pytest
import scipy.stats

from jclip.errors import InputError
from jclip.statistics.keyword import keyword_statistics


def _scores(images=12, identifiers=3, generics=2, seed=0):
    rng = np.random.default_rng(seed)
    base = rng.normal(25, 3, (images, 1))
    identifier = base + rng.normal(0.5, 1, (images, identifiers))
    return identifier, base + rng.normal(0, 1, (images, generics))


def test_worked_example_by_hand():
    generic = np.full((7, 1), 20.0)
    identifier = 20.0 + np.array([[1.0], [2.0], [-3.0], [4.0], [5.0], [6.0], [7.0]])
    result = keyword_statistics(identifier, generic)
    assert result.n == 7
    assert result.median == [[4.0]]
    # Rank 3 is negative: T+ = 25, T- = 3. Sets of ranks 1 .. 7 with a sum of 3 or less: {}, {1},
    # {2}, {3}, {1, 2}.
    assert result.statistic == [[25.0]]
    assert result.p[0, 0] == pytest.approx(5 / 128, rel=1e-12)
    assert result.effect[0, 0] == pytest.approx(22 / 28, rel=1e-12)
    assert result.wins == [[6 / 7]]
    expected = scipy.stats.binomtest(6, 7).proportion_ci(0.95, "exact")
    np.testing.assert_allclose(np.ravel(result.wins_interval), expected, rtol=1e-9)
    walsh = [(a + b) / 2 for i, a in enumerate(identifier[:, 0]) for b in identifier[i:, 0]]
    assert result.location[0, 0] == np.median(walsh) - 20
    # P(T+ <= 2) = 3 / 128 <= 0.025 < P(T+ <= 3): the third average from either end.
    walsh = np.sort(walsh) - 20
    np.testing.assert_allclose(np.ravel(result.location_interval), walsh[[2, -3]], rtol=1e-12)


@pytest.mark.parametrize("images", [12, 80])
def test_each_pair_stands_where_its_words_say(images):
    identifier, generic = _scores(images)
    result = keyword_statistics(identifier, generic)
    for v in range(3):
        for u in range(2):
            difference = identifier[:, v] - generic[:, u]
            expected = scipy.stats.wilcoxon(difference, alternative="greater")
            assert result.median[v, u] == np.median(difference)
            assert result.statistic[v, u] == expected.statistic
            assert result.p[v, u] == pytest.approx(expected.pvalue, rel=1e-12)
            assert result.wins[v, u] == np.mean(difference > 0)
            low, high = (limit[v, u] for limit in result.location_interval)
            assert low < result.location[v, u] < high
    assert result.effect.shape == result.location.shape == (3, 2)


def test_ties_do_not_win():
    identifier, generic = _scores(10, 1, 1)
    identifier[:4] = generic[:4]
    identifier[4:] = generic[4:] + 1
    assert keyword_statistics(identifier, generic).wins == [[0.6]]


def test_bad_input_is_named():
    identifier, generic = _scores()
    with pytest.raises(InputError, match="7 images or more, and there are 6"):
        keyword_statistics(identifier[:6], generic[:6])
    same = generic.copy()
    same[:, 1] = identifier[:, 2]
    with pytest.raises(InputError, match="identifier 2 and generic word 1"):
        keyword_statistics(identifier, same)
    bad = generic.copy()
    bad[3, 1] = np.nan
    with pytest.raises(InputError, match=r"image 3 with generic word 1 .* is nan"):
        keyword_statistics(identifier, bad)
    with pytest.raises(InputError, match="image 3 with identifier 1"):
        keyword_statistics(bad, identifier)
    with pytest.raises(InputError, match="alpha"):
        keyword_statistics(identifier, generic, alpha=1.5)
    with pytest.raises(InputError, match="confidence"):
        keyword_statistics(identifier, generic, confidence=95.0)
