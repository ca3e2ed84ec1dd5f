"""The page of hard negatives says what its tables hold."""

import numpy as np
import pyarrow as pa
import pytest

from jclip.data.foils import EACH_ITS_OWN, FoilFile, FoilRecord, Picture, foil_set
from jclip.probes.foil_tables import class_table, comparison_table, summary_table
from jclip.probes.foils import FoilScores
from jclip.report.foil_page import foil_finding, foil_page, separated_by
from jclip.report.page import write_page


def made(name, right, model, two_by_two=False):
    """Records of which the first `right` of a hundred are right."""
    pictures = 2 if two_by_two else 1
    records = tuple(
        FoilRecord(
            str(k),
            tuple(Picture(f"{k}-{i}") for i in range(pictures)),
            (f"{name} {k} a", f"{name} {k} b"),
            EACH_ITS_OWN if two_by_two else ((True, False),),
            "colour" if k % 2 else "shape",
        )
        for k in range(100)
    )
    benchmark = "winoground" if two_by_two else "sugar_crepe"
    rows = np.arange(100 * pictures).reshape(100, pictures).tolist()
    foils = foil_set(FoilFile(benchmark, name, records), rows, list(range(100)), {})
    values = np.where(foils.right, 1.0, 0.0).astype(np.float32)
    values[right:] = 1 - values[right:]
    return FoilScores(model, foils, values)


def tables(*results):
    return summary_table(results, {}), comparison_table(results), class_table(results)


def test_a_lone_model_is_held_to_chance():
    summary, comparisons, classes = tables(made("easy", 95, "m"), made("hard", 50, "m"))
    lead = foil_finding(summary, comparisons)
    assert lead == (
        "m is above chance on easy (95.0 %, chance 50.0), not on hard (50.0 %, chance 50.0)."
    )
    assert foil_page(summary, comparisons, classes).lead == lead


def test_a_second_model_is_held_to_the_first():
    results = [
        made(name, right, model)
        for model, shares in (("one", (50, 60, 90)), ("two", (95, 62, 40)))
        for name, right in zip(("a", "b", "c"), shares, strict=True)
    ]
    summary, comparisons, _ = tables(*results)
    lead = foil_finding(summary, comparisons)
    assert (
        "Against one, two is better on a (+45.0); it is worse on c (-50.0); it is not told" in lead
    )
    assert "not told apart on b (points right, Holm p < 0.01 by picture)." in lead


def test_where_nothing_is_told_apart_the_page_says_so():
    results = [made(name, 70, model) for model in ("one", "two") for name in ("a", "b")]
    rows = comparison_table(results).to_pylist()
    assert separated_by(rows).startswith("Against one, two is not told apart on a, b (")


def test_published_figures_stand_beside_their_set(tmp_path):
    summary, comparisons, classes = tables(made("winoground", 30, "m", two_by_two=True))
    rows = {row["metric"]: row for row in summary.to_pylist()}
    assert [rows[m]["published"] for m in ("text", "image", "group")] == [30.75, 10.5, 8.0]
    write_page(tmp_path / "page.html", foil_page(summary, comparisons, classes))
    page = (tmp_path / "page.html").read_text()
    assert "expected" in page and "30.8" in page and "CLIP ViT-B/32" in page
    assert "By group" in page
    others = tables(made("a", 30, "m"))
    write_page(tmp_path / "page.html", foil_page(*others))
    assert "expected" not in (tmp_path / "page.html").read_text()


def test_without_results_there_is_no_page():
    empty = pa.table({"set": pa.array([], pa.string())})
    with pytest.raises(ValueError, match="no results"):
        foil_page(empty, empty, empty)
