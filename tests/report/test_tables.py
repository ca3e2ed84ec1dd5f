"""Tables of a page, from Arrow tables: which columns, in which order, headed and written how."""

import pyarrow as pa
import pytest

from jclip.report.page import Column, Page, Section, write_page
from jclip.report.tables import page_table, written_p

TABLE = pa.table(
    {
        "model": ["A", "B", "C"],
        "n": [12, 7, 3],
        "median_abs_d": [1.23456, 0.0004, None],
        "low": [1.0, 0.5, None],
        "high": [2.0, 0.5, None],
        "wilcoxon_p": [0.0312345, 0.0, float("nan")],
        "p": [0.0, 1.0, None],
        "stable": [True, False, None],
        "widest_yaw_gap": [45.0, 22.5, 0.3515625],
    }
)


def written(table):
    """Cells as the reader sees them, row by row."""
    return [
        [column.write(cell) for column, cell in zip(table.columns, row, strict=True)]
        for row in table.rows
    ]


def headings(table):
    return [column.heading for column in table.columns]


def test_known_columns_have_their_heading_and_format():
    table = page_table("Changes", TABLE, ["wilcoxon_p", "model", "n", "median_abs_d"])
    assert table.caption == "Changes"
    assert headings(table) == ["Wilcoxon p", "model", "images", "median |d|"]
    assert written(table) == [
        ["0.031", "A", "12", "1.235"],
        ["< 1e-300", "B", "7", "0.0004"],
        ["n/a", "C", "3", "n/a"],
    ]


def test_cells_keep_their_numbers_in_full():
    table = page_table("Changes", TABLE, ["n", "median_abs_d", "stable"])
    assert table.rows == ((12, 1.23456, True), (7, 0.0004, False), (3, None, None))


def test_a_column_can_be_headed_and_written_otherwise():
    columns = {"n": Column("panoramas"), "model": None, "median_abs_d": Column("change", ".1f")}
    table = page_table("", TABLE, columns)
    assert headings(table) == ["panoramas", "model", "change"]
    assert written(table) == [["12", "A", "1.2"], ["7", "B", "0.0004"], ["3", "C", "n/a"]]


def test_an_unknown_column_is_headed_by_its_name():
    table = page_table("", TABLE, ["widest_yaw_gap"])
    assert headings(table) == ["widest yaw gap"]
    assert written(table) == [["45.0"], ["22.5"], ["0.3515625"]]


def test_two_columns_make_an_interval():
    table = page_table("", TABLE, {("low", "high"): None})
    assert headings(table) == ["95 % interval"]
    assert table.rows == (((1.0, 2.0),), ((0.5, 0.5),), (None,))
    assert written(table) == [["1.000 to 2.000"], ["0.500"], ["n/a"]]
    other = page_table("", TABLE, {("low", "high"): Column("from low to high", ".1f")})
    assert headings(other) == ["from low to high"]
    assert written(other) == [["1.0 to 2.0"], ["0.5"], ["n/a"]]


def test_a_p_of_zero_is_below_the_smallest_float():
    assert written(page_table("", TABLE, ["p"])) == [["< 1e-300"], ["1.0"], ["n/a"]]
    assert written(page_table("", TABLE, {"p": Column("p", "#.2g")}))[1] == ["1.0"]
    assert (written_p(0.0), written_p(0.25), written_p(None)) == ("< 1e-300", 0.25, None)


def test_no_rows_and_no_such_column():
    assert page_table("", TABLE.slice(0, 0), ["model", "n"]).rows == ()
    with pytest.raises(KeyError, match="mean_rank"):
        page_table("", TABLE, ["mean_rank"])


def test_it_stands_on_a_page(tmp_path):
    table = page_table("Changes", TABLE, ["model", "median_abs_d"])
    write_page(tmp_path / "page.html", Page("T", "L", (Section("S", "", table),)))
    page = (tmp_path / "page.html").read_text()
    assert '<td class="number" title="1.23456">1.235</td>' in page
