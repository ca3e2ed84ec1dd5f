import dataclasses

import numpy as np
import pytest
from made_scores import with_scores
from matplotlib.collections import PolyCollection

from jclip.probes.shift_tables import median_yaws
from jclip.report.shift_figures import by_panel, change_figure, yaw_figure, yaw_label
from jclip.report.style import fit_colours, png


def _lines(axes, colour):
    return [line for line in axes.lines if line.get_color() == colour]


def _labels(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_yaw_is_a_share_of_each_width(make_scores):
    result = make_scores(shifts=4, images=3)
    np.testing.assert_allclose(median_yaws(result), [0, 90, 180, 270])
    mixed = dataclasses.replace(result, widths=np.array([512, 1024, 1024]))
    np.testing.assert_allclose(median_yaws(mixed), [0, 45, 90, 135])
    assert [yaw_label(yaw) for yaw in (45.0, 22.5, 0.3515625)] == ["45", "22.5", "0.3516"]


def test_change_figure_has_a_box_per_shift_and_fit(make_scores):
    results = [make_scores(m, f) for m in ("A", "B") for f in ("crop", "squash")]
    figure = change_figure(results, [1.7919] * 4)
    assert [axes.get_title() for axes in figure.axes] == ["A", "B"]
    for axes in figure.axes:
        assert len(axes.patches) == 2 * 7
        assert [tick.get_text() for tick in axes.get_xticklabels()][::3] == ["45", "180", "315"]
        assert axes.get_xlabel() == "yaw (degrees)"
        bounds = [line for line in axes.lines if list(line.get_ydata()) == [1.7919, 1.7919]]
        assert len(bounds) == 2
    assert figure.axes[0].get_ylabel() == "|d| (score = 100 x cosine)"
    assert _labels(figure) == ["crop", "squash", "beta = 1.7919"]
    png(figure)


def test_change_figure_draws_the_medians_and_every_panorama(make_scores):
    result = make_scores()
    change = np.abs(result.scores[:, 1:] - result.scores[:, :1])
    axes = change_figure([result], [None]).axes[0]
    heights = [tuple(line.get_ydata()) for line in axes.lines]
    for median in np.median(change, axis=0):
        assert any(y == pytest.approx((median, median)) for y in heights if len(y) == 2)
    points = [line for line in axes.lines if len(line.get_xdata()) == change.size]
    np.testing.assert_allclose(points[0].get_ydata(), change.ravel())


def test_boxes_stand_in_order_of_yaw(make_scores):
    result = make_scores(shifts=4)
    reverse = [0, 3, 2, 1]
    shuffled = with_scores(result, result.scores[:, reverse], shifts=result.shifts[:, reverse])
    pictures = [png(change_figure([r], [None]), 40) for r in (result, shuffled)]
    assert pictures[0] == pictures[1]


def test_many_shifts_become_bands_over_yaw(make_scores):
    figure = change_figure([make_scores(shifts=64)], [2.0])
    axes = figure.axes[0]
    assert len(axes.patches) == 0
    assert sum(isinstance(c, PolyCollection) for c in axes.collections) == 1
    median, _ = _lines(axes, fit_colours([])["crop"])
    assert len(median.get_xdata()) == 64
    assert median.get_xdata()[-1] == pytest.approx(360 * 63 / 64)
    assert "95th percentile" in _labels(figure)


def test_betas_of_their_own_are_all_drawn(make_scores):
    figure = change_figure([make_scores(fit="crop"), make_scores(fit="squash")], [1.0, 2.0])
    assert _labels(figure)[-1] == "beta, in the colour of its fit"
    colours = fit_colours([])
    drawn = {
        line.get_ydata()[0]: line.get_color() for line in figure.axes[0].lines if line.is_dashed()
    }
    assert drawn == {1.0: colours["crop"], 2.0: colours["squash"]}


def test_nine_models_with_four_fits_have_nine_panels(make_scores):
    fits = ("crop", "squash", "pad", "tiles")
    results = [make_scores(f"model {m}", f, 4, 4) for m in range(9) for f in fits]
    for draw in (change_figure, yaw_figure):
        figure = draw(results, [None] * 36)
        assert [axes.get_title() for axes in figure.axes] == [f"model {m}" for m in range(9)]
        assert _labels(figure)[:4] == list(fits)


def test_sets_have_panels_of_their_own_where_there_are_several(make_scores):
    samples = [make_scores("demo", fit, image_set="samples") for fit in ("crop", "pad")]
    other = [make_scores("demo", "crop", image_set="synthetic", seed=1)]
    assert {name: len(own) for name, own in by_panel(samples).items()} == {"demo": 2}
    groups = by_panel([*samples, *other], "abc")
    assert list(groups) == ["demo · samples", "demo · synthetic"]
    assert [beside for _, beside in groups["demo · samples"]] == ["a", "b"]
    assert [beside for _, beside in groups["demo · synthetic"]] == ["c"]
    for draw in (change_figure, yaw_figure):
        figure = draw([*samples, *other], [1.0, 2.0, 3.0])
        assert [axes.get_title() for axes in figure.axes] == ["demo · samples", "demo · synthetic"]
        assert len(_lines(figure.axes[1], fit_colours([])["pad"])) == 0


def test_1024_shifts_are_drawn(make_scores):
    results = [make_scores(shifts=1024)]
    (median, _) = _lines(change_figure(results, [1.0]).axes[0], fit_colours([])["crop"])
    assert len(median.get_xdata()) == 1024
    (curve,) = _lines(yaw_figure(results, [1.0]).axes[0], fit_colours([])["crop"])
    assert len(curve.get_xdata()) >= 1025


def test_yaw_figure_draws_median_and_quartiles_of_the_change(make_scores):
    result = make_scores()
    figure = yaw_figure([result], [1.5])
    axes = figure.axes[0]
    assert axes.name == "polar"
    expected = np.median(result.scores - result.scores[:, :1], axis=0)
    points, curve = _lines(axes, fit_colours([])["crop"])
    np.testing.assert_allclose(points.get_ydata(), expected)
    np.testing.assert_allclose(np.degrees(points.get_xdata()), np.arange(8) * 45)
    # Joined along the circle and closed: from 0 to 360 degrees.
    assert np.degrees(curve.get_xdata()[[0, -1]]) == pytest.approx([0, 360])
    assert curve.get_ydata()[[0, -1]] == pytest.approx([0, 0])
    assert sum(isinstance(c, PolyCollection) for c in axes.collections) == 2
    assert _labels(figure) == ["crop", "unshifted score", "within ± beta = 1.5"]
    png(figure, 40)


def test_yaws_far_apart_are_not_joined(make_scores):
    axes = yaw_figure([make_scores(shifts=2)], [None]).axes[0]
    longest = max(np.ptp(line.get_xdata()) for line in _lines(axes, fit_colours([])["crop"]))
    assert np.degrees(longest) <= 180
    curves = [line for line in _lines(axes, fit_colours([])["crop"]) if line.get_marker() != "o"]
    assert all(np.ptp(line.get_xdata()) == 0 for line in curves)


def test_equal_scores_still_give_a_figure(make_scores):
    result = with_scores(make_scores(), np.full((12, 8), 20.0))
    png(change_figure([result], [None]), 40)
    png(yaw_figure([result], [None]), 40)


@pytest.mark.parametrize("draw", [change_figure, yaw_figure])
def test_results_and_betas_have_to_match(draw, make_scores):
    with pytest.raises(ValueError, match="1 results and 0 betas"):
        draw([make_scores()], [])
    with pytest.raises(ValueError, match="0 results"):
        draw([], [])


@pytest.mark.parametrize("models", [1, 2, 3])
def test_legends_fit_into_the_figure(make_scores, models):
    fits = ("crop", "squash", "pad", "tiles")
    results = [make_scores(f"model {m}", fit) for m in range(models) for fit in fits]
    for draw in (change_figure, yaw_figure):
        figure = draw(results, [1.7919] * len(results))
        figure.draw_without_rendering()
        box = figure.legends[0].get_window_extent()
        assert box.x0 >= 0 and box.x1 <= figure.bbox.x1
