import numpy as np
import pytest

from jclip.probes.fine_grained import RankedSet
from jclip.probes.fine_grained_table import (
    compare_models,
    mean_over_sets,
    summarise_sets,
    summary_table,
)
from jclip.report.fine_grained_page import fine_grained_page, rank_figure
from jclip.report.page import write_page


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
    return fine_grained_page(
        summaries, compare_models(results), settings={"seed": 0}, faults=(), notices=("careful",)
    )


def test_the_page_says_what_the_summaries_say(summaries, tmp_path):
    made = page(summaries, [s.ranked for s in summaries])
    write_page(tmp_path / "report.html", made)
    assert "careful" in (tmp_path / "report.html").read_text()
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


def test_the_table_marks_the_papers_number():
    table = summary_table(summarise_sets([ranked("m", "pattern", 7, most=9)])).to_pylist()
    assert [row["negatives"] for row in table if row["in_table"]] == [7]
    assert len(table) == 9 and table[0]["name"] == "Pattern"


def test_comparisons_match_boxes_by_annotation():
    first, second = ranked("a", "color", 3), ranked("b", "color", 3, seed=1, boxes=20)
    (found,) = compare_models([first, second])
    difference = first.reference[:20, 2] - second.reference[:, 2]
    assert (found.ranks.boxes, found.set) == (20, "Color")
    assert found.ranks.difference == pytest.approx(difference.mean())
    assert found.holm_p == found.ranks.p
    assert compare_models([first]) == []
