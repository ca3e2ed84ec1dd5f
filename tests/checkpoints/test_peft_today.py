"""Adapters as peft's own options write them: applied where meant, or refused; never guessed."""

import functools
import json
from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import load_file, save_file

from jclip.adapters.lora import adapted_layers
from jclip.checkpoints import load_clip
from jclip.checkpoints.network import random_clip
from jclip.checkpoints.peft import load_adapter
from jclip.errors import InputError
from jclip.models import CLIPConfig, TextConfig, VisionConfig

GOLDEN = Path(__file__).parents[1] / "golden"
CONFIG, TENSORS = "adapter_config.json", "adapter_model.safetensors"
FC1 = "base_model.model.{}encoder.layers.{}.mlp.fc1.lora_{}{}.weight"
load_clip = functools.cache(load_clip)


@pytest.fixture
def written(tmp_path):
    """A function that writes a golden adapter with other settings, or other tensors."""

    def write(name="hf_gelu", rename=None, tensors=None, **settings):
        source = GOLDEN / name / "peft_adapter"
        values = json.loads((source / CONFIG).read_text()) | settings
        (tmp_path / CONFIG).write_text(json.dumps(values))
        arrays = load_file(source / TENSORS) if tensors is None else tensors
        save_file({rename(n) if rename else n: a for n, a in arrays.items()}, tmp_path / TENSORS)
        return tmp_path

    return write


def factors(clip):
    return {path: layer.update() for path, layer in adapted_layers(clip).items()}


def assert_as_golden(folder, name="hf_gelu"):
    clip = load_clip(GOLDEN / name)
    ours = factors(load_adapter(clip, folder).clip)
    theirs = factors(load_adapter(clip, GOLDEN / name / "peft_adapter").clip)
    assert ours.keys() == theirs.keys()
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


def refusal(folder, name="hf_gelu"):
    with pytest.raises(InputError) as caught:
        load_adapter(load_clip(GOLDEN / name), folder)
    assert len(str(caught.value)) < 600
    return str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"rank_pattern": {"fc1": 4}},
        {"rank_pattern": {"fc1": 4, "q_proj": 4}, "alpha_pattern": {"fc1": 8, "fc2": 8.0}},
        {"runtime_config": {"ephemeral_gpu_offload": False}},
        {"brand_new": {"a": {"b": None}, "c": [], "d": [False]}},
        {"arrow_config": None, "loftq_config": {"loftq_bits": 4}, "corda_config": {"x": 1}},
        {"target_modules": "all-linear"},
        {"auto_mapping": None, "task_type": "FEATURE_EXTRACTION"},
    ],
)
def test_settings_that_change_nothing(written, settings):
    assert_as_golden(written(**settings))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rank_pattern": {"fc1": 8}}, "rank_pattern = {'fc1': 8}"),
        ({"alpha_pattern": {"fc1": 4}}, "alpha_pattern = {'fc1': 4}"),
        ({"rank_pattern": [4]}, "rank_pattern = [4]"),
        ({"runtime_config": {"ephemeral_gpu_offload": True}}, "runtime_config = "),
        ({"arrow_config": {"top_k": 2}}, "arrow_config = "),
        ({"r": float("inf")}, "r = inf"),
        ({"lora_alpha": float("nan")}, "lora_alpha = nan"),
        ({"lora_alpha": 0}, "LoRA alpha 0"),
        ({"lora_alpha": 10**400}, "lora_alpha = "),
        ({"auto_mapping": {"base_model_class": ["CLIP"]}}, "base_model_class"),
    ],
)
def test_settings_that_change_the_function_are_refused_by_name(written, settings, message):
    assert message in refusal(written(**settings))


def test_a_byte_order_mark_changes_nothing(written):
    path = written() / CONFIG
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert_as_golden(path.parent)


