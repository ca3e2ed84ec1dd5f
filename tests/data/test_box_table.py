"""Boxes of several sets as one table."""

import numpy as np
import pytest
from PIL import Image

from jclip.data.box_table import box_table, inspect_box_images
from jclip.data.fg_ovd import AnnotatedBox, AnnotatedImage, FineGrainedSet
from jclip.errors import InputError

FIRST, SECOND = AnnotatedImage("a.png", 20, 10), AnnotatedImage("below/b.png", 16, 16)


def box(number, image, *captions):
    return AnnotatedBox(number, image, (1.0, 2.0, 3.0, 4.0 + number), captions[0], captions[1:])


SETS = [
    FineGrainedSet("color", (box(5, FIRST, "red", "blue"), box(6, SECOND, "blue", "red")), "0"),
    FineGrainedSet("pattern", (box(5, SECOND, "dotted", "red", "plain"),), "1"),
]


def test_images_and_texts_are_there_once():
    table = box_table(SETS)
    assert table.images == (FIRST, SECOND)
    assert table.image_rows.tolist() == [0, 1, 1]
    assert table.sets == ("color", "color", "pattern")
    assert table.annotations.tolist() == [5, 6, 5]
    assert table.boxes[1].tolist() == [1, 2, 3, 10]
    texts = [[table.texts[i] if i >= 0 else None for i in row] for row in table.caption_rows]
    assert texts == [["red", "blue", None], ["blue", "red", None], ["dotted", "red", "plain"]]
    assert len(set(table.texts)) == len(table.texts) == 4
    assert table.of_set("pattern").tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("blue", [True, True, False]), ("dotted", [False, False, True]),
     # The last text is what -1 would point at.
     ("plain", [False, False, True])],
)  # fmt: skip
def test_boxes_with_a_marked_caption(text, expected):
    table = box_table(SETS)
    assert table.texts[-1] == "plain"
    marked = np.array(table.texts) == text
    assert table.any_caption(marked).tolist() == expected


def test_two_files_of_one_name_are_refused():
    with pytest.raises(InputError, match="color is the name of two files"):
        box_table([SETS[0], SETS[0]])


def test_images_have_to_be_as_annotated(tmp_path):
    table = box_table(SETS)
    (tmp_path / "below").mkdir()
    Image.new("RGB", (20, 10)).save(tmp_path / "a.png")
    Image.new("RGB", (16, 16)).save(tmp_path / "below" / "b.png")
    assert [file.width for file in inspect_box_images(table, tmp_path)] == [20, 16]
    Image.new("RGB", (16, 17)).save(tmp_path / "below" / "b.png")
    with pytest.raises(InputError, match=r"b\.png is said to be 16 x 16 pixels, and is 16 x 17"):
        inspect_box_images(table, tmp_path)
