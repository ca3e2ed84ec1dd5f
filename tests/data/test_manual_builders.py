import json
import sys

import numpy as np
import pytest
from PIL import Image

from jclip.data.fg_ovd import read_fg_ovd
from jclip.data.manual_builders import CaptionedPhotos, FineGrainedBoxes, prepare_from
from jclip.errors import InputError


@pytest.fixture(autouse=True)
def without_tensorflow(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    before = set(sys.modules)
    yield
    assert "tensorflow" not in set(sys.modules) - before


@pytest.fixture
def downloaded(tmp_path):
    folder = tmp_path / "downloaded"
    (folder / "val").mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (12, 20, 3), np.uint8)
    for name in ("a.png", "b.png"):
        Image.fromarray(pixels).save(folder / "val" / name)
    return folder


def write_boxes(folder):
    for name, negatives in (("1_attributes", [[2, 3], [1]]), ("color", [[1], [3, 2]])):
        content = {
            "images": [{"id": i, "file_name": f"val/{file}", "width": 20, "height": 12}
                       for i, file in ((3, "a.png"), (4, "b.png"))],
            "annotations": [
                {"id": 5 + i, "image_id": 3 + i, "bbox": [i, 2.25, 6, 7], "category_id": 10 + i,
                 "neg_category_ids": wrong} for i, wrong in enumerate(negatives)
            ],
            "categories": [{"id": i, "name": f"caption {i}"} for i in (1, 2, 3, 10, 11)],
        }  # fmt: skip
        (folder / f"{name}.json").write_text(json.dumps(content))


def test_boxes_are_read_as_they_are_in_the_files(downloaded, tmp_path):
    write_boxes(downloaded)
    sources = prepare_from(FineGrainedBoxes(data_dir=tmp_path / "tfds"), downloaded)
    assert sorted(sources) == ["1_attributes", "color"]
    for name, source in sources.items():
        expected = list(read_fg_ovd(downloaded / f"{name}.json"))
        assert len(source) == len(expected)
        for example, box in zip(source, expected, strict=True):
            found = example["annotation"], example["file"].decode()
            assert found == (box.annotation, box.image.file)
            np.testing.assert_array_equal(example["bbox"], box.box)
            assert example["caption"].decode() == box.captions[0]
            assert tuple(text.decode() for text in example["negatives"]) == box.captions[1:]
            picture = np.asarray(Image.open(downloaded / box.image.file))
            np.testing.assert_array_equal(example["image"], picture)


def test_photos_have_all_their_captions(downloaded, tmp_path):
    images = [
        {"imgid": i, "filepath": "val", "filename": file, "split": split, "sentids": ids,
         "sentences": [{"sentid": id_, "imgid": i, "raw": f"caption {id_}"} for id_ in ids]}
        for i, file, split, ids in ((0, "a.png", "test", [0, 1, 2]), (1, "b.png", "val", [7]))
    ]  # fmt: skip
    (downloaded / "dataset.json").write_text(json.dumps({"images": images}))
    sources = prepare_from(CaptionedPhotos(data_dir=tmp_path / "tfds"), downloaded)
    assert {name: len(source) for name, source in sources.items()} == {"test": 1, "val": 1}
    example = sources["test"][0]
    assert example["captions"] == [b"caption 0", b"caption 1", b"caption 2"]
    assert example["image"].shape == (12, 20, 3) and example["image_id"] == 0


def test_what_is_wrong_is_named(downloaded, tmp_path):
    builder = FineGrainedBoxes(data_dir=tmp_path / "tfds")
    with pytest.raises(InputError, match=r"downloaded: no \.json file"):
        prepare_from(builder, downloaded)
    write_boxes(downloaded)
    with pytest.raises(InputError, match="2 annotation files; one is expected"):
        prepare_from(CaptionedPhotos(data_dir=tmp_path / "tfds"), downloaded)
    (downloaded / "val" / "b.png").unlink()
    with pytest.raises(InputError, match=r"b\.png: cannot be read"):
        prepare_from(builder, downloaded)
