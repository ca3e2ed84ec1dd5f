import io

import numpy as np
import PIL.Image
import pytest
from matplotlib.figure import Figure

from jclip.report.style import COLOURS, drawable, fit_colours, panels, png, spread


def test_png_is_a_picture_of_the_asked_size_and_repeats():
    figure = Figure(figsize=(2, 1))
    content = png(figure, dots_per_inch=50)
    assert PIL.Image.open(io.BytesIO(content)).size == (100, 50)
    assert png(Figure(figsize=(2, 1)), dots_per_inch=50) == content


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ViT-B-32/openai", "ViT-B-32/openai"),
        ("Zürich λ.jpg", "Zürich λ.jpg"),
        ("cost $1 and $2", r"cost \$1 and \$2"),
        ("全景\n.jpg", "???.jpg"),
    ],
)
def test_drawable(text, expected):
    assert drawable(text) == expected


def test_long_names_keep_both_ends():
    name = "/data/" + "x" * 100 + "/checkpoint-7"
    assert len(drawable(name)) == 44
    assert drawable(name).startswith("/data/xx")
    assert drawable(name).endswith("xx/checkpoint-7")


def test_a_fit_keeps_its_colour_whatever_the_others():
    assert fit_colours(["tiles"])["tiles"] == fit_colours(["crop", "tiles"])["tiles"]
    assert (
        len({fit_colours(["other"])[fit] for fit in ("crop", "squash", "pad", "tiles", "other")})
        == 5
    )
    assert set(fit_colours(["a", "b", "c"]).values()) <= set(COLOURS)


def test_panels_are_exactly_as_many_as_asked():
    figure, axes = panels(7, 3, (1.0, 1.0))
    assert len(axes) == len(figure.axes) == 7


def test_spread_fills_the_width_and_no_more():
    offsets = spread(100, 0.5)
    assert np.abs(offsets).max() <= 0.25
    assert np.ptp(offsets) > 0.45
    assert len(np.unique(offsets)) == 100
