import dataclasses

import numpy as np
import pytest
import scipy.stats

from jclip.report.shift_examples import PanoramaExample
from jclip.report.page import write_page
from jclip.report.provenance import FaultChoice
from jclip.report.shift_page import shift_page
from jclip.statistics.calibration import calibrate_flip_bound
from jclip.statistics.stability import shift_statistics


@pytest.fixture(autouse=True)
def _pictures(request, monkeypatch):
    """Most tests read the page's text and tables: those that write a file draw its figures."""
    if "tmp_path" not in request.fixturenames:
        for draw in ("change_figure", "yaw_figure", "example_figure"):
            monkeypatch.setattr(f"jclip.report.shift_page.{draw}", lambda *_: None)
        monkeypatch.setattr("jclip.report.shift_content.content_figure", lambda *_: None)
        for module in ("shift_page", "shared_content"):
            monkeypatch.setattr(f"jclip.report.{module}.png", lambda _: b"")


def _page(results, beta, **changed):
    arguments = {"settings": {"seed": 0}, "faults": [], "notices": [], "examples": []} | changed
    return shift_page(results, [shift_statistics(r.scores, beta) for r in results], **arguments)


def _section(page, heading):
    return next(section for section in page.sections if section.heading == heading)


def _columns(table):
    cells = zip(*table.rows, strict=True)
    return {
        column.heading: list(values) for column, values in zip(table.columns, cells, strict=True)
    }


def test_summary_has_a_row_per_model_and_fit(make_scores):
    results = [make_scores(m, f) for m in ("A", "B") for f in ("crop", "squash")]
    changes, stability = _section(_page(results, 1.5), "Summary").tables
    statistics = [shift_statistics(result.scores, 1.5) for result in results]
    columns = _columns(changes)
    assert columns["model"] == ["A", "A", "B", "B"]
    assert columns["fit"] == ["crop", "squash"] * 2
    assert columns["panoramas"] == [12] * 4
    assert columns["median unshifted score"][1] == np.median(results[1].scores[:, 0])
    assert columns["median |d| at yaw 180"] == [s.median[3] for s in statistics]
    assert columns["largest median |d|"] == [s.median.max() for s in statistics]
    assert columns["at yaw (degrees)"] == [45 * (1 + np.argmax(s.median)) for s in statistics]
    columns = _columns(stability)
    assert columns["beta"] == [1.5] * 4
    assert columns["stable shifts (sign test, Holm)"] == [
        f"{s.corrected.stable.sum()} of 7" for s in statistics
    ]
    assert columns["p, stable at all shifts"] == [s.corrected.p_all_shifts for s in statistics]
    assert columns["stable shifts (Wilcoxon, the paper's)"] == [
        f"{s.reference.stable.sum()} of 7" for s in statistics
    ]


def test_the_two_tests_are_counted_apart(make_scores):
    """|d| is skewed: 30 images below beta, 10 far above, which the signed ranks weigh."""
    result = make_scores(images=40, shifts=3)
    scores = np.tile(result.scores[:, :1], (1, 3))
    scores[:30, 1] += np.linspace(0.6, 0.9, 30)
    scores[30:, 1] -= np.linspace(8, 9, 10)
    scores[:, 2] += np.linspace(0.1, 0.5, 40)
    result = dataclasses.replace(result, scores=scores)
    page = _page([result], 1.0)
    changes, stability = (_columns(t) for t in _section(page, "Summary").tables)
    below = scipy.stats.binomtest(30, 40, alternative="greater").pvalue
    statistics = shift_statistics(scores, 1.0)
    assert below < 0.01 < statistics.reference.p[0]
    assert stability["stable shifts (sign test, Holm)"] == ["2 of 2"]
    assert stability["stable shifts (Wilcoxon, the paper's)"] == ["1 of 2"]
    assert stability["p, stable at all shifts"] == [pytest.approx(below)]
    assert changes["largest median |d|"] == [pytest.approx(np.median(np.abs(
        scores[:, 1] - scores[:, 0])))]  # fmt: skip
    assert changes["at yaw (degrees)"] == [pytest.approx(360 * 170 / 512)]


def test_summary_says_where_beta_comes_from(make_scores):
    flipped = make_scores(fit="crop")
    given = dataclasses.replace(make_scores(fit="squash"), mirrored=np.full(12, np.nan))
    summary = _section(_page([flipped, given], 1.5), "Summary")
    assert _columns(summary.tables[1])["beta from"] == ["flip calibration", "given by value"]
    assert "Q3 + 1.5 IQR" in summary.text
    assert "Q3 + 1.5 IQR" not in _section(_page([given], 1.5), "Summary").text


def test_without_beta_no_test_is_mentioned_as_made(make_scores):
    page = _page([make_scores()], None)
    summary = _section(page, "Summary")
    assert "stability was not tested" in summary.text
    assert len(summary.tables) == 1
    (description,) = _section(page, "Statistics per shift").parts[0].tables
    assert "95 % interval" in _columns(description)
    assert "Clopper" not in _section(page, "Statistics per shift").text


