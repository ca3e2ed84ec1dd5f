import dataclasses

import numpy as np
import pytest

from jclip.report.shift_content import content_figure, content_section, shared_content
from jclip.report.style import fit_colours, png
from jclip.statistics.stability import shift_statistics


def _section(results):
    return content_section(results, [shift_statistics(r.scores, None) for r in results])


def _columns(table):
    cells = zip(*table.rows, strict=True)
    return {
        column.heading: list(values) for column, values in zip(table.columns, cells, strict=True)
    }


def _lengths(*values):
    return np.array(values)


def test_crop_of_a_panorama_loses_what_leaves_the_window():
    shifts = np.arange(8)[None] * 128
    found = shared_content(shifts, _lengths(512), _lengths(1024), "crop")
    np.testing.assert_allclose(found, [[1, 0.75, 0.5, 0.25, 0, 0.25, 0.5, 0.75]])


@pytest.mark.parametrize("fit", ["crop", "tiles", "squash", "pad"])
@pytest.mark.parametrize(("height", "width"), [(4, 8), (4, 6), (4, 12), (4, 5), (4, 4), (6, 4)])
def test_share_equals_counting_columns(fit, height, width):
    window = min(height, width) if fit in ("crop", "tiles") else width
    starts = [0, width / 2] if fit == "tiles" else [0]
    columns = np.arange(2 * width) / 2  # half columns, so that half an odd width is one of them
    seen = np.zeros(2 * width, bool)
    for start in starts:
        seen |= (columns - start) % width < window
    shifts = np.arange(width)
    counted = [np.sum(seen & np.roll(seen, 2 * shift)) / seen.sum() for shift in shifts]
    found = shared_content(shifts[None], _lengths(height), _lengths(width), fit)
    np.testing.assert_allclose(found[0], counted, atol=1e-12)
    left = shared_content(-shifts[None], _lengths(height), _lengths(width), fit)
    np.testing.assert_allclose(left, found, atol=1e-12)


def test_panoramas_of_different_size_have_shares_of_their_own():
    shifts = np.array([[0, 4], [0, 4]])
    found = shared_content(shifts, _lengths(4, 8), _lengths(8, 16), "crop")
    np.testing.assert_allclose(found, [[1, 0], [1, 0.5]])


def test_table_sets_the_fits_side_by_side(make_scores):
    results = [make_scores("A", fit) for fit in ("crop", "squash", "tiles")]
    section = _section(results)
    assert "under crop minus that under squash" in section.text
    (table,) = section.tables
    columns = _columns(table)
    medians = [shift_statistics(r.scores, None).median for r in results]
    assert table.caption == "A"
    assert columns["yaw (degrees)"] == [45.0 * k for k in range(1, 8)]
    assert columns["content shared under crop (%)"] == [75, 50, 25, 0, 25, 50, 75]
    assert columns["median |d|, crop"] == list(medians[0])
    assert columns["median |d|, tiles"] == list(medians[2])
    assert columns["median |d|, squash: what the network does"] == list(medians[1])
    assert columns["crop - squash: what the crop removes"] == list(medians[0] - medians[1])
    assert [figure.name for figure in section.figures] == ["shared-content"]


def test_crop_alone_cannot_be_split(make_scores):
    section = _section([make_scores()])
    assert "no fit that keeps all content in view" in section.text
    assert list(_columns(section.tables[0])) == [
        "yaw (degrees)",
        "content shared under crop (%)",
        "median |d|, crop",
    ]


def test_nothing_is_drawn_where_nothing_is_lost(make_scores):
    section = _section([make_scores(fit="squash"), make_scores(fit="tiles")])
    assert "no content is lost" in section.text
    assert section.figures == ()


def test_wide_panoramas_lose_content_under_tiles(make_scores):
    result = make_scores(fit="tiles")
    wide = dataclasses.replace(result, heights=result.widths // 4)
    shares = _columns(_section([wide]).tables[0])["content shared under tiles (%)"]
    np.testing.assert_allclose(shares, [50, 0, 50, 100, 50, 0, 50])


def test_figure_draws_the_median_of_every_shift_at_its_share(make_scores):
    results = [make_scores(m, f) for m in ("A", "B") for f in ("crop", "squash")]
    figure = content_figure(results)
    assert [axes.get_title() for axes in figure.axes] == ["A", "B"]
    crop, squash = figure.axes[0].lines
    for points, result in zip((crop, squash), results, strict=False):
        change = np.abs(result.scores[:, 1:] - result.scores[:, :1])
        np.testing.assert_allclose(points.get_ydata(), np.median(change, axis=0))
        assert points.get_color() == fit_colours([])[result.fit]
    np.testing.assert_allclose(crop.get_xdata(), [75, 50, 25, 0, 25, 50, 75], atol=1)
    np.testing.assert_allclose(squash.get_xdata(), [100] * 7, atol=4)
    assert len(np.unique(np.concatenate([crop.get_xdata(), squash.get_xdata()]))) == 14
    assert figure.axes[0].get_xlabel() == "content shared with the unshifted view (%)"
    assert figure.axes[0].get_ylabel() == "median |d| (score = 100 x cosine)"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["crop", "squash"]


def test_shifts_that_show_the_same_views_are_not_drawn(make_scores):
    (points,) = content_figure([make_scores(fit="tiles")]).axes[0].lines
    assert len(points.get_xdata()) == 6


def test_many_shifts_are_drawn(make_scores):
    results = [make_scores(fit=fit, shifts=512) for fit in ("crop", "squash")]
    figure = content_figure(results)
    assert len(figure.axes[0].lines[0].get_xdata()) == 511
    png(figure, 40)
