"""FG-CLIP's lines of FG-OVD."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from small_features import boxes_of

from jclip.data.boxes import AnnotatedImage
from jclip.data.fg_ovd import read_fg_ovd
from jclip.errors import InputError

GOLDEN = Path(__file__).parents[1] / "golden" / "fine_grained"
LINES = GOLDEN / "h_attributes_llava.jsonl"
MALFORMED = json.loads((GOLDEN / "malformed" / "malformed.json").read_text())


def test_a_line_is_a_box():
    table, lines = read_fg_ovd(LINES), LINES.read_text().splitlines()
    assert table.digests == {"h_attributes_llava": hashlib.sha256(LINES.read_bytes()).hexdigest()}
    assert table.annotations.tolist() == list(range(1, 13))
    assert len(table.images) == 12 and len(boxes_of(table)) == 12
    for box, line in zip(boxes_of(table), map(json.loads, lines), strict=True):
        assert box.image == AnnotatedImage(line["img_path"], line["width"], line["height"])
        assert list(box.box) == line["bbox"]
        assert list(box.captions) == line["pos_expression"] + line["neg_expression"]
    # The right caption of the fourth box is its sixth wrong one, too.
    assert table.caption_rows[3, 0] == table.caption_rows[3, 6]
    assert (table.caption_rows >= 0).sum(axis=1)[-3:].tolist() == [3, 5, 10]


def test_lines_and_annotations_stand_in_one_table(tmp_path):
    first = json.loads(LINES.read_text().splitlines()[1])
    captions = first["pos_expression"] + first["neg_expression"]
    annotations = {
        "images": [{"id": 1, "file_name": first["img_path"], "width": 427, "height": 640}],
        "annotations": [{"id": 5, "image_id": 1, "bbox": first["bbox"], "category_id": 0,
                         "neg_category_ids": list(range(1, 11))}],
        "categories": [{"id": n, "name": caption} for n, caption in enumerate(captions)],
    }  # fmt: skip
    path = tmp_path / "1_attributes.json"
    path.write_text(json.dumps(annotations))
    table = read_fg_ovd(path, LINES)
    assert table.set_names == ("1_attributes", "h_attributes_llava")
    assert table.image_rows[0] == table.image_rows[2]
    assert (table.caption_rows[0] == table.caption_rows[2]).all()
    assert len(np.unique(table.distinct()[1])) == 12


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_lines_are_refused_in_one_line(name):
    with pytest.raises(InputError) as refused:
        read_fg_ovd(GOLDEN / "malformed" / name)
    assert all(word in str(refused.value) for word in MALFORMED[name]["names"])
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"neg_expression": ["a", "a"]}, "'neg_expression' holds the same caption twice"),
        ({"neg_expression": "a b"}, "'neg_expression' is 'a b', not of type list"),
        ({"pos_expression": [" "]}, "'pos_expression' is blank"),
        ({"width": 0}, "width 0"),
        ({"bbox": [1, 2, 3]}, "'bbox' is"),
    ],
)
def test_what_is_wrong_with_a_field_is_said(tmp_path, change, words):
    path = tmp_path / "lines.jsonl"
    entry = json.loads(LINES.read_text().splitlines()[0])
    path.write_text(f"\n{json.dumps(entry | change)}\n")
    with pytest.raises(InputError, match="line 2") as refused:
        read_fg_ovd(path)
    assert words in str(refused.value)


@pytest.mark.parametrize(("text", "words"), [("", "no line holds a box"), ("[1]", "not an object")])
def test_files_without_boxes(tmp_path, text, words):
    path = tmp_path / "lines.jsonl"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        read_fg_ovd(path)
    with pytest.raises(InputError, match="no such annotation file"):
        read_fg_ovd(tmp_path / "absent.jsonl")
