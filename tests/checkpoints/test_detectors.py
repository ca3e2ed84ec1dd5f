"""Detectors of the transformers library predict as the library does."""

import functools
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import load_file, save_file

from jclip.checkpoints.owl import describe_detector, load_detector
from jclip.errors import InputError
from jclip.images.owl_preprocess import DetectorImages
from jclip.models.owl import class_logits

GOLDEN = Path(__file__).parents[1] / "golden"
KINDS = ["owlvit", "owlv2"]
MEAN, STD = [0.5, 0.4, 0.3], [0.2, 0.3, 0.25]


@functools.cache
def predictions(name, dtype=jnp.float32):
    """What the library predicts, and what we do, under the library's names."""
    arrays = dict(np.load(GOLDEN / name / "expected.npz"))
    graph, state = nnx.split(load_detector(GOLDEN / name, dtype=dtype).detector)

    @jax.jit
    def run(state, pixels, ids):
        detector = nnx.merge(graph, state)
        texts = detector.clip.encode_text(ids)
        texts = texts / jnp.linalg.norm(texts, axis=-1, keepdims=True)
        texts = texts.reshape(len(pixels), -1, texts.shape[-1])
        predicted = detector.predict(pixels)
        return {
            "image_embeds": detector.encode_patches(pixels),
            "text_embeds": texts,
            "class_embeds": predicted.embeddings,
            "pred_boxes": predicted.boxes,
            "logits": class_logits(predicted, texts),
            "objectness_logits": predicted.objectness,
        }

    pixels = arrays.pop("pixels").transpose(0, 2, 3, 1)
    return arrays, run(state, pixels, arrays.pop("input_ids").astype(np.int32))


@pytest.mark.parametrize("name", KINDS)
def test_predictions_equal_the_library(name):
    wanted, found = predictions(name)
    assert ("objectness_logits" in wanted) == (name == "owlv2")
    assert (found["objectness_logits"] is not None) == (name == "owlv2")
    for key, values in wanted.items():
        assert found[key].dtype == jnp.float32
        assert np.abs(np.asarray(found[key]).reshape(values.shape) - values).max() < 1e-5, key


def test_bfloat16_is_close():
    # As for CLIP: some twenty products with 8-bit operands, hence cosines right to about 1 %.
    wanted, found = predictions("owlvit", jnp.bfloat16)
    cosines = (np.asarray(found["class_embeds"]) * wanted["class_embeds"]).sum(-1)
    assert 0.999 < cosines.min() < 1 - 1e-6
    assert np.abs(np.asarray(found["pred_boxes"]) - wanted["pred_boxes"]).max() < 0.02


@pytest.fixture
def changed(copy_golden):
    """A function that copies a golden detector with fields of its config.json changed."""

    def change(name, values, tower=None):
        folder = copy_golden(name)
        config = json.loads((folder / "config.json").read_text())
        (config if tower is None else config[tower]).update(values)
        (folder / "config.json").write_text(json.dumps(config))
        return folder

    return change


@pytest.mark.parametrize(
    ("values", "tower", "message"),
    [
        ({"model_type": "clip"}, None, "model_type = 'clip' (supported: owlvit, owlv2)"),
        ({"projection_dim": 48}, None, "projection_dim = 48 (text_config.hidden_size is 32"),
        ({"query_type": "image"}, None, "query_type = 'image' (unknown field)"),
        ({"model_type": "owlv2_text_model"}, "text_config", "text_config.model_type"),
        ({"hidden_act": "relu"}, "vision_config", "vision_config.hidden_act = 'relu'"),
        ({"num_channels": 4}, "vision_config", "vision_config.num_channels = 4"),
    ],
)
def test_what_is_not_supported_is_named(changed, values, tower, message):
    folder = changed("owlvit", values, tower)
    with pytest.raises(InputError) as refused:
        describe_detector(folder)
    assert message in str(refused.value)
    assert str(folder / "config.json") in str(refused.value)


def test_missing_fields_have_the_library_s_defaults(copy_golden):
    folder = copy_golden("owlv2")
    (folder / "config.json").write_text(
        json.dumps({"model_type": "owlv2", "text_config_dict": None, "vision_config": None})
    )
    clip = describe_detector(folder).config
    assert (clip.vision.image_size, clip.vision.patch_size, clip.vision.width) == (768, 16, 768)
    assert (clip.text.context_length, clip.text.end_of_text, clip.embedding_width) == (
        16,
        None,
        512,
    )


def test_tensors_of_another_network_are_named(copy_golden):
    folder = copy_golden("owlv2")
    tensors = load_file(folder / "model.safetensors")
    del tensors["objectness_head.dense2.bias"]
    tensors["box_head.dense3.bias"] = np.zeros(4, np.float32)
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(InputError) as refused:
        load_detector(folder)
    assert "missing: objectness_head.dense2.bias" in str(refused.value)
    assert "unexpected: box_head.dense3.bias" in str(refused.value)


def test_a_clip_is_no_detector(copy_golden):
    with pytest.raises(InputError, match="model_type = 'clip'"):
        load_detector(copy_golden("hf_gelu"))
    with pytest.raises(InputError, match=r"config\.json, which is not there"):
        load_detector(copy_golden("open_clip_gelu", into="other"))


def test_identity(copy_golden):
    description = load_detector(copy_golden("owlvit", into="detector")).description
    assert description.identity.name == "detector"
    assert list(description.identity.sha256) == ["model.safetensors"]
    (notice,) = description.identity.notices
    assert "does not say how images are prepared" in notice


SQUARE = {"height": 64, "width": 64}


@pytest.mark.parametrize(
    ("name", "file", "values"),
    [
        ("owlvit", "preprocessor_config.json", {"size": SQUARE, "do_center_crop": False}),
        ("owlv2", "preprocessor_config.json", {"size": SQUARE, "do_pad": True, "resample": 2}),
        ("owlv2", "processor_config.json", {"size": SQUARE, "do_pad": True, "resample": 2}),
    ],
)
def test_preprocessing_of_a_folder(copy_golden, name, file, values):
    folder = copy_golden(name)
    values = {"image_mean": MEAN, "image_std": STD, **values}
    nested = {"image_processor": values} if file == "processor_config.json" else values
    (folder / file).write_text(json.dumps(nested))
    description = describe_detector(folder)
    expected = DetectorImages(
        size=64, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.25), padded=name == "owlv2"
    )
    assert description.image_config == expected
    assert not description.identity.notices


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("owlvit", {"size": {"shortest_edge": 64}}, "by crop and bicubic"),
        ("owlvit", {"size": SQUARE, "resample": 2}, "by squash and bilinear"),
        ("owlv2", {"size": {"height": 32, "width": 32}}, "size = "),
        ("owlv2", {"do_pad": False}, "do_pad = False"),
        ("owlv2", {"image_mean": [0.5]}, "image_mean = [0.5] (three numbers"),
        ("owlv2", {"pad_value": 0.5}, "pad_value = 0.5 (unknown field)"),
    ],
)
def test_other_preprocessing_is_refused(copy_golden, name, values, message):
    folder = copy_golden(name)
    (folder / "preprocessor_config.json").write_text(json.dumps(values))
    with pytest.raises(InputError) as refused:
        describe_detector(folder)
    assert message in str(refused.value)
