"""Hard-negative sets of the demo world: what their captions say, and what their photos show."""

import json

import numpy as np
import pytest
from PIL import Image

from jclip.data.foil_sources import open_foils
from jclip.data.images import decode
from jclip.demo.captions import ObjectWords
from jclip.demo.foils import (
    replaced_attribute,
    replaced_object,
    swapped_attributes,
    swapped_objects,
    write_foil_sets,
)
from jclip.demo.vocabulary import ATTRIBUTES, CLASSES
from jclip.errors import InputError

SCENES = 6
LEFT = ObjectWords("ball", "opaque", "red", "plain", "metal")
RIGHT = ObjectWords("cube", "opaque", "blue", "striped", "stone")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("foils")
    write_foil_sets(path, 0, SCENES, size=64)
    return path


@pytest.fixture(scope="module")
def foils(folder):
    kinds = ("sugar_crepe", "aro", "colorswap")
    return open_foils([f"{kind}:{folder / kind}" for kind in kinds], {"": folder})


def test_every_scene_is_a_record_of_every_set(foils):
    assert {one.name: len(one.records) for one in foils.sets} == {
        "sugar_crepe/replace_att": SCENES,
        "sugar_crepe/replace_obj": SCENES,
        "sugar_crepe/swap_att": SCENES,
        "sugar_crepe/swap_obj": SCENES,
        "aro/demo_order": SCENES,
        "colorswap/test": SCENES,
    }
    # The second photo of a scene is in the two-by-two set alone.
    assert len(foils.pictures) == 2 * SCENES
    assert not any(one.unwinnable().any() for one in foils.sets)


def words(caption):
    return caption.replace("an ", "a ").split()


def changed(right, wrong):
    return [(a, b) for a, b in zip(words(right), words(wrong), strict=True) if a != b]


@pytest.mark.parametrize("seed", range(8))
def test_what_is_replaced_is_one_word(seed):
    rng = np.random.default_rng(seed)
    ((a, b),) = changed(*replaced_attribute(LEFT, RIGHT, "sand", rng))
    assert any({a, b} <= set(values) for values in ATTRIBUTES.values())
    ((a, b),) = changed(*replaced_object(LEFT, RIGHT, "sand", rng))
    assert a in ("ball", "cube") and b in CLASSES and b not in ("ball", "cube")


def test_what_is_swapped_is_the_same_words():
    rng = np.random.default_rng(0)
    right, wrong = swapped_attributes(LEFT, RIGHT, "sand", rng)
    assert (right, wrong) == (
        "a red ball and a blue cube on sand",
        "a blue ball and a red cube on sand",
    )
    right, wrong = swapped_objects(LEFT, RIGHT, "sand", rng)
    assert right == "a red ball to the left of a blue cube on sand"
    assert wrong == "a blue cube to the left of a red ball on sand"


def test_orders_are_of_the_same_words_and_all_differ(folder):
    for line in (folder / "aro" / "demo_order.jsonl").read_text().splitlines():
        options = json.loads(line)["caption_options"]
        assert len(set(options)) == 5
        assert len({tuple(sorted(option.split())) for option in options}) == 1


def test_the_second_photo_swaps_colours_and_nothing_else(folder, foils):
    """The outlines stay, so the sky does; what differs is where the two objects are."""
    for index in range(SCENES):
        one, two = (
            np.asarray(Image.open(folder / f"photos/{index:06d}_{k}.png"), int) for k in (1, 2)
        )
        differs = np.abs(one - two).max(axis=2) > 8
        assert 0.03 < differs.mean() < 0.5
        assert not differs[:8].any()
        # Both halves show an object.
        assert differs[:, :32].any() and differs[:, 32:].any()


def test_the_same_seed_makes_the_same_files(folder, tmp_path):
    write_foil_sets(tmp_path, 0, 3, size=64)
    mine, theirs = (
        json.loads((path / "sugar_crepe" / "replace_att.json").read_text())
        for path in (tmp_path, folder)
    )
    assert mine == {key: theirs[key] for key in mine}
    again = open_foils([f"colorswap:{tmp_path / 'colorswap'}"], {"": tmp_path})
    assert (decode(again.pictures[0].image) == Image.open(folder / "photos/000000_1.png")).all()


@pytest.mark.parametrize("given", [{"scenes": 0}, {"size": 8}, {"split": "dev"}])
def test_numbers_that_are_too_small(tmp_path, given):
    with pytest.raises(InputError):
        write_foil_sets(tmp_path, 0, given.pop("scenes", 1), **given)
