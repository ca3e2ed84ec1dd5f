"""Files whose tensors are not those of the network they describe; shards and half precision."""

import json
from dataclasses import replace

import jax
import ml_dtypes
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import load_file, save_file

from jclip.checkpoints import load_checkpoint, load_clip
from jclip.checkpoints.checkpoint import describe_checkpoint
from jclip.checkpoints.network import random_clip
from jclip.checkpoints.open_clip import rules_for
from jclip.checkpoints.transformers import RULES
from jclip.errors import InputError
from jclip.files.digests import sha256
from jclip.models import CLIP

LAYER = "vision_model.encoder.layers"


def parameters(clip):
    return {
        ".".join(map(str, path)): np.asarray(leaf[...])
        for path, leaf in nnx.to_flat_state(nnx.state(clip))
    }


def same(one, other):
    one, other = parameters(one), parameters(other)
    return one.keys() == other.keys() and all(np.array_equal(one[k], other[k]) for k in one)


@pytest.mark.parametrize("name", ["hf_gelu", "open_clip_layer_scale"])
def test_rules_fill_each_parameter_once(name, copy_golden):
    folder = copy_golden(name)
    config = describe_checkpoint(folder).config
    clip = nnx.eval_shape(lambda: CLIP(config, rngs=nnx.Rngs(0)))
    paths = {".".join(map(str, path)) for path, _ in nnx.to_flat_state(nnx.state(clip))}
    for rules in (RULES, rules_for(())):
        targets = [target for rule in rules for target in rule.targets]
        assert len(targets) == len(set(targets))
        scales = {path for path in paths if path.endswith(("attention_scale", "mlp_scale"))}
        assert set(targets) >= paths - scales
        assert len({rule.source for rule in rules}) == len(rules)


def test_every_wrong_tensor_is_named_at_once(copy_golden):
    folder = copy_golden("hf_gelu")
    tensors = load_file(folder / "model.safetensors")
    del (
        tensors["logit_scale"],
        tensors[f"{LAYER}.0.mlp.fc1.bias"],
        tensors[f"{LAYER}.2.mlp.fc1.bias"],
    )
    tensors["vision_model.extra"] = np.zeros(3, np.float32)
    tensors["visual_projection.weight"] = tensors["visual_projection.weight"].T.copy()
    tensors["text_model.final_layer_norm.bias"][3] = np.nan
    tensors["text_projection.weight"][0, 0] = np.inf
    tensors[f"{LAYER}.1.layer_norm1.bias"] = np.zeros(64, np.int32)
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(InputError) as caught:
        load_checkpoint(folder)
    message = str(caught.value)
    assert "\n" not in message
    kinds = dict(part.split(": ", 1) for part in message.split("; ")[1:])
    assert set(kinds["missing"].split(", ")) == {
        "logit_scale",
        f"{LAYER}.{{0,2}}.mlp.fc1.bias",
    }
    assert kinds["unexpected"] == "vision_model.extra"
    assert kinds["misshapen"] == "visual_projection.weight (64, 32) for (32, 64)"
    assert set(kinds["not finite"].split(", ")) == {
        "text_model.final_layer_norm.bias",
        "text_projection.weight",
        f"{LAYER}.1.layer_norm1.bias",
    }


def test_open_clip_tensors_beyond_the_config_are_unexpected(copy_golden):
    folder = copy_golden("open_clip_layer_scale")
    path = folder / "open_clip_config.json"
    config = json.loads(path.read_text())
    del config["model_cfg"]["vision_cfg"]["ls_init_value"]
    path.write_text(json.dumps(config))
    with pytest.raises(
        InputError, match=r"unexpected: visual\.transformer\.resblocks\.\{0,1,2\}\.ls_1\.gamma"
    ):
        load_checkpoint(folder)


def test_buffers_are_ignored_and_text_prefix_understood(copy_golden):
    folder = copy_golden("open_clip_gelu")
    before = load_clip(folder)
    tensors = load_file(folder / "open_clip_model.safetensors")
    renamed = {
        name if name.startswith(("visual.", "logit_scale")) else f"text.{name}": tensor
        for name, tensor in tensors.items()
    }
    renamed["text.attn_mask"] = np.full((77, 77), -np.inf, np.float32)
    save_file(renamed, folder / "open_clip_model.safetensors")
    assert same(before, load_clip(folder))


def test_position_ids_are_ignored(copy_golden):
    folder = copy_golden("hf_gelu")
    before = load_clip(folder)
    tensors = load_file(folder / "model.safetensors")
    tensors["text_model.embeddings.position_ids"] = np.arange(77)[None]
    tensors["vision_model.embeddings.position_ids"] = np.arange(17)[None]
    save_file(tensors, folder / "model.safetensors")
    assert same(before, load_clip(folder))


