import dataclasses

import numpy as np
import pytest
import scipy.stats
from plain_holm import plain_holm

from jclip.probes.fine_grained import RankedSet
from jclip.probes.fine_grained_table import (
    compare_models,
    comparison_table,
    mean_over_sets,
    paper_table,
    rank_table,
    summarise_sets,
    summary_table,
)
from jclip.report.fine_grained_page import fine_grained_page, rank_figure
from jclip.report.page import write_page
from jclip.statistics.ranks import mean_rank_interval


def ranked(model, name, negatives, seed=0, boxes=30, most=None):
    most = most or negatives
    rng = np.random.default_rng([seed, len(name)])
    ranks = 1 + np.cumsum(rng.integers(0, 2, (boxes, most)), axis=1).astype(float)
    return RankedSet(model, name, np.arange(boxes), ranks, ranks - 0.25, negatives)


@pytest.fixture
def summaries():
    return summarise_sets(
        [
            ranked(model, name, negatives, seed)
            for seed, model in enumerate(("one $1", "two"))
            for name, negatives in (("1_attributes", 10), ("transparency", 2), ("own", 4))
        ]
    )


def page(summaries, results=()):
    return fine_grained_page(summaries, compare_models(results))


def test_the_page_says_what_the_summaries_say(summaries, tmp_path):
    made = page(summaries, [s.ranked for s in summaries])
    write_page(tmp_path / "report.html", made)
    text = (tmp_path / "report.html").read_text()
    assert "mean of 3 sets; 1 is best, a guess is at 3.67" in text
    headings = [section.heading for section in made.sections]
    assert headings[:3] == ["Mean rank", "Models compared", "Boxes with at least n negatives"]
    table = made.sections[0].tables[0]
    assert [column.heading for column in table.columns[2:]] == [
        "Hard",
        "Transparency",
        "own",
        "mean of 3",
    ]
    means = mean_over_sets(summaries)
    first = table.rows[0]
    assert first[:2] == ("one $1", "against it")
    assert first[2] == pytest.approx(summaries[0].ranked.reference[:, 9].mean())
    assert first[5] == means["one $1"]["reference"]
    assert table.rows[1][2] == pytest.approx(first[2] - 0.25)
    assert table.rows[4][2:] == pytest.approx((6.0, 2.0, 3.0, 11 / 3))
    assert table.rows[5][2:5] == ("10", "2", "4")
    assert table.rows[6] == ("boxes", "", "30", "30", "30", "")


def test_one_model_is_compared_with_nothing(summaries):
    made = page(summaries[:3])
    assert made.title.endswith("one $1")
    assert "Models compared" not in [section.heading for section in made.sections]
    with pytest.raises(ValueError, match="no results"):
        page([])


def test_the_figure_has_every_set_and_model(summaries):
    axes = rank_figure(summaries).axes[0]
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels == ["Hard\n1 + 10", "Transparency\n1 + 2", "own\n1 + 4"]
    assert len(axes.containers) == 2
    drawn = axes.containers[1].lines[0].get_ydata()
    np.testing.assert_allclose(drawn, [s.reference.mean[s.at] for s in summaries[3:]])
    chance = [line.get_segments()[0][0][1] for line in axes.collections[:3]]
    np.testing.assert_allclose(chance, [6, 2, 3])


def test_the_bars_are_the_intervals(summaries):
    axes = rank_figure(summaries).axes[0]
    for container, own in zip(axes.containers, (summaries[:3], summaries[3:]), strict=True):
        (bars,) = container.lines[2]
        ends = [segment[:, 1].tolist() for segment in bars.get_segments()]
        limits = [[float(end[s.at]) for end in s.reference.interval] for s in own]
        np.testing.assert_allclose(ends, limits)
        middle = np.mean(limits, axis=1)
        assert not np.allclose(container.lines[0].get_ydata(), middle, rtol=1e-4)


