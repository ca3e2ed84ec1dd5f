import dataclasses

import numpy as np
import pytest

from jclip.data.features import (
    BoxSet,
    Features,
    Origin,
    padded_negatives,
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
        "hard": BoxSet(
            annotations=np.array([3, 5, 6]),
            images=np.array([1, 0, 1]),
            positives=np.array([0, 1, 2]),
            negatives=padded_negatives([[1, 2], [4], [3, 0]]),
        ),
        "color": BoxSet(
            annotations=np.array([3]),
            images=np.array([1]),
            positives=np.array([0]),
            negatives=padded_negatives([[4]]),
        ),
    }
    texts = tuple("abcde")
    return Features("fg_ovd", array(2, 4), array(5, 4), ("x.jpg", "y.jpg"), texts, ORIGIN, sets)


@pytest.fixture
def pairs():
    return Features(
        kind="coco",
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
    assert list(first.sets) == list(second.sets)
    for name, one in first.sets.items():
        for field in dataclasses.fields(BoxSet):
            other = getattr(second.sets[name], field.name)
            np.testing.assert_array_equal(getattr(one, field.name), other)


def test_boxes_are_read_as_written(tmp_path, boxes):
    write_features(tmp_path / "new", boxes)
    read = read_features(tmp_path / "new")
    assert_equal(read, boxes)
    np.testing.assert_array_equal(read.sets["hard"].negatives, [[1, 2], [4, -1], [3, 0]])
    assert read.sets["color"].negatives.shape == (1, 1)
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
    with pytest.raises(InputError, match=rf"features\.safetensors: tensor '{tensor}' is not what"):
        read_features(tmp_path)


@pytest.mark.parametrize("name", ["index.parquet", "captions.parquet"])
def test_a_changed_index_is_named(tmp_path, boxes, name):
    write_features(tmp_path, boxes)
    with (tmp_path / name).open("ab") as file:
        file.write(b"x")
    with pytest.raises(InputError, match=rf"{name}: missing, or not what was written"):
        read_features(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(InputError, match=rf"{name}: missing"):
        read_features(tmp_path)


def test_what_is_no_feature_folder_is_named(tmp_path, boxes):
    with pytest.raises(InputError, match=r"no features\.json"):
        read_features(tmp_path)
    (tmp_path / "features.json").write_text("{}")
    with pytest.raises(InputError, match=r"features\.json: field 'sha256' is missing"):
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
