"""The trade-off page: the finding, means over seeds beside the untuned network, and every run."""

import numpy as np
import pyarrow as pa
import pytest

from jclip.report.page import write_page
from jclip.report.trade_off_page import mean_table, trade_off_figure, trade_off_page

BEFORE = {
    "median_change": 4.0,
    "score_change": 0.0,
    "spearman": 1.0,
    "right_caption": 0.9,
    "keyword_effect": 3.0,
    "stable_shifts": 0,
    "tested_shifts": 7,
}


def row(lam, seed, change, **more):
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
        "stable_shifts": 5 + (seed or 0),
        "tested_shifts": 7,
        **more,
    }


ROWS = [row(0.0, 0, 1.0), row(0.0, 1, 2.0), row(1.0, 0, 0.5), row(1.0, 1, 0.5)]


def page_of(rows=ROWS, before=BEFORE):
    curves = {f"lambda-{r['lambda']:g}-seed-{r['seed']}": ([10, 20], [2.0, 1.0]) for r in rows}
    table = pa.Table.from_pylist(rows)
    return trade_off_page(table, mean_table(table, before), "crop", curves)


def written(table):
    return [
        [column.write(cell) for column, cell in zip(table.columns, cells, strict=True)]
        for cells in table.rows
    ]


def test_an_orbit_stands_beside_the_lambdas_as_the_rival_without_training():
    orbits = [row(None, None, 0.25, orbit=8), row(0.5, 0, 3.0, orbit=1), row(0.5, 0, 1.5, orbit=8)]
    table = pa.Table.from_pylist(orbits)
    means = mean_table(table, BEFORE)
    names = ["before tuning", "not tuned, orbit 8", "0.5", "0.5, orbit 8"]
    assert means["lambda"].to_pylist() == names
    assert means["share_of_before"].to_pylist() == [1.0, 1 / 16, 0.75, 0.375]
    page = trade_off_page(table, means, "crop", {"lambda-0.5-seed-0": ([10, 20], [2.0, 1.0])})
    assert page.lead.startswith("An orbit of 8 yaws, nothing tuned, at least halves")


def test_means_and_deviations_stand_beside_the_untuned_network(tmp_path):
    page = page_of()
    (table,) = page.sections[0].tables
    rows = written(table)
    assert [r[0] for r in rows] == ["before tuning", "0", "1"]
    assert rows[0][1:4] == ["4.000", "100%", "0 of 7"]
    assert rows[1][1:4] == ["1.500 ± 0.707", "38%", "5.5 of 7"]
    assert table.rows[1][2] == 1.5 / 4.0
    assert rows[2][1] == "0.500 ± 0.000"
    assert rows[1][6] == "87.5% ± 0.0%"
    assert rows[0][4:] == ["n/a", "n/a", "90.0%", "+3.000"]
    assert "12,345 trained parameters; fit crop" in page.sections[0].text
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
    assert written(table) == [
        ["before tuning", "4.000", "100%", "0 of 7", "n/a", "n/a", "90.0%", "+3.000"],
        ["0.25", "1.500 ± 0.707", "38%", "3.5 of 7", "+0.000 ± 0.707", "0.750 ± 0.071",
         "62.5% ± 17.7%", "+2.500 ± 0.707"],
        ["1", "2.500 ± 0.707", "62%", "4.5 of 7", "+1.000 ± 0.707", "0.850 ± 0.071",
         "87.5% ± 17.7%", "+3.500 ± 0.707"],
    ]  # fmt: skip
    assert [cells[2] for cells in table.rows] == [1.0, 0.375, 0.625]
    (runs,) = [s for s in page_of(rows).sections if s.heading == "Every run"]
    headings = [column.heading for column in runs.tables[0].columns]
    for cells, expected in zip(runs.tables[0].rows, rows, strict=True):
        assert dict(zip(headings, cells, strict=True)) == {
            name.replace("_", " "): value for name, value in expected.items()
        }
    tuned = pa.Table.from_pylist(rows)
    axes = trade_off_figure(tuned, mean_table(tuned, BEFORE)).axes
    prices = {"right_caption": 0.9, "spearman": 1.0, "keyword_effect": 3.0}
    for panel, (name, before) in zip(axes, prices.items(), strict=True):
        first, second, means, cross = panel.lines
        np.testing.assert_allclose(first.get_xdata(), [0.25, 0.5])
        np.testing.assert_allclose(second.get_ydata(), [row[name] for row in rows[2:]])
        np.testing.assert_allclose(means.get_xdata(), [0.375, 0.625])
        assert (cross.get_xdata()[0], cross.get_ydata()[0]) == (1.0, before)


def test_one_seed_has_no_deviation_and_every_run_is_listed():
    page = page_of(ROWS[:1])
    assert written(page.sections[0].tables[0])[1][1] == "1.000"
    (runs,) = [s for s in page_of().sections if s.heading == "Every run"]
    assert [tuple(r[:2]) for r in runs.tables[0].rows] == [(0.0, 0), (0.0, 1), (1.0, 0), (1.0, 1)]


def test_the_finding_is_the_cheapest_lambda_that_halves_the_change():
    rows = [row(0.0, 0, 2.1), row(0.5, 0, 1.9), row(1.0, 0, 0.1, right_caption=0.5)]
    assert page_of(rows).lead == (
        "Lambda 0.5 at least halves the change of score under shifts: the median |d| of unseen "
        "panoramas goes from 4.000 to 1.900, the share of right captions among 16 from 90.0% to "
        "87.5%, and the rank correlation of their scores before and after is 0.950."
    )
    lead = page_of(rows[:1]).lead
    assert lead.startswith("No lambda halves the change of score under shifts; the nearest is lam")
    assert "from 4.000 to 2.100" in lead


def test_what_few_panoramas_forbid_is_left_out(tmp_path):
    unknown = {"right_caption": None, "stable_shifts": None, "spearman": None}
    page = page_of([row(1.0, seed, 0.5, **unknown) for seed in (0, 1)], {**BEFORE, **unknown})
    assert written(page.sections[0].tables[0])[1][3] == "n/a"
    assert "among 16 from n/a to n/a" in page.lead
    write_page(tmp_path / "page.html", page)


def test_nothing_tuned_is_no_page():
    with pytest.raises(ValueError, match="nothing was tuned"):
        page_of([])
