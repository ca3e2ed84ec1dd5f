import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from jclip.demo.captions import ObjectWords, describe_object
from jclip.demo.negatives import SETS, hard_negatives, write_fine_grained_sets
from jclip.demo.vocabulary import ATTRIBUTES, CLASSES
from jclip.errors import InputError

CHANGES = {"1_attributes": 1, "2_attributes": 2, "3_attributes": 3, "color": 1, "material": 1,
           "pattern": 1, "transparency": 1}  # fmt: skip
COUNTS = {"material": 5, "pattern": 7, "transparency": 2}
SCENES, SIZE = 10, 48


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("fine_grained")
    write_fine_grained_sets(path, 4, SCENES, size=SIZE)
    return path


@given(
    st.builds(ObjectWords, st.sampled_from(CLASSES), *map(st.sampled_from, ATTRIBUTES.values())),
    st.sampled_from(sorted(SETS)),
    st.integers(0, 1000),
)
def test_negatives_differ_in_as_many_attributes_as_the_set_says(words, name, seed):
    negatives = hard_negatives(words, name, np.random.default_rng(seed))
    assert len(negatives) == COUNTS.get(name, 10)
    captions = {describe_object(negative) for negative in negatives}
    assert len(captions | {describe_object(words)}) == len(negatives) + 1
    for negative in negatives:
        changed = {key for key in ATTRIBUTES if getattr(negative, key) != getattr(words, key)}
        if name == "shuffle_negatives":
            assert negative.shape != words.shape
            continue
        assert negative.shape == words.shape
        assert len(changed) == CHANGES[name]
        assert changed <= set(SETS[name][0])


def test_hard_negatives_change_every_attribute_sometimes():
    words = ObjectWords("cube", "opaque", "red", "striped", "metal")
    changed = {
        key: sum(
            getattr(negative, key) != getattr(words, key)
            for seed in range(50)
            for negative in hard_negatives(words, "1_attributes", np.random.default_rng(seed))
        )
        for key in ATTRIBUTES
    }
    assert min(changed.values()) > 50, changed


def test_sets_repeat_and_files_hold_them(folder, tmp_path):
    sets = write_fine_grained_sets(tmp_path, 4, SCENES, size=SIZE)
    assert sorted(path.stem for path in folder.glob("*.json")) == sorted(sets) == sorted(SETS)
    for name, content in sets.items():
        assert json.loads((folder / f"{name}.json").read_text()) == content


def test_ids_boxes_and_counts_are_consistent(folder):
    for name in SETS:
        content = json.loads((folder / f"{name}.json").read_text())
        images = {image["id"]: image for image in content["images"]}
        captions = {category["id"]: category["name"] for category in content["categories"]}
        assert len(images) == len(content["images"]) > 3
        assert len(captions) == len(content["categories"])
        used, seen = set(), set()
        for annotation in content["annotations"]:
            ids = [annotation["category_id"], *annotation["neg_category_ids"]]
            assert len(ids) == 1 + COUNTS.get(name, 10)
            assert len({captions[id_] for id_ in ids}) == len(ids)
            used.update(ids)
            seen.add(annotation["id"])
            image = images[annotation["image_id"]]
            x, y, width, height = annotation["bbox"]
            assert annotation["area"] == width * height > 0
            assert 0 <= x and x + width <= image["width"]
            assert 0 <= y and y + height <= image["height"]
        assert used == set(captions)
        assert len(seen) == len(content["annotations"])
        assert {annotation["image_id"] for annotation in content["annotations"]} == set(images)


def test_every_image_is_a_photo_of_its_size(folder):
    images = json.loads((folder / "color.json").read_text())["images"]
    files = sorted(folder.glob("test/*.png"))
    assert [folder / image["file_name"] for image in images] == files
    for image in images:
        with Image.open(folder / image["file_name"]) as picture:
            assert picture.size == (image["width"], image["height"]) == (SIZE, SIZE)
            assert np.asarray(picture).std() > 5


def test_bad_input_is_named(tmp_path):
    with pytest.raises(InputError, match="'dev'"):
        write_fine_grained_sets(tmp_path, 0, 4, split="dev")
    with pytest.raises(InputError, match="scenes=0"):
        write_fine_grained_sets(tmp_path, 0, 0)
