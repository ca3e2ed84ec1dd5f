"""The page of detectors against CLIP."""

import numpy as np
import pytest
import scipy.stats
from plain_holm import plain_holm

from jclip.probes.detector_ranks import BoxSubset, Truncation
from jclip.probes.fine_grained import RankedSet
from jclip.probes.fine_grained_table import compare_models, summarise_sets
from jclip.report.detector_page import detector_notices, detector_page


def subset(*models):
    ranks = np.array([[1.0, 1.0], [2.0, 3.0], [1.0, np.nan]])
    ranked = [RankedSet(model, "transparency", np.arange(3), ranks, ranks, 2) for model in models]
    return BoxSubset("all boxes", "Every box.", summarise_sets(ranked), compare_models(ranked))


def page(*subsets):
    truncated = [Truncation("transparency", 4, 1, 1, np.arange(3))]
    return detector_page(subsets, truncated, context=16)


def test_tables_of_a_subset():
    made = page(subset("owl, corrected", "some CLIP"))
    assert made.title == "Detector ranks: owl"
    assert made.lead == (
        "Among its hard negatives the right caption of a box ranks at 2.00 by owl, corrected, "
        "2.00 by some CLIP (mean of 1 sets; 1 is best, a guess is at 2.00)."
    )
    mean, details, tests = made.sections[0].tables
    assert mean.rows[0] == ("owl, corrected", "against it", 2.0, 2.0)
    assert mean.rows[-3:] == (
        ("chance", "", 2.0, 2.0), ("negatives", "", "2", ""), ("boxes", "", "2", ""),
    )  # fmt: skip
    assert [row[0] for row in details.rows] == ["owl, corrected", "some CLIP"]
    assert len(tests.rows) == 1 and tests.rows[0][:2] == ("owl, corrected", "some CLIP")
    (cut,) = made.sections[1].tables
    assert cut.rows == (("transparency", 4, 1, 0.25, 1),)


def test_every_number_stands_under_its_own_heading():
    """Two models on two sets, with ties and a box without the last negative."""
    first = np.array([[1, 1], [1, 2], [1, 3], [2, 3], [2, 3], [2, 3], [2, np.nan]])
    second = np.array([[2, 2], [1, 2], [2, 3], [1, 1], [1, 2], [1, 1], [1, 1.0]])
    ranked = [
        RankedSet(model, name, np.arange(7), ranks, ranks - 0.25, 2)
        for name, flip in (("transparency", 1), ("own", -1))
        for model, ranks in (("owl, corrected", first), ("some CLIP", second[::flip]))
    ]
    summaries, comparisons = summarise_sets(ranked), compare_models(ranked)
    made = page(BoxSubset("all boxes", "Every box.", summaries, comparisons))
    mean, details, tests = made.sections[0].tables
    assert [column.heading for column in mean.columns] == [
        "model", "ties", "Transparency", "own", "mean of 2",
    ]  # fmt: skip
    assert mean.rows[0][2:] == pytest.approx((2.5, 2.5, 2.5))
    assert mean.rows[1] == ("owl, corrected", "half", 2.25, 2.25, 2.25)
    assert mean.rows[2][2:] == pytest.approx((12 / 7,) * 3)
    assert mean.rows[-3:] == (
        ("chance", "", 2.0, 2.0, 2.0),
        ("negatives", "", "2", "2", ""),
        ("boxes", "", "6", "6", ""),
    )
    assert [column.heading for column in details.columns] == [
        "model", "set", "boxes", "mean rank", "95 % interval", "median",
        "median as in the paper's code", "chance",
    ]  # fmt: skip
    row = details.rows[0]
    assert row[:4] == ("owl, corrected", "Transparency", 6, 2.5)
    assert row[4][0] < 2.5 < row[4][1]
    assert row[5:] == (3.0, 3.0, 2.0)
    row = details.rows[1]
    assert row[:4] == ("some CLIP", "Transparency", 7, pytest.approx(12 / 7))
    assert row[5:] == (2.0, 2.0, 2.0)
    assert mean.rows[3][2:] == pytest.approx((12 / 7 - 0.25,) * 3)
    headings = [column.heading for column in tests.columns]
    assert headings == [
        "first", "second", "set", "boxes", "mean difference", "rank-biserial",
        "Wilcoxon statistic", "p", "Holm p",
    ]  # fmt: skip
    p = []
    for row, flip in zip(tests.rows, (1, -1), strict=True):
        difference = (first - second[::flip])[:6, 1]
        test = scipy.stats.wilcoxon(difference)
        p.append(test.pvalue)
        kept = np.abs(difference) > 0
        ranks = scipy.stats.rankdata(np.abs(difference[kept]))
        effect = np.sum(np.sign(difference[kept]) * ranks) / ranks.sum()
        assert row[3] == 6
        assert row[4:8] == pytest.approx((difference.mean(), effect, *test))
    assert p[0] != p[1]
    assert [row[8] for row in tests.rows] == pytest.approx(plain_holm(p))


def test_what_was_cut_is_counted_set_by_set():
    truncated = [
        Truncation("color", 8, 4, 3, np.arange(4)),
        Truncation("own", 5, 1, 0, np.arange(4)),
    ]
    made = detector_page([subset("owl, corrected")], truncated, context=16)
    (cut,) = made.sections[1].tables
    assert cut.rows == (("color", 8, 4, 0.5, 3), ("own", 5, 1, 0.2, 0))


def test_cut_captions_and_silent_boxes_are_said_first():
    truncated = [
        Truncation("color", 8, 4, 3, np.arange(4)),
        Truncation("own", 5, 1, 0, np.arange(4)),
    ]
    scores = {"reference": np.array([[0.0, 0.0], [0.5, 0.1], [0.0, 0.0]])}
    cut, silent = detector_notices(scores, truncated, 16)
    assert cut.startswith("5 of 13 boxes have a caption of more than 16 tokens")
    assert "no prediction speaks for 2 of 13 boxes" in silent
    whole = [Truncation("color", 8, 0, 0, np.arange(8))]
    assert list(detector_notices({"corrected": scores["reference"]}, whole, 16)) == []


def test_a_detector_alone_is_compared_with_nothing():
    assert len(page(subset("owl, corrected")).sections[0].tables) == 2


def test_no_results_are_a_mistake():
    with pytest.raises(ValueError, match="no results"):
        page()
