"""The trade-off page: means over seeds beside the untuned network, and every run."""

import numpy as np
import pytest

from jclip.report.page import write_page
from jclip.report.trade_off_page import trade_off_figure, trade_off_page

BASELINE = {
    "median_change": 4.0,
    "right_caption": 0.9,
    "keyword_effect": 3.0,
    "stable_shifts": 0,
    "tested_shifts": 7,
}


def row(lam, seed, change):
    return {
        "lambda": lam,
        "seed": seed,
        "targets": "all",
        "trainable": 12345,
        "median_change": change,
        "score_change": -0.5,
        "spearman": 0.95,
        "right_caption": 0.875,
        "keyword_effect": 2.5,
        "stable_shifts": 5 + seed,
        "tested_shifts": 7,
    }


ROWS = [row(0.0, 0, 1.0), row(0.0, 1, 2.0), row(1.0, 0, 0.5), row(1.0, 1, 0.5)]


def page_of(rows=ROWS):
    curves = [(f"lambda-{r['lambda']:g}-seed-{r['seed']}", [10, 20], [2.0, 1.0]) for r in rows]
    return trade_off_page(rows, BASELINE, settings={}, faults=[], notices=[], learning_curve=curves)


def test_means_and_deviations_stand_beside_the_untuned_network(tmp_path):
    page = page_of()
    (table,) = page.sections[0].tables
    assert [r[0] for r in table.rows] == ["before tuning", "0", "1"]
    assert table.rows[0][1:4] == ("4.000", 1.0, "0 of 7")
    assert table.rows[1][1:4] == ("1.500 ± 0.707", 1.5 / 4.0, "5.5 of 7")
    assert table.rows[2][1] == "0.500 ± 0.000"
    assert table.rows[1][6] == "87.5% ± 0.0%"
    assert "12,345 trained parameters" in page.sections[0].text
    write_page(tmp_path / "page.html", page)
    assert [figure.name for figure in page.figures()] == ["trade-off", "learning-curves"]


def test_every_number_stands_under_its_own_heading():
    def uneven(lam, seed, more):
        return {
            "lambda": lam, "seed": seed, "targets": "all", "trainable": 12345,
            "median_change": 1 + more, "score_change": -0.5 + more, "spearman": 0.7 + more / 10,
            "right_caption": 0.5 + more / 4, "keyword_effect": 2 + more, "stable_shifts": 3 + more,
            "tested_shifts": 7,
        }  # fmt: skip

    rows = [uneven(0.25, 0, 0), uneven(0.25, 1, 1), uneven(1.0, 0, 1), uneven(1.0, 1, 2)]
    (table,) = page_of(rows).sections[0].tables
    assert [column.heading for column in table.columns] == [
        "lambda", "median |d|", "of before", "stable shifts", "change of original score",
        "Spearman before, after", "right caption among 16", "keyword effect",
    ]  # fmt: skip
    assert table.rows == (
        ("before tuning", "4.000", 1.0, "0 of 7", None, None, "90.0%", "+3.000"),
        ("0.25", "1.500 ± 0.707", 0.375, "3.5 of 7", "+0.000 ± 0.707", "0.750 ± 0.071",
         "62.5% ± 17.7%", "+2.500 ± 0.707"),
        ("1", "2.500 ± 0.707", 0.625, "4.5 of 7", "+1.000 ± 0.707", "0.850 ± 0.071",
         "87.5% ± 17.7%", "+3.500 ± 0.707"),
    )  # fmt: skip
    (runs,) = [s for s in page_of(rows).sections if s.heading == "Every run"]
    headings = [column.heading for column in runs.tables[0].columns]
    for cells, expected in zip(runs.tables[0].rows, rows, strict=True):
        assert dict(zip(headings, cells, strict=True)) == {
            name.replace("_", " "): value for name, value in expected.items()
        }
    axes = trade_off_figure(rows, BASELINE).axes
    prices = {"right_caption": 0.9, "spearman": 1.0, "keyword_effect": 3.0}
    for panel, (name, before) in zip(axes, prices.items(), strict=True):
        first, second, means, cross = panel.lines
        np.testing.assert_allclose(first.get_xdata(), [0.25, 0.5])
        np.testing.assert_allclose(second.get_ydata(), [row[name] for row in rows[2:]])
        np.testing.assert_allclose(means.get_xdata(), [0.375, 0.625])
        assert (cross.get_xdata()[0], cross.get_ydata()[0]) == (1.0, before)


def test_one_seed_has_no_deviation_and_every_run_is_listed():
    page = page_of(ROWS[:1])
    assert page.sections[0].tables[0].rows[1][1] == "1.000"
    (runs,) = [s for s in page_of().sections if s.heading == "Every run"]
    assert [tuple(r[:2]) for r in runs.tables[0].rows] == [(0.0, 0), (0.0, 1), (1.0, 0), (1.0, 1)]


def test_nothing_tuned_is_no_page():
    with pytest.raises(ValueError, match="nothing was tuned"):
        page_of([])
