import dataclasses

import numpy as np
import pytest

from jclip.report.examples import PanoramaExample
from jclip.report.page import write_page
from jclip.report.provenance import FaultChoice
from jclip.report.shift_page import shift_page
from jclip.statistics.stability import shift_statistics


@pytest.fixture(autouse=True)
def _pictures(request, monkeypatch):
    """Most tests read the page's text and tables: those that write a file draw its figures."""
    if "tmp_path" not in request.fixturenames:
        for draw in ("change_figure", "yaw_figure", "example_figure"):
            monkeypatch.setattr(f"jclip.report.shift_page.{draw}", lambda *_: None)
        monkeypatch.setattr("jclip.report.shift_page.png", lambda _: b"")


def _page(results, beta, **changed):
    arguments = {"settings": {"seed": 0}, "faults": [], "notices": [], "examples": []} | changed
    return shift_page(results, [shift_statistics(r.scores, beta) for r in results], **arguments)


def _section(page, heading):
    return next(section for section in page.sections if section.heading == heading)


def test_summary_has_a_row_per_model_and_fit(make_scores):
    results = [make_scores(m, f) for m in ("A", "B") for f in ("crop", "squash")]
    table = _section(_page(results, 1.5), "Summary").tables[0]
    statistics = shift_statistics(results[1].scores, 1.5)
    row = dict(zip([c.heading for c in table.columns], table.rows[1], strict=True))
    assert len(table.rows) == 4
    assert (row["model"], row["fit"], row["panoramas"]) == ("A", "squash", 12)
    assert row["median unshifted score"] == np.median(results[1].scores[:, 0])
    assert row["median |d| at yaw 180"] == statistics.median[3]
    assert row["largest median |d|"] == statistics.median.max()
    assert row["at yaw (degrees)"] == 45 * (1 + np.argmax(statistics.median))
    assert row["stable shifts"] == f"{statistics.reference.stable.sum()} of 7"


def test_without_beta_no_test_is_mentioned_as_made(make_scores):
    page = _page([make_scores()], None)
    summary = _section(page, "Summary")
    assert "stability was not tested" in summary.text
    assert "beta" not in [c.heading for c in summary.tables[0].columns]
    table = _section(page, "Statistics per shift").parts[0].tables[0]
    assert "p" not in [c.heading for c in table.columns]


def test_table_per_shift_holds_the_statistics(make_scores):
    result = make_scores()
    statistics = shift_statistics(result.scores, 1.5)
    (part,) = _section(_page([result], 1.5), "Statistics per shift").parts
    assert not part.folded
    rows = part.tables[0].rows
    assert [row[:4] for row in rows[:2]] == [(1, 45.0, 64, 12), (2, 90.0, 128, 12)]
    assert [row[4] for row in rows] == list(statistics.median)
    assert [row[7] for row in rows] == list(statistics.reference.p)
    assert [row[8] for row in rows] == list(statistics.reference.stable)


def test_identity_shifts_are_neither_stable_nor_unstable(make_scores):
    result = make_scores(fit="tiles")
    statistics = shift_statistics(result.scores, 1.5, identity=np.arange(8) % 4 == 0)
    page = shift_page([result], [statistics], settings={}, faults=[], notices=[], examples=[])
    row = _section(page, "Statistics per shift").parts[0].tables[0].rows[3]
    assert np.isnan(row[7])
    assert row[8] is None
    assert _section(page, "Summary").tables[0].rows[0][-1].endswith(" of 6")


def test_p_below_the_smallest_float_is_not_written_as_zero(make_scores):
    result = make_scores(shifts=2, images=3000)
    table = _section(_page([result], 100.0), "Statistics per shift").parts[0].tables[0]
    assert table.rows[0][7] == "< 1e-300"


def test_several_models_are_folded_and_many_shifts_thinned(make_scores):
    page = _page([make_scores("A", shifts=256), make_scores("B", shifts=256)], None)
    section = _section(page, "Statistics per shift")
    assert [part.folded for part in section.parts] == [True, True]
    assert "64 of 255 shifts are listed" in section.text
    indices = [row[0] for row in section.parts[0].tables[0].rows]
    assert len(indices) == 64
    assert set(np.diff(indices)) == {3, 4}


def test_different_widths_are_said(make_scores):
    result = make_scores()
    mixed = dataclasses.replace(result, widths=np.array([512] * 6 + [1024] * 6))
    assert "differ in width" in _section(_page([mixed], None), "Score against yaw").text
    assert "differ in width" not in _section(_page([result], None), "Score against yaw").text


def test_faults_settings_notices_and_examples_reach_the_file(make_scores, tmp_path):
    example = PanoramaExample(
        image="panorama-3.jpg",
        caption="a <quiet> square",
        model="ViT-B-32/openai",
        fit="crop",
        label="most stable",
        panorama=np.zeros((8, 16, 3), np.uint8),
        views=np.zeros((8, 4, 4, 3), np.uint8),
        yaws=np.arange(8) * 45.0,
        scores=np.arange(8.0),
    )
    page = _page(
        [make_scores()],
        1.5,
        settings={"seed": 7, "versions": {"jax": "0.12.1"}, "checkpoint": {"B": {"sha256": "abc"}}},
        faults=[
            FaultChoice("centre crop", "reference", "columns W/4 to 3W/4"),
            FaultChoice("activation", "corrected", "the checkpoint's own"),
        ],
        notices=["Random weights: these numbers mean nothing."],
        examples=[example],
    )
    write_page(tmp_path / "report.html", page)
    text = (tmp_path / "report.html").read_text("utf-8")
    assert "repeats: centre crop." in text
    assert "columns W/4 to 3W/4" in text
    assert "Random weights: these numbers mean nothing." in text
    assert "a &lt;quiet&gt; square" in text
    for value in ("0.12.1", "B.sha256", "abc"):
        assert value in text
    assert [figure.name for figure in page.figures()] == [
        "score-change",
        "score-against-yaw",
        "example-01-vit-b-32-openai-crop-most-stable",
    ]


def test_one_statistics_per_result(make_scores):
    with pytest.raises(ValueError, match="1 results with 0 statistics"):
        shift_page([make_scores()], [], settings={}, faults=[], notices=[], examples=[])