def test_tables_per_shift_hold_the_statistics(make_scores):
    result = make_scores()
    bound = calibrate_flip_bound(result.scores[:, 0], result.mirrored)
    statistics = shift_statistics(result.scores, bound)
    page = shift_page([result], [statistics], settings={}, faults=[], notices=[], examples=[])
    section = _section(page, "Statistics per shift")
    assert "bootstrap over panoramas" in section.text
    (part,) = section.parts
    assert part.heading == result.model and not part.folded
    description, tests = part.tables
    assert tests.caption == f"Fit crop: tests against beta = {bound.value:.5g}"
    columns = _columns(description)
    assert columns["shift index"] == [1, 2, 3, 4, 5, 6, 7]
    assert columns["shift (pixels)"] == [64 * k for k in range(1, 8)]
    assert columns["yaw (degrees)"] == [45.0 * k for k in range(1, 8)]
    assert columns["panoramas"] == [12] * 7
    assert columns["mean |d|"] == list(statistics.mean)
    assert columns["Shapiro-Wilk W"] == list(statistics.shapiro_statistic)
    assert columns["median |d|"] == list(statistics.median)
    assert columns["95 % interval"] == list(zip(*statistics.median_interval, strict=True))
    assert columns["Shapiro-Wilk p"] == list(statistics.shapiro_p)
    assert [column.heading for column in tests.columns] == [
        "shift index", "yaw (degrees)", "median |d| - beta", "95% interval",
        "share with |d| > beta", "95% interval", "sign test p", "Holm p", "stable",
        "Wilcoxon statistic", "Wilcoxon p", "stable (Wilcoxon)",
    ]  # fmt: skip
    assert [row[:2] for row in tests.rows] == [(k, 45.0 * k) for k in range(1, 8)]
    columns = [list(cells) for cells in zip(*tests.rows, strict=True)]
    corrected, reference = statistics.corrected, statistics.reference
    assert columns[2:] == [
        list(statistics.median - bound.value),
        list(zip(*corrected.median_excess.interval, strict=True)),
        list(corrected.share_above),
        list(zip(*corrected.share_above_interval, strict=True)),
        list(corrected.p),
        list(corrected.adjusted_p),
        list(corrected.stable),
        list(reference.statistic),
        list(reference.p),
        list(reference.stable),
    ]


def test_identity_shifts_are_neither_stable_nor_unstable(make_scores):
    result = make_scores(fit="tiles")
    statistics = shift_statistics(result.scores, 1.5, identity=np.arange(8) % 4 == 0)
    page = shift_page([result], [statistics], settings={}, faults=[], notices=[], examples=[])
    tests = _columns(_section(page, "Statistics per shift").parts[0].tables[1])
    assert np.isnan(tests["Wilcoxon p"][3]) and np.isnan(tests["Holm p"][3])
    assert tests["stable"][3] is None and tests["stable (Wilcoxon)"][3] is None
    stability = _columns(_section(page, "Summary").tables[1])
    assert stability["stable shifts (sign test, Holm)"][0].endswith(" of 6")


def test_p_below_the_smallest_float_is_not_written_as_zero(make_scores):
    result = make_scores(shifts=2, images=3000)
    tests = _columns(_section(_page([result], 100.0), "Statistics per shift").parts[0].tables[1])
    assert tests["Wilcoxon p"] == tests["sign test p"] == ["< 1e-300"]


def test_several_sets_are_told_apart_everywhere(make_scores):
    results = [
        make_scores("demo", "crop", image_set=name, seed=seed, images=10 + seed)
        for seed, name in enumerate(("samples", "synthetic"))
    ]
    page = _page(results, 1.5)
    summary = _section(page, "Summary")
    assert "2 image sets (samples: 10, synthetic: 11 panoramas)" in summary.text
    for table in summary.tables:
        assert _columns(table)["image set"] == ["samples", "synthetic"]
    names = ["demo · samples", "demo · synthetic"]
    assert [part.heading for part in _section(page, "Statistics per shift").parts] == names
    content = _section(page, "Where does the change come from?")
    assert [table.caption for table in content.tables] == names


def test_one_set_is_not_mentioned(make_scores):
    page = _page([make_scores()], 1.5)
    assert "image set" not in _columns(_section(page, "Summary").tables[0])
    assert "Image sets compared" not in [section.heading for section in page.sections]


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
        image_set="samples",
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
        "shared-content",
        "example-01-vit-b-32-openai-crop-most-stable",
    ]


def test_one_statistics_per_result(make_scores):
    with pytest.raises(ValueError, match="1 results with 0 statistics"):
        shift_page([make_scores()], [], settings={}, faults=[], notices=[], examples=[])