def write_shards(folder, name="model.safetensors", count=3):
    tensors = load_file(folder / name)
    (folder / name).unlink()
    weight_map = {}
    for shard in range(count):
        file = f"model-{shard + 1:05}-of-{count:05}.safetensors"
        part = dict(list(tensors.items())[shard::count])
        save_file(part, folder / file)
        weight_map |= dict.fromkeys(part, file)
    (folder / f"{name}.index.json").write_text(json.dumps({"weight_map": weight_map}))


def test_shards_load_as_one_file(copy_golden):
    folder = copy_golden("hf_gelu")
    before = load_clip(folder)
    write_shards(folder)
    checkpoint = load_checkpoint(folder)
    assert same(before, checkpoint.clip)
    assert len(checkpoint.identity.sha256) == 3
    first = folder / "model-00001-of-00003.safetensors"
    assert checkpoint.identity.sha256[first.name] == sha256(first)


def test_missing_shard_is_named_before_loading(copy_golden):
    folder = copy_golden("hf_gelu")
    write_shards(folder)
    (folder / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(InputError, match=r"not there: model-00002-of-00003\.safetensors"):
        describe_checkpoint(folder)


def test_shards_that_the_index_does_not_list_are_named(copy_golden):
    folder = copy_golden("hf_gelu")
    write_shards(folder)
    first = folder / "model-00001-of-00003.safetensors"
    save_file(load_file(first), folder / "model-00004-of-00004.safetensors")
    with pytest.raises(InputError, match=r"does not list .*: model-00004-of-00004\.safetensors"):
        describe_checkpoint(folder)


@pytest.mark.parametrize("change", ["missing", "extra", "elsewhere"])
def test_tensors_that_are_not_where_the_index_says_are_named(copy_golden, change):
    folder = copy_golden("hf_gelu")
    write_shards(folder)
    path = folder / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    if change == "missing":
        index["weight_map"]["more"] = "model-00001-of-00003.safetensors"
        expected = "more is in no shard, listed for model-00001-of-00003"
    elif change == "extra":
        del index["weight_map"]["logit_scale"]
        expected = "logit_scale is in model-.*, listed for none"
    else:
        names = sorted(set(index["weight_map"].values()))
        was = index["weight_map"]["logit_scale"]
        index["weight_map"]["logit_scale"] = names[names.index(was) - 1]
        expected = f"logit_scale is in {was}, listed for model-"
    path.write_text(json.dumps(index))
    with pytest.raises(InputError, match=f"shards and index differ: {expected}"):
        load_checkpoint(folder)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_half_precision_files_load_exactly(copy_golden, dtype):
    folder = copy_golden("hf_gelu")
    tensors = {k: v.astype(dtype) for k, v in load_file(folder / "model.safetensors").items()}
    save_file(tensors, folder / "model.safetensors")
    found = parameters(load_clip(folder))
    embedding = tensors["text_model.embeddings.token_embedding.weight"]
    assert found["text_tower.token_embedding"].dtype == np.float32
    assert np.array_equal(found["text_tower.token_embedding"], embedding.astype(np.float32))
    kernel = tensors["visual_projection.weight"].T.astype(np.float32)
    assert np.array_equal(found["image_tower.projection.kernel"], kernel)


def test_truncated_file_is_named(copy_golden):
    folder = copy_golden("hf_gelu")
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(InputError, match=r"model\.safetensors cannot be read as safetensors"):
        load_checkpoint(folder)


def test_random_network_is_seeded_marked_and_alive():
    description = describe_checkpoint("random:ViT-B-32")
    assert description.identity.random
    assert description.identity.name == "random:ViT-B-32"
    assert "mean nothing" in description.identity.notices[0]
    assert description.config.text.vocabulary_size == 49408
    small = description.config
    small = replace(
        small,
        vision=replace(small.vision, layers=2, width=64, heads=2, mlp_width=64),
        text=replace(small.text, layers=2, width=32, heads=2, mlp_width=64, vocabulary_size=600),
    )
    clip = random_clip(small, np.float32)
    assert same(clip, random_clip(small, np.float32))
    texts = np.array([[1, 2, 3, 599], [1, 3, 2, 599]])
    graph, state = nnx.split(clip)
    encode = jax.jit(lambda state: nnx.merge(graph, state).encode_text(texts))
    one, other = np.asarray(encode(state))
    assert np.isfinite(one).all()
    assert np.abs(one - other).max() > 1e-3


def test_unknown_random_architecture():
    with pytest.raises(InputError, match="'ViT-X' is no known architecture; known: ViT-B-32"):
        describe_checkpoint("random:ViT-X")