@pytest.mark.parametrize(
    "rename",
    [
        lambda n: n.replace(".weight", ".default.weight"),
        lambda n: n.replace("lora_A.weight", "lora_A.mine.weight").replace(
            "lora_B.weight", "lora_B.mine.weight"
        ),
        lambda n: n.replace("base_model.model.", "base_model.model.vision_model."),
        lambda n: n.replace("base_model.model.", "base_model.model.clip.vision_model."),
        lambda n: n.replace("base_model.model.", "base_model.model.model.vision_model."),
        lambda n: n.replace("base_model.model.", "base_model.model.vision_tower.vision_model."),
        lambda n: n.replace("base_model.model.", "base_model.model.image_encoder."),
        lambda n: n.replace("base_model.model.", "base_model.model._orig_mod."),
        lambda n: f"module.{n}",
        lambda n: n.removeprefix("base_model.model."),
    ],
)
@pytest.mark.parametrize("mapping", ["CLIPVisionModel", "MyWrapper", None])
def test_names_of_wrappers(written, rename, mapping):
    mapping = mapping and {"base_model_class": mapping, "parent_library": "x"}
    assert_as_golden(written(rename=rename, auto_mapping=mapping))


def text_factors(before="", after="", width=32, inner=128, rank=4):
    rng = np.random.default_rng(0)
    return {
        FC1.format(before, layer, factor, after): rng.normal(size=shape).astype(np.float32)
        for layer in range(3)
        for factor, shape in (("A", (rank, width)), ("B", (inner, rank)))
    }


@pytest.mark.parametrize("before", ["", "text_model.", "text_encoder.", "clip.text_model."])
@pytest.mark.parametrize("mapping", ["CLIPTextModel", "Other", None])
def test_text_towers_are_told_by_names_class_or_shapes(written, before, mapping):
    mapping = mapping and {"base_model_class": mapping}
    folder = written(tensors=text_factors(before), auto_mapping=mapping)
    assert list(factors(load_adapter(load_clip(GOLDEN / "hf_gelu"), folder).clip)) == [
        "text_tower.transformer.blocks.mlp.up"
    ]


@pytest.fixture(scope="module")
def twins():
    """A network whose towers are alike in every width."""
    tower = {"layers": 3, "width": 32, "heads": 2, "mlp_width": 128}
    tower |= {"activation": "gelu", "layer_scale": False, "norm_epsilon": 1e-5}
    vision = VisionConfig(image_size=32, patch_size=16, **tower)
    text = TextConfig(context_length=8, vocabulary_size=50, end_of_text=None, **tower)
    return random_clip(CLIPConfig(vision=vision, text=text, embedding_width=16), np.float32)


def test_a_tower_is_never_guessed(written, twins):
    folder = written(tensors=text_factors(), auto_mapping=None)
    with pytest.raises(InputError, match="does not say of which tower it is, and it fits both"):
        load_adapter(twins, folder)
    for said, tower in (("CLIPTextModel", "text_tower"), ("CLIPVisionModel", "image_tower")):
        folder = written(tensors=text_factors(), auto_mapping={"base_model_class": said})
        (path,) = factors(load_adapter(twins, folder).clip)
        assert path.startswith(tower)
    for before, tower in (("text_model.", "text_tower"), ("vision_tower.", "image_tower")):
        folder = written(tensors=text_factors(before), auto_mapping=None)
        (path,) = factors(load_adapter(twins, folder).clip)
        assert path.startswith(tower)
    assert not jax.tree.leaves(nnx.state(twins, nnx.LoRAParam))


@pytest.mark.parametrize(
    "module", ["visual_projection", "text_projection", "vision_model.embeddings.patch_embedding"]
)
def test_lora_of_a_projection_is_refused_by_name(written, module):
    tensors = load_file(GOLDEN / "hf_gelu" / "peft_adapter" / TENSORS)
    for factor, shape in (("A", (4, 64)), ("B", (32, 4))):
        tensors[f"base_model.model.{module}.lora_{factor}.weight"] = np.ones(shape, np.float32)
    message = refusal(written(tensors=tensors, target_modules="all-linear"))
    assert f"adapts {module}, which is not supported" in message


def test_several_adapters_in_one_file_are_refused(written):
    tensors = text_factors(after=".default") | text_factors(after=".other")
    message = refusal(written(tensors=tensors, auto_mapping=None))
    assert "several adapters in one: default, other" in message


def test_adapters_of_other_models_are_refused(written):
    for before in ("decoder.", "language_model.model.", "unet."):
        message = refusal(written(tensors=text_factors(before), auto_mapping=None))
        assert "holds no LoRA of a CLIP" in message
    tensors = text_factors(width=48, inner=192)
    assert "for another architecture" in refusal(written(tensors=tensors, auto_mapping=None))
