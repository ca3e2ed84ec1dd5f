"""The demo world's generators: one without a fault, three that differ from it in one thing."""

import numpy as np
import pytest

from jclip.data.demo_generators import GENERATORS, generate, generator_of
from jclip.data.demo_world import open_demo_panoramas


@pytest.fixture(scope="module")
def drawn():
    return {name: generate(name, 4, 32) for name in GENERATORS}


def test_the_faultless_one_draws_the_demo_world(drawn):
    world = open_demo_panoramas(4, 32)
    assert drawn["demo"].captions == world.captions
    np.testing.assert_array_equal(drawn["demo"].pixels, world.pixels)
    assert all(len(own) == 8 and all(own) for own in drawn["demo"].view_captions)


def test_each_of_the_others_differs_in_one_thing(drawn):
    right = drawn["demo"]
    for name in GENERATORS[1:]:
        assert drawn[name].names == right.names
        assert drawn[name].view_captions == right.view_captions
    torn = drawn["demo-seam"]
    changed = (torn.pixels != right.pixels).any(axis=(0, 1, 3))
    assert changed.nonzero()[0].tolist() == [0, 1, 62, 63] and torn.captions == right.captions
    shuffled = drawn["demo-shuffled"]
    assert shuffled.captions == right.captions
    assert (shuffled.pixels != right.pixels).any(axis=(1, 2, 3)).all()
    captions = drawn["demo-captions"]
    np.testing.assert_array_equal(captions.pixels, right.pixels)
    assert captions.captions == (*right.captions[1:], right.captions[0])


@pytest.mark.parametrize(
    ("source", "meant"),
    [
        ("demo", ("demo", None)),
        ("demo-seam:48", ("demo-seam", 48)),
        ("demo-photos", None),
        ("demo-seam:0", None),
        ("mine", None),
    ],
)
def test_sources(source, meant):
    assert generator_of(source) == meant
