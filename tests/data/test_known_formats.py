"""A file of another known format is recognised and named."""

import json

import pytest

from jclip.data.coco_captions import read_coco_captions
from jclip.data.fg_ovd import read_fg_ovd
from jclip.data.known_formats import format_of
from jclip.errors import InputError

IMAGE = {"id": 1, "file_name": "a.png", "height": 32, "width": 64}
BOX = {"id": 3, "image_id": 1, "category_id": 0, "bbox": [0, 0, 3, 3]}
CAPTIONS = {"images": [IMAGE], "annotations": [{"image_id": 1, "id": 3, "caption": "a hall"}]}
INSTANCES = {
    "images": [IMAGE],
    "annotations": [{**BOX, "segmentation": [], "iscrowd": 0}],
    "categories": [{"id": 0, "name": "cat"}],
}
FG_OVD = {**INSTANCES, "annotations": [{**BOX, "neg_category_ids": [1]}]}
KARPATHY = {"images": [{"imgid": 1, "filename": "a.png", "split": "test", "sentences": []}]}


@pytest.mark.parametrize(
    ("read", "content", "words"),
    [
        (read_coco_captions, CAPTIONS, ["COCO's own captions", "Karpathy's layout"]),
        (read_coco_captions, INSTANCES, ["COCO's or LVIS's boxes", "Karpathy's layout"]),
        (read_coco_captions, FG_OVD, ["boxes of FG-OVD", "Karpathy's layout"]),
        (read_fg_ovd, CAPTIONS, ["COCO's own captions", "boxes of FG-OVD"]),
        (read_fg_ovd, INSTANCES, ["COCO's or LVIS's boxes", "boxes of FG-OVD"]),
        (read_fg_ovd, KARPATHY, ["Karpathy's layout", "boxes of FG-OVD"]),
    ],
)
def test_the_other_file_is_named(tmp_path, read, content, words):
    path = tmp_path / "some.json"
    path.write_text(json.dumps(content))
    with pytest.raises(InputError) as error:
        read(path)
    assert all(word in str(error.value) for word in ["some.json", *words])


@pytest.mark.parametrize("values", [{}, [], 3, None, {"images": 3}, {"annotations": [3]}])
def test_anything_else_is_none_of_them(values):
    assert format_of(values) is None
