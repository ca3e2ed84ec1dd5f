import copy
import json

import pytest

from jclip.data.coco_captions import read_coco_captions, select_splits
from jclip.errors import InputError


def sentence(id_, image, text):
    return {"sentid": id_, "imgid": image, "raw": text, "tokens": text.split()}


CONTENT = {
    "dataset": "coco",
    "images": [
        {"imgid": 0, "cocoid": 42, "filepath": "val2014", "filename": "a.jpg", "split": "test",
         "sentids": [3, 4], "sentences": [sentence(3, 0, "A cat."), sentence(4, 0, "A dog. ")]},
        {"imgid": 1, "cocoid": 43, "filename": "b.jpg", "split": "train", "sentids": [5],
         "sentences": [sentence(5, 1, "A cat.")]},
    ],
}  # fmt: skip


@pytest.fixture
def write(tmp_path):
    def write(content):
        path = tmp_path / "dataset_coco.json"
        path.write_text(json.dumps(content))
        return path

    return write


def test_images_have_captions_and_a_split(write):
    read = read_coco_captions(write(CONTENT))
    first, second = read.images
    assert (read.name, read.splits) == ("dataset_coco", {"test": 1, "train": 1})
    assert (first.file, first.captions) == ("val2014/a.jpg", ("A cat.", "A dog."))
    assert (second.id, second.file, second.split) == (1, "b.jpg", "train")
    assert select_splits(read, ["train"]).images == (second,)
    assert select_splits(read, []).images == read.images
    with pytest.raises(InputError, match="no image of split 'val'; there are test, train"):
        select_splits(read, ["val"])


@pytest.mark.parametrize(
    ("image", "field", "value", "message"),
    [
        (1, "imgid", 0, "image 0"),
        (1, "split", "", "image 1: field 'split' is blank"),
        (1, "filename", None, "image 1: field 'filename' is None"),
        (0, "sentences", [], "image 0: field 'sentences' is empty"),
        (0, "sentids", [3], "image 0: field 'sentids' does not list its sentences"),
        (1, "sentences", [sentence(3, 1, "x")], "sentence 3: second entry with this id"),
        (1, "sentences", [sentence(5, 0, "x")], "sentence 5: field 'imgid' is 0, the image's is 1"),
        (1, "sentences", [sentence(5, 1, " ")], "sentence 5: field 'raw' is blank"),
        (1, "sentences", [{"sentid": 5}], "sentence 5: field 'raw' is missing"),
    ],
)
def test_what_is_wrong_is_named(write, image, field, value, message):
    content = copy.deepcopy(CONTENT)
    content["images"][image][field] = value
    with pytest.raises(InputError) as error:
        read_coco_captions(write(content))
    assert message in str(error.value) and "dataset_coco.json" in str(error.value)


def test_a_file_has_one_entry(write):
    content = copy.deepcopy(CONTENT)
    content["images"][1] |= {"filename": "a.jpg", "filepath": "val2014"}
    with pytest.raises(InputError, match="image 1: field 'filename' is that of image 0"):
        read_coco_captions(write(content))
