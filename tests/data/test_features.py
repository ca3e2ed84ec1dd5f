import dataclasses

import numpy as np
import pytest
from small_features import box_features, boxes_of

from jclip.data.boxes import BoxTable
from jclip.data.features import (
    Features,
    Origin,
    features_digest,
    read_features,
    require_same_model,
    write_features,
)
from jclip.errors import InputError

ORIGIN = Origin(
    model={
        "name": "small",
        "source": "/models/small",
        "activation": "gelu",
        "weights": {"model.safetensors": "ab12"},
    },
    preprocessing={"size": 32, "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)},
    fit="crop",
    box_scale=1.0,
    data={"hard": "cd34", "images": "ef56"},
)


def array(*shape):
    return np.random.default_rng(shape).standard_normal(shape, np.float32)


@pytest.fixture
def boxes():
    sets = {
        "hard": ([3, 5, 6], [1, 0, 1], [[0, 1, 2], [1, 4], [2, 3, 0]]),
        "color": ([3], [1], [[0, 4]]),
    }
    files = ["x.jpg", "y.jpg"]
    texts = tuple("abcde")
    return box_features(array(2, 4), array(5, 4), sets, ORIGIN, files=files, texts=texts)


@pytest.fixture
def pairs():
    return Features(
        images=array(2, 4),
        captions=array(3, 4),
        image_names=("x.jpg", "y.jpg"),
        texts=("a", "b", "a"),
        origin=ORIGIN,
        caption_images=np.array([0, 0, 1]),
        splits=("test", "train"),
    )


def assert_equal(first, second):
    np.testing.assert_array_equal(first.images, second.images)
    np.testing.assert_array_equal(first.captions, second.captions)
    np.testing.assert_array_equal(first.caption_images, second.caption_images)
    for field in ("kind", "image_names", "texts", "splits", "counts"):
        assert getattr(first, field) == getattr(second, field)
    np.testing.assert_array_equal(first.box_images, second.box_images)
    assert (first.boxes is None) == (second.boxes is None)
    if first.boxes is not None:
        assert boxes_of(first.boxes) == boxes_of(second.boxes)
        # Images are numbered as the boxes show them.
        for field in {field.name for field in dataclasses.fields(BoxTable)} - {
            "image_rows", "images",
        }:  # fmt: skip
            ends = (getattr(one.boxes, field) for one in (first, second))
            np.testing.assert_array_equal(*ends)


def test_boxes_are_read_as_written(tmp_path, boxes):
    write_features(tmp_path / "new", boxes)
    read = read_features(tmp_path / "new")
    assert_equal(read, boxes)
    captions = read.boxes.caption_rows
    np.testing.assert_array_equal(captions[:, 1:], [[1, 2], [4, -1], [3, 0], [4, -1]])
    assert read.counts == {"images": 2, "captions": 5, "hard": 3, "color": 1}


def test_pairs_are_read_as_written(tmp_path, pairs):
    write_features(tmp_path, pairs)
    read = read_features(tmp_path)
    assert_equal(read, pairs)
    assert read.origin.model == ORIGIN.model and read.origin.data == ORIGIN.data
    require_same_model(read, pairs)


@pytest.mark.parametrize("tensor", ["images", "captions"])
def test_a_flipped_bit_is_named(tmp_path, boxes, tensor):
    write_features(tmp_path, boxes)
    path = tmp_path / "features.safetensors"
    content = bytearray(path.read_bytes())
    at = content.index(getattr(boxes, tensor).tobytes()) + 9
    content[at] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"features\.safetensors is damaged: {tensor} is not as"):
        read_features(tmp_path)


@pytest.mark.parametrize("name", ["index.parquet", "captions.parquet", "features.json"])
def test_a_changed_index_is_named(tmp_path, boxes, name):
    write_features(tmp_path, boxes)
    with (tmp_path / name).open("ab") as file:
        file.write(b" ")
    with pytest.raises(InputError, match=rf"{name} is not what was written beside"):
        read_features(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(InputError, match=rf"{name} is not what was written|no features\.json"):
        read_features(tmp_path)


def test_a_digest_tells_folders_apart(tmp_path, boxes):
    changed = dataclasses.replace(boxes, captions=boxes.captions + 1)
    elsewhere = dataclasses.replace(boxes, origin=dataclasses.replace(ORIGIN, fit="pad"))
    digests = []
    for number, features in enumerate((boxes, boxes, changed, elsewhere)):
        write_features(tmp_path / str(number), features)
        digests.append(features_digest(tmp_path / str(number)))
    assert digests[0] == digests[1] and len(set(digests)) == 3


def test_what_is_no_feature_folder_is_named(tmp_path, boxes):
    with pytest.raises(InputError, match=r"no features\.json"):
        read_features(tmp_path)
    (tmp_path / "features.json").write_text("{}")
    with pytest.raises(InputError, match=r"features\.json: field 'kind' is missing"):
        read_features(tmp_path)
    write_features(tmp_path, boxes)
    (tmp_path / "features.safetensors").unlink()
    with pytest.raises(InputError, match=r"features\.safetensors cannot be read"):
        read_features(tmp_path)


def test_embeddings_that_are_not_finite_are_not_written(tmp_path, boxes):
    broken = dataclasses.replace(boxes, captions=np.where(np.eye(5, 4) > 0, np.nan, boxes.captions))
    with pytest.raises(InputError, match="'a': its embedding is not finite"):
        write_features(tmp_path, broken)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"model": ORIGIN.model | {"weights": {"model.safetensors": "other"}}}, "model is"),
        ({"model": ORIGIN.model | {"activation": "quick_gelu"}}, "model is"),
        ({"preprocessing": ORIGIN.preprocessing | {"size": 64}}, "preprocessing is"),
        ({"fit": "squash"}, "fit is crop and squash"),
    ],
)
def test_features_of_other_models_are_refused(boxes, change, what):
    model = {"model": ORIGIN.model} | change
    model["model"] = model["model"] | {"name": "other"}
    other = dataclasses.replace(boxes, origin=dataclasses.replace(ORIGIN, **change | model))
    with pytest.raises(InputError, match=f"of small and of other cannot be mixed: {what}"):
        require_same_model(boxes, other)


def test_the_same_weights_elsewhere_are_the_same_model(boxes):
    moved = ORIGIN.model | {"name": "moved", "source": "/elsewhere"}
    other = dataclasses.replace(boxes, origin=dataclasses.replace(ORIGIN, model=moved))
    require_same_model(boxes, other)