def test_the_table_marks_the_papers_number():
    table = summary_table(summarise_sets([ranked("m", "pattern", 7, most=9)])).to_pylist()
    assert [row["negatives"] for row in table if row["in_table"]] == [7]
    assert len(table) == 9 and table[0]["name"] == "Pattern"


def test_comparisons_match_boxes_by_annotation():
    """The second model lost boxes in between, so that the rows of one box differ."""
    kept = np.arange(30)[3::2]
    first = ranked("a", "color", 3)
    second = ranked("b", "color", 3, seed=1, boxes=len(kept))
    second = dataclasses.replace(second, annotations=kept)
    (found,) = compare_models([first, second])
    difference = first.reference[kept, 2] - second.reference[:, 2]
    assert difference.mean() != pytest.approx(
        (first.reference[: len(kept), 2] - second.reference[:, 2]).mean()
    )
    assert (found.first, found.second, found.set) == ("a", "b", "Color")
    assert found.ranks.boxes == 14
    assert found.ranks.difference == pytest.approx(difference.mean())
    assert found.ranks.p == pytest.approx(scipy.stats.wilcoxon(difference).pvalue)
    assert found.holm_p == found.ranks.p
    assert compare_models([first]) == []


def test_boxes_without_the_table_s_number_of_negatives_are_not_compared():
    first, second = ranked("a", "color", 3), ranked("b", "color", 3, seed=1)
    first.reference[:4, 2], second.reference[2:9, 2] = np.nan, np.nan
    (found,) = compare_models([first, second])
    difference = (first.reference - second.reference)[9:, 2]
    assert found.ranks.boxes == 21
    assert found.ranks.difference == pytest.approx(difference.mean())
    second.reference[9:, 2] = np.nan
    assert compare_models([first, second]) == []


def test_p_is_adjusted_over_all_sets_and_pairs():
    """Three models on two sets: six comparisons are one family."""
    results = [
        ranked(model, name, negatives, seed)
        for seed, model in enumerate("abc")
        for name, negatives in (("color", 5), ("own", 3))
    ]
    found = compare_models(results)
    assert [(c.set, c.first, c.second) for c in found] == [
        (name, *pair) for name in ("Color", "own") for pair in (("a", "b"), ("a", "c"), ("b", "c"))
    ]
    by_model = {(r.model, r.name): r.reference[:, -1] for r in results}
    p = [
        scipy.stats.wilcoxon(by_model[c.first, c.set] - by_model[c.second, c.set]).pvalue
        for c in found
    ]
    assert [c.ranks.p for c in found] == pytest.approx(p)
    adjusted = plain_holm(p)
    assert len(set(adjusted)) > 2 and adjusted != pytest.approx(p, rel=0.1)
    assert [c.holm_p for c in found] == pytest.approx(adjusted)
    table = comparison_table(found)
    assert table["p"].to_pylist() == pytest.approx(p)
    assert table["holm_p"].to_pylist() == pytest.approx(adjusted)
    made = fine_grained_page(summarise_sets(results), found)
    rows = made.sections[1].tables[0].rows
    assert [row[-2] for row in rows] == pytest.approx(p)
    assert [row[-1] for row in rows] == pytest.approx(adjusted)


# Among the first two negatives: one box has one only, and every column has a number of its own.
UNEVEN = np.array([[1, 1], [1, 2], [1, 3], [2, 3], [2, 5], [1, 6], [2, np.nan]])


def uneven():
    annotations = np.array([7, 3, 8, 21, 5, 9, 4])
    return RankedSet("m", "own", annotations, UNEVEN, UNEVEN - 0.25, 2)


def test_intervals_and_medians_stand_under_their_headings():
    (summary,) = summarise_sets([uneven()])
    table = page([summary]).sections[0].tables[1]
    headings = [column.heading for column in table.columns]
    (row,) = table.rows
    cells = dict(zip(headings, row, strict=True))
    low, high = cells.pop("95 % interval")
    assert cells == {
        "model": "m",
        "set": "own",
        "boxes": 6,
        "mean rank": pytest.approx(20 / 6),
        "median": 3.0,
        "median as in the paper's code": 5.0,
        "chance": 2.0,
    }
    assert (low, high) == mean_rank_interval(UNEVEN[:6, 1], seed=0)
    assert 1 < low < 20 / 6 < high < 6


