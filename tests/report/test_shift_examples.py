import dataclasses

import numpy as np
import pytest

from jclip.report.shift_examples import PanoramaExample, example_figure
from jclip.report.style import png


def _example(fit="crop", shifts=8):
    rng = np.random.default_rng(shifts)
    return PanoramaExample(
        image_set="samples",
        image="a.jpg",
        caption="a room",
        model="ViT-B-32/openai",
        fit=fit,
        label="least stable",
        panorama=rng.integers(0, 255, (32, 64, 3), np.uint8),
        views=rng.integers(0, 255, (shifts, 16, 16, 3), np.uint8),
        yaws=np.arange(shifts) * 360 / shifts,
        scores=20.0 + np.arange(shifts),
    )


def test_panorama_scores_and_views_are_drawn():
    example = _example()
    figure = example_figure(example, 1.5)
    picture, curve, strip = figure.axes
    assert figure.get_suptitle() == "Least stable: a.jpg · ViT-B-32/openai · crop"
    np.testing.assert_array_equal(picture.images[0].get_array(), example.panorama)
    scores = curve.lines[1]
    np.testing.assert_allclose(scores.get_ydata(), [*example.scores, example.scores[0]])
    assert scores.get_xdata()[-1] == 360
    assert curve.get_xlabel() == "yaw (degrees)"
    assert curve.get_ylabel() == "score (100 x cosine)"
    assert strip.texts[0].get_text() == "0°: 20.00"
    assert strip.texts[7].get_text() == "315°: 27.00"
    drawn = strip.images[0].get_array()
    np.testing.assert_array_equal(drawn[:, :16], example.views[0])
    np.testing.assert_array_equal(drawn[:, -16:], example.views[7])
    png(figure, 40)


def test_on_an_orbit_the_curve_ends_after_one_of_its_steps():
    whole = _example()
    curve = example_figure(dataclasses.replace(whole, yaws=whole.yaws / 8, orbit=8), 1.5).axes[1]
    assert curve.lines[1].get_xdata()[-1] == 45
    np.testing.assert_allclose(curve.get_xlim(), [-0.5, 45.5])


@pytest.mark.parametrize(("shifts", "texts"), [(2, 2), (64, 8), (1024, 8)])
def test_at_most_eight_views_evenly_spaced(shifts, texts):
    strip = example_figure(_example(shifts=shifts), None).axes[2]
    assert len(strip.texts) == texts
    assert strip.texts[1].get_text().startswith(f"{360 // texts}°")


def test_only_the_crop_is_outlined_and_only_a_given_beta_shaded():
    assert len(example_figure(_example("crop"), None).axes[0].patches) == 2
    assert len(example_figure(_example("squash"), None).axes[0].patches) == 0
    assert len(example_figure(_example(), None).axes[1].patches) == 0
    assert len(example_figure(_example(), 1.0).axes[1].patches) == 1


def test_outline_is_the_window_that_the_crop_keeps():
    outline = example_figure(_example(), None).axes[0].patches[0]
    assert (outline.get_x(), outline.get_width()) == (15.5, 32)


def test_views_follow_yaw_not_the_order_of_shifts():
    example = _example(shifts=4)
    order = [0, 2, 1, 3]
    mixed = dataclasses.replace(
        example, yaws=example.yaws[order], scores=example.scores[order], views=example.views[order]
    )
    assert png(example_figure(mixed, None), 40) == png(example_figure(example, None), 40)
