import dataclasses

import numpy as np
import pytest
import scipy.stats
from made_scores import noisy_shift_scores, with_scores

from jclip.probes.shift_tables import statistics_table, summary_table
from jclip.report.faults import FaultChoice
from jclip.report.page import write_page
from jclip.report.provenance import with_provenance
from jclip.report.shift_content import content_section
from jclip.report.shift_examples import PanoramaExample
from jclip.report.shift_page import shift_page
from jclip.report.shift_summary import finding, summary_section
from jclip.report.shift_tables import per_shift_section
from jclip.statistics.calibration import calibrate_flip_bound
from jclip.statistics.stability import shift_statistics


def _statistics(results, beta):
    return [shift_statistics(result.scores, beta) for result in results]


def _summary(results, beta):
    statistics = _statistics(results, beta)
    return summary_section(results, statistics, summary_table(results, statistics))


def _per_shift(results, statistics):
    return per_shift_section(results, statistics, statistics_table(results, statistics))


@pytest.fixture(scope="module")
def page():
    """Of one model under one fit on one set."""
    result = noisy_shift_scores()
    return shift_page([result], _statistics([result], 1.5))


def _section(page, heading):
    return next(section for section in page.sections if section.heading == heading)


def _columns(table):
    cells = zip(*table.rows, strict=True)
    return {
        column.heading: list(values) for column, values in zip(table.columns, cells, strict=True)
    }


def test_summary_has_a_row_per_model_and_fit(make_scores):
    results = [make_scores(m, f) for m in ("A", "B") for f in ("crop", "squash")]
    changes, stability = _summary(results, 1.5).tables
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
    changes, stability = map(_columns, _summary([with_scores(result, scores)], 1.0).tables)
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
    given = with_scores(unflipped := make_scores(fit="squash"), unflipped.scores)
    summary = _summary([flipped, given], 1.5)
    assert _columns(summary.tables[1])["beta from"] == ["flip calibration", "given by value"]
    assert "Q3 + 1.5 IQR" in summary.method
    assert "Q3 + 1.5 IQR" not in _summary([given], 1.5).text


def test_without_beta_no_test_is_mentioned_as_made(make_scores):
    results = [make_scores()]
    summary = _summary(results, None)
    assert "stability was not tested" in summary.method
    assert len(summary.tables) == 1
    section = _per_shift(results, _statistics(results, None))
    (description,) = section.parts[0].tables
    assert "95 % interval" in _columns(description)
    assert "Clopper" not in section.text


