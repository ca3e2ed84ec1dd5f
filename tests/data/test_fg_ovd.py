import copy
import hashlib
import json

import pytest
from small_features import boxes_of

from jclip.data.boxes import AnnotatedImage
from jclip.data.fg_ovd import read_fg_ovd
from jclip.errors import InputError

CONTENT = {
    "images": [
        {"id": 7, "file_name": "val2017/a.jpg", "width": 40, "height": 30},
        {"id": 9, "file_name": "val2017/b.jpg", "width": 20, "height": 20},
    ],
    "annotations": [
        {"id": 1, "image_id": 7, "bbox": [0.0, 2.5, 10, 20], "category_id": 0,
         "neg_category_ids": [1, 2]},
        {"id": 5, "image_id": 9, "bbox": [15.0, 15.0, 5.01, 5.0], "category_id": 3,
         "neg_category_ids": [1]},
    ],
    "categories": [{"id": i, "name": name} for i, name in
                   enumerate(["A red cup.", "A blue cup.", "A green cup.", "A wooden spoon."])],
}  # fmt: skip


@pytest.fixture
def write(tmp_path):
    def write(content):
        path = tmp_path / "1_attributes.json"
        path.write_text(json.dumps(content))
        return path

    return write


def test_boxes_have_their_image_and_captions(write):
    path = write(CONTENT)
    read = read_fg_ovd(path)
    assert read.set_names == ("1_attributes",)
    assert read.digests == {"1_attributes": hashlib.sha256(path.read_bytes()).hexdigest()}
    first, second = boxes_of(read)
    assert first.image == AnnotatedImage("val2017/a.jpg", 40, 30)
    assert first.box == (0.0, 2.5, 10.0, 20.0)
    assert (first.annotation, first.captions[0]) == (1, "A red cup.")
    assert first.captions[1:] == ("A blue cup.", "A green cup.")
    assert second.captions[1:] == ("A blue cup.",)


def test_several_files_are_one_table(write, tmp_path):
    (tmp_path / "below").mkdir()
    path = write(CONTENT)
    other = path.rename(tmp_path / "color.json")
    table = read_fg_ovd(write(CONTENT), other)
    assert table.sets.tolist() == ["1_attributes"] * 2 + ["color"] * 2
    assert len(table.images) == 2 and len(table.texts) == 4
    assert list(table.digests) == ["1_attributes", "color"]
    with pytest.raises(InputError, match="color is the name of two files"):
        read_fg_ovd(other, other)


WRONG = [
    (("annotations", 0, "image_id"), 8, "annotation 1: field 'image_id' refers to 8"),
    (("annotations", 0, "category_id"), 99, "annotation 1: field 'category_id' refers to 99"),
    (("annotations", 1, "neg_category_ids"), [4], "annotation 5: field 'neg_category_ids' refers"),
    (("annotations", 1, "neg_category_ids"), [], "field 'neg_category_ids' is empty"),
    (("annotations", 1, "neg_category_ids"), [3], "the only one of 'neg_category_ids'"),
    (("annotations", 1, "neg_category_ids"), [1, 1], "the same caption twice"),
    (("annotations", 1, "neg_category_ids"), ["1"], "refers to '1'"),
    (("annotations", 1, "id"), 1, "annotation 1: second entry with this id"),
    (("annotations", 1, "id"), 10**400, "annotation 1 from 0: field 'id' is too large"),
    (("annotations", 0, "bbox"), [0, 0, -3, 5], "annotation 1: field 'bbox' has width -3"),
    (("annotations", 0, "bbox"), [0, 0, 3, 0], "height 0"),
    (("annotations", 0, "bbox"), [35, 0, 6, 5], "reaches 1 pixels out of its image, 40 x 30"),
    (("annotations", 0, "bbox"), [-1, 0, 6, 5], "reaches 1 pixels out"),
    (("annotations", 0, "bbox"), [0, 28, 5, 4], "reaches 2 pixels out of its image, 40 x 30"),
    (("annotations", 0, "bbox"), [0, -1, 5, 4], "reaches 1 pixels out"),
    (("annotations", 0, "bbox"), [35, 0, 5.06, 5], "reaches 0.06 pixels out"),
    (("annotations", 0, "bbox"), [0, 0, 5], "not [x, y, w, h]"),
    (("annotations", 0, "bbox"), [0, 0, 5, None], "not [x, y, w, h]"),
    (("images", 1, "id"), 7, "image 7: second entry"),
    (("images", 1, "width"), 0, "image 9: width 0"),
    (("images", 1, "height"), "20", "image 9: field 'height' is '20'"),
    (("categories", 2, "id"), 1, "category 1: second entry"),
    (("categories", 2, "name"), " ", "category 2: field 'name' is blank"),
    (("categories",), [], "field 'categories' is empty"),
    (("annotations",), 3, "field 'annotations' is missing or not a list"),
]


@pytest.mark.parametrize(("place", "value", "message"), WRONG)
def test_what_is_wrong_is_named(write, place, value, message):
    content = copy.deepcopy(CONTENT)
    *way, last = place
    entry = content
    for step in way:
        entry = entry[step]
    entry[last] = value
    with pytest.raises(InputError) as error:
        read_fg_ovd(write(content))
    assert message in str(error.value) and "1_attributes.json" in str(error.value)


def test_missing_fields_and_files_are_named(write, tmp_path):
    content = copy.deepcopy(CONTENT)
    del content["annotations"][1]["bbox"]
    with pytest.raises(InputError, match="annotation 5: field 'bbox' is missing"):
        read_fg_ovd(write(content))
    with pytest.raises(InputError, match="no such annotation file"):
        read_fg_ovd(tmp_path / "other.json")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(InputError, match=r"broken\.json is not JSON"):
        read_fg_ovd(tmp_path / "broken.json")


def test_equal_texts_under_two_ids_are_equal_captions(write):
    content = copy.deepcopy(CONTENT)
    content["categories"][1]["name"] = "A red cup."
    table = read_fg_ovd(write(content))
    assert table.repeated.tolist() == [[False, True, False], [False, False, False]]
    kept = table.without_repeated()
    assert boxes_of(kept)[0].captions == ("A red cup.", "A green cup.")
    assert boxes_of(kept)[1] == boxes_of(table)[1] and kept.without_repeated() is kept


def test_a_box_may_fill_its_image_and_end_a_rounding_outside(write):
    content = copy.deepcopy(CONTENT)
    for whole in ([0, 0, 40, 30], [-0.04, -0.04, 40.08, 30.08]):
        content["annotations"][0]["bbox"] = whole
        assert boxes_of(read_fg_ovd(write(content)))[0].box == tuple(whole)
