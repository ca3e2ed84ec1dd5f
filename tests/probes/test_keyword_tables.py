"""Scores and statistics of the keyword probe as tables, column by column."""

import dataclasses

import numpy as np
import pytest
import scipy.stats

from jclip.probes.keyword import (
    fill_from_keyword_table,
    keyword_table,
    select_keyword_images,
)
from jclip.probes.keyword_scores import KeywordScores
from jclip.probes.keyword_statistics_table import keyword_statistics_table
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
    return KeywordScores(**(values | changes))


def numbered():
    return scores(
        identifier_scores=np.array([[1.0, 2.0], [6.0, 7.0]]),
        generic_scores=np.array([[3.0, 4.0, 5.0], [8.0, 9.0, 10.0]]),
    )


def test_scores_have_a_row_per_image_and_word():
    words = ["a 360 photo of", "a view of", "a photo of", "an image of", "a view of"]
    assert keyword_table([numbered()]).to_pydict() == {
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
    part = keyword_table([select_keyword_images(one, [1]) for one in whole])
    empty = [
        dataclasses.replace(
            one, identifier_scores=np.full((2, 2), np.nan), generic_scores=np.full((2, 3), np.nan)
        )
        for one in whole
    ]
    fill_from_keyword_table(empty, [part])
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
