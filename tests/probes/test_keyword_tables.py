"""Scores and statistics of the keyword probe as tables, column by column."""

import dataclasses

import numpy as np
import pytest
import scipy.stats
from made_scores import keyword_scores

from jclip.probes.keyword_tables import keyword_statistics_table, keyword_summary
from jclip.probes.scores import Sigmoid, fill_scores, score_table
from jclip.statistics.keyword import keyword_statistics


def scores(images=2, **changes):
    """Two identifiers and three generic words; one word is of both kinds."""
    rng = np.random.default_rng(images)
    generic = rng.normal(25, 2, (images, 3))
    values = {
        "image_set": "rooms",
        "model": "a/b",
        "fit": "pad",
        "control": False,
        "images": tuple(f"{i}.png" for i in range(images)),
        "contents": tuple(f"room {i}" for i in range(images)),
        "identifiers": ("a 360 photo of", "a view of"),
        "generics": ("a photo of", "an image of", "a view of"),
        "identifier_scores": generic[:, :2] + rng.normal(0.6, 1, (images, 2)),
        "generic_scores": generic,
    }
    return keyword_scores(**(values | changes))


def numbered():
    return scores(
        identifier_scores=np.array([[1.0, 2.0], [6.0, 7.0]]),
        generic_scores=np.array([[3.0, 4.0, 5.0], [8.0, 9.0, 10.0]]),
    )


def test_scores_have_a_row_per_image_and_word():
    words = ["a 360 photo of", "a view of", "a photo of", "an image of", "a view of"]
    assert score_table([numbered()]).to_pydict() == {
        "image_set": ["rooms"] * 10,
        "control": [False] * 10,
        "model": ["a/b"] * 10,
        "fit": ["pad"] * 10,
        "image": ["0.png"] * 5 + ["1.png"] * 5,
        "content": ["room 0"] * 5 + ["room 1"] * 5,
        "kind": (["identifier"] * 2 + ["generic"] * 3) * 2,
        "words": words * 2,
        "score": [*map(float, range(1, 11))],
    }


def test_scores_of_a_table_are_filled_in_by_name():
    whole = numbered(), dataclasses.replace(numbered(), fit="crop")
    whole[1].identifier_scores[:] += 20
    part = score_table([one.select([1]) for one in whole])
    empty = [dataclasses.replace(one, values=np.full((2, 5), np.nan)) for one in whole]
    fill_scores(empty, [part])
    for filled, more in zip(empty, (0, 20), strict=True):
        expected = [[np.nan, np.nan], [6 + more, 7 + more]]
        np.testing.assert_array_equal(filled.identifier_scores, expected)
        np.testing.assert_array_equal(filled.generic_scores, [[np.nan] * 3, [8, 9, 10]])


def test_statistics_have_their_values_under_their_names():
    """Twelve images, for which P(T+ <= 13) <= 0.025 < P(T+ <= 14)."""
    result = scores(12, control=True)
    own = keyword_statistics(result.identifier_scores, result.generic_scores)
    adjusted = np.arange(1.0, 7).reshape(2, 3) / 8
    rows = keyword_statistics_table([result], [own], [adjusted]).to_pylist()
    pairs = [(v, u) for v in range(2) for u in range(3)]
    assert len(rows) == 6
    for number, ((v, u), row) in enumerate(zip(pairs, rows, strict=True)):
        difference = result.identifier_scores[:, v] - result.generic_scores[:, u]
        won = int((difference > 0).sum())
        share = scipy.stats.binomtest(won, 12).proportion_ci(0.95, "exact")
        walsh = np.sort([(a + b) / 2 for i, a in enumerate(difference) for b in difference[i:]])
        test = scipy.stats.wilcoxon(difference, alternative="greater")
        ranks = scipy.stats.rankdata(np.abs(difference))
        expected = {
            "image_set": "rooms",
            "control": True,
            "model": "a/b",
            "fit": "pad",
            "identifier": result.identifiers[v],
            "generic": result.generics[u],
            "n": 12,
            "median_difference": np.median(difference),
            "hodges_lehmann": np.median(walsh),
            "hodges_lehmann_low": walsh[13],
            "hodges_lehmann_high": walsh[-14],
            "rank_biserial": np.sum(np.sign(difference) * ranks) / 78,
            "share_of_wins": won / 12,
            "wins_low": share.low,
            "wins_high": share.high,
            "wilcoxon_statistic": test.statistic,
            "wilcoxon_p": test.pvalue,
            "holm_p": (number + 1) / 8,
        }
        assert list(row) == list(expected)
        for name, value in expected.items():
            exact = isinstance(value, str | bool)
            assert row[name] == (value if exact else pytest.approx(value, rel=1e-9)), name


def test_the_summary_counts_the_pairs_found_and_takes_medians_over_pairs():
    result, other = scores(12), scores(12, control=True, image_set="photos")
    statistics = [
        keyword_statistics(r.identifier_scores, r.generic_scores) for r in (result, other)
    ]
    adjusted = [np.array([[0.001, 0.02, 0.049], [0.05, 0.5, 1.0]]), np.ones((2, 3))]
    found, control = keyword_summary([result, other], statistics, adjusted, 0.05).to_pylist()
    differences = [
        result.values[:, v] - result.values[:, 2 + u] for v in range(2) for u in range(3)
    ]
    walsh = [[(a + b) / 2 for i, a in enumerate(d) for b in d[i:]] for d in differences]
    wins = [np.mean(d > 0) for d in differences]
    assert min(wins) < max(wins)
    expected = {
        "image_set": "rooms",
        "control": False,
        "model": "a/b",
        "fit": "pad",
        "n": 12,
        "pairs_found": 3,
        "pairs": 6,
        "median_difference": np.median([np.median(d) for d in differences]),
        "location": np.median([np.median(w) for w in walsh]),
        "fewest_wins": min(wins),
        "most_wins": max(wins),
    }
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert found[name] == (value if isinstance(value, str) else pytest.approx(value)), name
    assert (control["image_set"], control["control"], control["pairs_found"]) == ("photos", True, 0)


def test_the_summary_has_median_probabilities_where_there_are_any():
    result = scores(12)
    likely = dataclasses.replace(result, sigmoid=Sigmoid(10.0, -1.0))
    own = keyword_statistics(result.identifier_scores, result.generic_scores)
    two = [result, likely], [own, own], [np.ones((2, 3))] * 2
    without, row = keyword_summary(*two, 0.05).to_pylist()
    assert without["generic_probability"] is None
    for kind in ("identifier", "generic"):
        logits = getattr(likely, f"{kind}_scores") / 10 - 1
        median = float(np.median(1 / (1 + np.exp(-logits))))
        assert row[f"{kind}_probability"] == pytest.approx(median, rel=1e-6)