def test_tables_per_shift_hold_the_statistics(make_scores):
    result = make_scores()
    bound = calibrate_flip_bound(result.scores[:, 0], result.mirrored)
    statistics = shift_statistics(result.scores, bound)
    section = _per_shift([result], [statistics])
    assert "bootstrap over panoramas" in section.text
    (part,) = section.parts
    assert part.heading == result.model and not part.folded
    description, tests = part.tables
    assert tests.caption == f"Fit crop: tests against beta = {bound.value:.5g}"
    columns = _columns(description)
    assert columns["shift index"] == [1, 2, 3, 4, 5, 6, 7]
    assert columns["shift (pixels)"] == [(64 * k, 64 * k) for k in range(1, 8)]
    pixels = description.columns[2]
    assert [pixels.write(row[2]) for row in description.rows] == [str(64 * k) for k in range(1, 8)]
    assert pixels.write((64, 128)) == "64 to 128"
    assert columns["yaw (degrees)"] == [45.0 * k for k in range(1, 8)]
    assert columns["panoramas"] == [12] * 7
    assert columns["mean |d|"] == list(statistics.mean)
    assert columns["Shapiro-Wilk W"] == list(statistics.shapiro_statistic)
    assert columns["median |d|"] == list(statistics.median)
    assert columns["95 % interval"] == list(zip(*statistics.median_interval, strict=True))
    assert columns["Shapiro-Wilk p"] == list(statistics.shapiro_p)
    assert [column.heading for column in tests.columns] == [
        "shift index", "yaw (degrees)", "median |d| - beta", "95 % interval",
        "share with |d| > beta", "95 % interval", "sign test p", "Holm p", "stable",
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
    tests = _columns(_per_shift([result], [statistics]).parts[0].tables[1])
    assert np.isnan(tests["Wilcoxon p"][3]) and np.isnan(tests["Holm p"][3])
    assert tests["stable"][3] is None and tests["stable (Wilcoxon)"][3] is None
    summary = summary_table([result], [statistics])
    stability = _columns(summary_section([result], [statistics], summary).tables[1])
    assert stability["stable shifts (sign test, Holm)"][0].endswith(" of 6")


def test_p_below_the_smallest_float_is_not_written_as_zero(make_scores):
    result = make_scores(shifts=2, images=3000)
    section = _per_shift([result], _statistics([result], 100.0))
    tests = _columns(section.parts[0].tables[1])
    assert tests["Wilcoxon p"] == tests["sign test p"] == ["< 1e-300"]


def test_several_sets_are_told_apart_everywhere(make_scores):
    results = [
        make_scores("demo", "crop", image_set=name, seed=seed, images=10 + seed)
        for seed, name in enumerate(("samples", "synthetic"))
    ]
    statistics = _statistics(results, 1.5)
    summary = _summary(results, 1.5)
    assert "2 image sets (samples: 10, synthetic: 11 panoramas)" in summary.text
    for table in summary.tables:
        assert _columns(table)["image set"] == ["samples", "synthetic"]
    names = ["demo · samples", "demo · synthetic"]
    assert [part.heading for part in _per_shift(results, statistics).parts] == names
    content = content_section(results, statistics)
    assert content.heading == "Where does the change come from?"
    assert [table.caption for table in content.tables] == names
    page = shift_page(results, statistics)
    assert "Image sets compared" in [section.heading for section in page.sections]


def test_one_set_is_not_mentioned(page):
    assert "image set" not in _columns(_section(page, "Summary").tables[0])
    assert "Image sets compared" not in [section.heading for section in page.sections]


def test_several_models_are_folded_and_many_shifts_thinned(make_scores):
    results = [make_scores("A", shifts=256), make_scores("B", shifts=256)]
    section = _per_shift(results, _statistics(results, None))
    assert [part.folded for part in section.parts] == [True, True]
    assert "64 of 255 shifts are listed" in section.text
    indices = [row[0] for row in section.parts[0].tables[0].rows]
    assert len(indices) == 64
    assert set(np.diff(indices)) == {3, 4}


def test_different_widths_are_said(make_scores, page):
    result = make_scores()
    mixed = dataclasses.replace(result, widths=np.array([512] * 6 + [1024] * 6))
    other = shift_page([mixed], _statistics([mixed], None))
    assert "differ in width" in _section(other, "Score against yaw").text
    assert "differ in width" not in _section(page, "Score against yaw").text


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
    results = [make_scores()]
    page = with_provenance(
        shift_page(results, _statistics(results, 1.5), [example]),
        ["Random weights: these numbers mean nothing."],
        [
            FaultChoice("centre crop", "reference", "columns W/4 to 3W/4"),
            FaultChoice("activation", "corrected", "the checkpoint's own"),
        ],
        {"seed": 7, "versions": {"jax": "0.12.1"}, "checkpoint": {"B": {"sha256": "abc"}}},
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
        shift_page([make_scores()], [])


def test_the_lead_is_the_finding_with_its_numbers(make_scores):
    results = [make_scores("A", "crop"), make_scores("A", "squash"), make_scores("B", "crop")]
    scores = [np.tile(result.scores[:, :1], (1, 8)) for result in results]
    for own, largest, at in zip(scores, (3.25, 1.5, 2.0), (4, 2, 7), strict=True):
        own[:, 1:] += 0.25
        own[:, at] = own[:, 0] - largest
    results = [with_scores(r, own) for r, own in zip(results, scores, strict=True)]
    median = np.median(scores[0][:, 0])

    def lead(some, beta):
        return finding(summary_table(some, _statistics(some, beta)))

    assert lead(results, 1.0) == (
        f"Turning a panorama changes its score (median {median:.2f}) by up to a median of 3.25, at "
        "yaw 180 (A, crop), and by up to 1.50 (A, squash). Within the stability bound beta stay "
        "6 of 7 (A, crop), 6 of 7 (A, squash), 6 of 7 (B, crop) shifts."
    )
    assert lead(results[:1], None).endswith("by up to a median of 3.25, at yaw 180 (crop).")
    many = [dataclasses.replace(results[0], model=f"M{i}") for i in range(5)]
    assert lead(many, 4.0).endswith(". All shifts stay within beta in 5 of 5 cases.")