def test_the_tables_hold_the_ranks_column_by_column():
    ranked_boxes = rank_table([uneven()]).to_pydict()
    assert ranked_boxes == {
        "model": ["m"] * 7,
        "set": ["own"] * 7,
        "annotation": [7, 3, 8, 21, 5, 9, 4],
        "negatives": [2] * 7,
        "rank": pytest.approx([1, 2, 3, 3, 5, 6, np.nan], nan_ok=True),
        "rank_ties_averaged": pytest.approx([0.75, 1.75, 2.75, 2.75, 4.75, 5.75, np.nan],
                                            nan_ok=True),
    }  # fmt: skip
    summaries = summarise_sets([uneven()], seed=4)
    first, second = summary_table(summaries).to_pylist()
    for row, at in ((first, 0), (second, 1)):
        own = UNEVEN[: 7 - at, at]
        limits = row.pop("mean_rank_low"), row.pop("mean_rank_high")
        assert limits == mean_rank_interval(own, seed=4)
    assert first == {
        "model": "m", "set": "own", "name": "own", "negatives": 1, "in_table": False, "boxes": 7,
        "mean_rank": pytest.approx(10 / 7), "mean_rank_ties_averaged": pytest.approx(10 / 7 - 0.25),
        "median_rank": 1.0, "median_rank_reference": 2.0, "chance": 1.5,
    }  # fmt: skip
    assert second == {
        "model": "m", "set": "own", "name": "own", "negatives": 2, "in_table": True, "boxes": 6,
        "mean_rank": pytest.approx(20 / 6), "mean_rank_ties_averaged": pytest.approx(20 / 6 - 0.25),
        "median_rank": 3.0, "median_rank_reference": 5.0, "chance": 2.0,
    }  # fmt: skip


def test_the_mean_of_the_sets_is_beside_its_chance(summaries):
    found = mean_over_sets(summaries)
    assert list(found) == ["one $1", "two"]
    for model, own in found.items():
        means = [s.ranked.reference[:, s.ranked.negatives - 1].mean() for s in summaries
                 if s.ranked.model == model]  # fmt: skip
        assert own["reference"] == pytest.approx(np.mean(means))
        assert own["averaged"] == pytest.approx(np.mean(means) - 0.25)
        # Among 1 + 10, 1 + 2 and 1 + 4 captions.
        assert own["chance"] == pytest.approx(11 / 3)
    rows = paper_table(summaries).to_pylist()
    assert [(row["model"], row["ties"]) for row in rows] == [
        (model, ties) for model in found for ties in ("reference", "averaged")
    ]
    for row in rows:
        assert row["mean of sets"] == found[row["model"]][row["ties"]]
        assert row["Transparency"] == pytest.approx(next(
            getattr(s.ranked, row["ties"])[:, 1].mean() for s in summaries
            if (s.ranked.model, s.ranked.set) == (row["model"], "transparency")
        ))  # fmt: skip


def test_a_set_that_only_one_model_ranked_has_a_column():
    (short,) = summarise_sets([uneven()])
    other = summarise_sets([ranked("other", "color", 3)])
    first, second = paper_table([*other, short]).to_pylist()[::2]
    assert list(first) == ["model", "ties", "Color", "own", "mean of sets"]
    assert first["own"] is None and second["own"] == pytest.approx(20 / 6)


def test_numbers_of_boxes_by_number_of_negatives(summaries):
    (short,) = summarise_sets([uneven()])
    table = page([summaries[0], short]).sections[-1].tables[0]
    assert [column.heading for column in table.columns] == ["set", *map(str, range(1, 11))]
    assert table.rows == (("Hard", *[30] * 10), ("own", 7, 6, *[0] * 8))
