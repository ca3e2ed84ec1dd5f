import base64
import re

import pytest

from jclip.report.page import (
    Column,
    Illustration,
    Page,
    Section,
    Table,
    write_figures,
    write_page,
)

_PNG = b"\x89PNG not really"


def _written(tmp_path, *sections, notices=()):
    path = tmp_path / "report.html"
    write_page(path, Page("A title", "A lead.", sections, tuple(notices)))
    return path.read_text("utf-8")


@pytest.mark.parametrize(
    ("cell", "form", "expected"),
    [
        (3.2e-5, ".2g", "3.2e-05"),
        (3.2e-5, ".4f", "3.2e-05"),
        (-0.00001, ".3f", "-1e-05"),
        (0.0, ".3f", "0.000"),
        (1.7919, ".3f", "1.792"),
        (0.001, ".3f", "0.001"),
        (12, "", "12"),
        (True, ".3f", "yes"),
        (False, "", "no"),
        (None, ".3f", "n/a"),
        (float("nan"), ".3f", "n/a"),
        ("<b>", ".3f", "<b>"),
        ((0.25, 1.0), ".3f", "0.250 to 1.000"),
        ((0.25, float("nan")), ".3f", "0.250 to n/a"),
        ((float("nan"), float("nan")), ".3f", "n/a"),
    ],
)
def test_column_writes_cells(cell, form, expected):
    assert Column("", form).write(cell) == expected


def test_everything_written_by_others_is_escaped(tmp_path):
    bad = "<script>alert('x')</script>&\""
    table = Table(bad, (Column(bad),), ((bad,),))
    figure = Illustration("figure", bad, _PNG)
    part = Section(bad, bad, folded=True)
    page = _written(tmp_path, Section(bad, bad, table, figure, part), notices=[bad])
    assert "<script" not in page
    assert "alert('x')" not in page
    assert page.count("&lt;script&gt;") >= 9


def test_page_loads_nothing(tmp_path):
    page = _written(tmp_path, Section("S", "", Illustration("figure", "c", _PNG)))
    assert re.findall(r'src="([^"]{0,22})', page) == ["data:image/png;base64,"]
    assert base64.b64encode(_PNG).decode() in page
    assert not re.search(r"https?:|<link|<script|@import|url\(", page)


def test_numbers_stand_right_and_are_kept_in_full(tmp_path):
    p = 3.1518273645e-05
    table = Table("t", (Column("model"), Column("p", ".2g")), (("A", None), ("B", p)))
    page = _written(tmp_path, Section("S", "", table))
    assert f'<td class="number" title="{p}">3.2e-05</td>' in page
    assert '<th scope="col" class="number">p</th>' in page
    assert '<th scope="col">model</th>' in page
    assert '<td class="short">A</td>' in page


def test_folded_sections_and_parts_are_nested(tmp_path):
    page = _written(tmp_path, Section("Outer", "", Section("Inner"), Section("Fold", folded=True)))
    assert "<h2>Outer</h2>" in page
    assert "<h3>Inner</h3>" in page
    assert "<summary>Fold</summary>" in page


def test_paragraphs_and_notices(tmp_path):
    page = _written(tmp_path, Section("S", "one\n\ntwo"), notices=["Random weights."])
    assert "<p>one</p>" in page
    assert "<p>two</p>" in page
    assert '<p class="notice" role="alert">Random weights.</p>' in page


def test_figures_are_written_by_name_from_nested_sections_too(tmp_path):
    inner = Section("I", "", Illustration("second", "", b"2"))
    page = Page("t", "l", (Section("S", "", Illustration("first", "", b"1"), inner),))
    write_figures(tmp_path / "figures", page)
    assert [figure.name for figure in page.figures()] == ["first", "second"]
    paths = sorted((tmp_path / "figures").iterdir())
    assert [path.name for path in paths] == ["first.png", "second.png"]
    assert [path.read_bytes() for path in paths] == [b"1", b"2"]


def test_programming_errors_are_refused():
    figure = Illustration("same", "", _PNG)
    with pytest.raises(ValueError, match="share the name 'same'"):
        Page("t", "l", (Section("S", "", figure, figure),))
    with pytest.raises(ValueError, match="row 0 has 1 cells, not 2"):
        Table("t", (Column("a"), Column("b")), (("only one",),))
