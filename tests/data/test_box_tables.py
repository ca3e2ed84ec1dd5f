"""Boxes of several sets as one table."""

import numpy as np
import pytest
from PIL import Image
from small_features import boxes_of

from jclip.data.boxes import AnnotatedImage, Box, box_table, inspect_box_images
from jclip.errors import InputError

FIRST, SECOND = AnnotatedImage("a.png", 20, 10), AnnotatedImage("below/b.png", 16, 16)


def box(name, number, image, *captions):
    return Box(name, number, image, (1.0, 2.0, 3.0, 4.0 + number), captions)


BOXES = [
    box("color", 5, FIRST, "red", "blue"),
    box("color", 6, SECOND, "blue", "red"),
    box("pattern", 5, SECOND, "dotted", "red", "plain"),
]
TABLE = box_table(BOXES, {"color": "0", "pattern": "1"})


def test_images_and_texts_are_there_once():
    table = TABLE
    assert table.images == (FIRST, SECOND)
    assert table.image_rows.tolist() == [0, 1, 1]
    assert table.sets.tolist() == ["color", "color", "pattern"]
    assert table.set_names == ("color", "pattern") and table.counts == {"color": 2, "pattern": 1}
    assert table.annotations.tolist() == [5, 6, 5]
    assert table.boxes[1].tolist() == [1, 2, 3, 10]
    texts = [[table.texts[i] if i >= 0 else None for i in row] for row in table.caption_rows]
    assert texts == [["red", "blue", None], ["blue", "red", None], ["dotted", "red", "plain"]]
    assert len(set(table.texts)) == len(table.texts) == 4
    assert boxes_of(table) == BOXES


def test_some_boxes_keep_their_images_and_texts():
    some = TABLE.select(np.array([False, True, True]))
    assert boxes_of(some) == BOXES[1:] and some.texts == TABLE.texts
    assert some.rows_of_images([1]).tolist() == [0, 1]
    assert TABLE.rows_of_images([1, 0]).tolist() == [1, 2, 0]


def test_the_same_box_in_two_sets_is_one():
    other = AnnotatedImage("a.png", 20, 10)
    again = [*BOXES, box("own", 6, SECOND, "red", "blue"), box("own", 9, other, "red", "blue")]
    rows, own = box_table(again, {}).distinct()
    # Sorted by file; 6 in "own" is 6 in "color".
    assert rows.tolist() == [0, 4, 1, 2] and own.tolist() == [0, 2, 3, 2, 1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("blue", [True, True, False]), ("dotted", [False, False, True]),
     # The last text is what -1 would point at.
     ("plain", [False, False, True])],
)  # fmt: skip
def test_boxes_with_a_marked_caption(text, expected):
    table = TABLE
    assert table.texts[-1] == "plain"
    marked = np.array(table.texts) == text
    assert table.any_caption(marked).tolist() == expected


def test_images_have_to_be_as_annotated(tmp_path):
    table = TABLE
    (tmp_path / "below").mkdir()
    Image.new("RGB", (20, 10)).save(tmp_path / "a.png")
    Image.new("RGB", (16, 16)).save(tmp_path / "below" / "b.png")
    assert [file.width for file in inspect_box_images(table, tmp_path).values()] == [20, 16]
    Image.new("RGB", (16, 17)).save(tmp_path / "below" / "b.png")
    with pytest.raises(InputError, match=r"b\.png is said to be 16 x 16 pixels, and is 16 x 17"):
        inspect_box_images(table, tmp_path)
