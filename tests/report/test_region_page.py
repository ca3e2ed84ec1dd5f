"""The page of crops and regions says what its tables say."""

import pyarrow as pa
import pytest

from jclip.probes.region_tables import region_comparison_table
from jclip.report.page import write_page
from jclip.report.published_regions import published_first_places, published_mean_rank
from jclip.report.region_page import region_finding, region_page, with_published


def result(model, protocol, name, top1, ties=0.0):
    return {
        "set": name.lower(),
        "name": name,
        "model": model,
        "protocol": protocol,
        "boxes": 100,
        "pictures": 50,
        "top1": top1,
        "top1_low": top1 - 4,
        "top1_high": top1 + 4,
        "top1_ties_for": top1 + ties,
        "top1_ties_against": top1 - ties,
        "decided_by_ties": int(2 * ties),
        "chance_top1": 9.1,
        "short_lists": 0,
        "top1_short_lists": None,
        "negatives": 10,
        "mean_rank": 3.0,
        "mean_rank_low": 2.5,
        "mean_rank_high": 3.5,
        "mean_rank_ties_averaged": 3.0,
    }


def results(model="ViT-B-16/openai"):
    return pa.Table.from_pylist(
        [
            result(model, protocol, name, top1, ties)
            for name, top1 in (("Trivial", 60.0), ("Hard", 20.0))
            for protocol, ties in (("crop", 0.0), ("roi", 7.0))
        ]
    )


def test_published_figures_stand_beside_the_protocol_they_are_of():
    rows = with_published(results()).to_pylist()
    assert [row["published_top1"] for row in rows] == [None, 58.5, None, 12.0]
    assert [row["published_mean_rank"] for row in rows] == [1.81, None, 3.57, None]
    assert published_first_places("qihoo360/fg-clip-base", "Easy") == 68.7
    assert published_first_places("some/folder/fg-clip2-so400m", "Hard") == 54.0
    assert published_mean_rank("ViT-L-14/openai", "Hard") == 3.38
    # Its table does not say at which resolution it was run.
    assert published_first_places("ViT-L-14/openai", "Hard") is None
    for unknown in ("ViT-B-16/openai + head", "demo", "ViT-B-16/laion2b_s34b_b88k"):
        assert published_mean_rank(unknown, "Hard") is None
    assert published_mean_rank("ViT-B-16/openai", "Color") is None


def test_the_finding_names_the_hard_set_and_what_ties_do():
    said = region_finding(results(), region_comparison_table([]))
    assert said == (
        "ViT-B-16/openai puts the right caption of a box first among its hard negatives for 20.0 % "
        "by crop and 20.0 % by roi (13.0 to 27.0 by how ties count), where a guess would be right "
        "for 9.1 % (set Hard)."
    )
    test = {
        "set": "hard", "first": "ViT-B-16/openai · crop", "second": "ViT-B-16/openai · roi",
        "difference": 1.5, "difference_low": -2.0, "difference_high": 5.0, "holm_p": 0.25,
    }  # fmt: skip
    said = region_finding(results(), pa.Table.from_pylist([test]))
    assert said.endswith("the difference is +1.5 points (-2.0 to +5.0, Holm p 0.25).")


@pytest.mark.parametrize(("model", "published"), [("ViT-B-16/openai", True), ("demo", False)])
def test_columns_of_published_figures_are_there_if_any_is_known(tmp_path, model, published):
    table = with_published(results(model))
    sizes = table.append_column("size", pa.array(["1 to 4 cells"] * 4))
    made = region_page(table, sizes, region_comparison_table([]))
    headings = [column.heading for column in made.sections[0].tables[0].columns]
    assert ("published" in headings) is published
    assert [section.heading for section in made.sections] == [
        "First places and ranks",
        "By the size of boxes",
    ]
    write_page(tmp_path / "page.html", made)
    assert "first-places" in (tmp_path / "page.html").read_text()


def test_a_page_of_nothing_is_refused():
    with pytest.raises(ValueError, match="no results"):
        region_page(results().slice(0, 0), results(), region_comparison_table([]))
