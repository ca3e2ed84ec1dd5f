import math

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jclip.errors import InputError
from jclip.images import CLIP_MEAN, CLIP_STD, preprocess
from jclip.images.boxes import crop_box, fit_square


@pytest.mark.parametrize(
    ("box", "scale", "expected"),
    [
        # The box itself, rounded outwards.
        ([10.4, 20.6, 5.2, 8.1], 1.0, (10, 20, 16, 29)),
        ([10, 20, 5, 8], 1.0, (10, 20, 15, 28)),
        # new_w = 20, dx = (20 - 10) // 2 = 5; new_h = 12, dy = 3.
        ([30, 40, 10, 6], 2.0, (25, 37, 45, 49)),
        # new_w = 7.5, dx = 2.5 // 2 = 1: moved by whole pixels, so not quite about the centre.
        ([30, 40, 5, 4], 1.5, (29, 39, 37, 45)),
        # new_w = 5, dx = -5 // 2 = -3.
        ([30, 40, 10, 10], 0.5, (33, 43, 38, 48)),
        # Cut at the borders of 100 x 80.
        ([0.5, 70.5, 99.4, 9.5], 3.0, (0, 61, 100, 80)),
    ],
)
def test_boxes_grow_as_in_the_paper(box, scale, expected):
    assert crop_box(box, scale, 100, 80) == expected


@given(st.floats(0, 90), st.floats(0, 70), st.floats(1, 60), st.floats(1, 60), st.floats(1.0, 4.0))
def test_a_grown_box_holds_the_box_and_stays_inside(x, y, w, h, scale):
    w, h = min(w, 100 - x), min(h, 80 - y)
    x1, y1, x2, y2 = crop_box([x, y, w, h], scale, 100, 80)
    assert 0 <= x1 <= math.floor(x) and 0 <= y1 <= math.floor(y)
    # The whole-pixel step may leave up to one pixel of the far side; see the paper's rule.
    assert x + w - 1 <= x2 <= 100 and y + h - 1 <= y2 <= 80


@pytest.mark.parametrize(
    ("box", "scale", "message"),
    [
        ([5, 5, 4, 4], 0.0, "box scale 0.0"),
        ([5, 5, 4, 4], float("nan"), "box scale nan"),
        ([120, 5, 4, 4], 1.0, "leaves nothing of an image of 100 x 80"),
    ],
)
def test_bad_boxes_are_named(box, scale, message):
    with pytest.raises(InputError, match=message):
        crop_box(box, scale, 100, 80)


@pytest.mark.parametrize("fit", ["crop", "squash", "pad"])
@pytest.mark.parametrize("shape", [(5, 5), (40, 21), (13, 77)])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_squares_equal_the_preprocessing_on_the_device(fit, shape, interpolation):
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    square = fit_square(pixels, 24, fit, interpolation)
    expected = preprocess(jnp.asarray(pixels[None]), 24, fit, interpolation=interpolation)[0]
    levels = np.rint((np.asarray(expected) * np.float32(CLIP_STD) + np.float32(CLIP_MEAN)) * 255)
    np.testing.assert_array_equal(square, levels)


def test_tiles_are_for_panoramas():
    with pytest.raises(InputError, match="'tiles' is for panoramas"):
        fit_square(np.zeros((4, 8, 3), np.uint8), 4, "tiles")
