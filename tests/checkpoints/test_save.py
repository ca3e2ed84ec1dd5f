"""What is written loads back equal."""

import dataclasses

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from flax import nnx
from safetensors import safe_open

from jclip.adapters.lora import LoRAConfig, add_adapter, merge_adapter
from jclip.checkpoints import load_checkpoint, save_clip
from jclip.errors import InputError


def leaves(clip):
    flat = nnx.to_flat_state(nnx.state(clip))
    return {".".join(map(str, path)): np.asarray(leaf[...]) for path, leaf in flat}


@pytest.mark.parametrize("name", ["hf_gelu", "hf_full", "open_clip_quick_gelu"])
def test_round_trip(copy_golden, tmp_path, name):
    checkpoint = load_checkpoint(copy_golden(name))
    save_clip(tmp_path / "deep" / "saved", checkpoint)
    again = load_checkpoint(tmp_path / "deep" / "saved")
    assert again.clip.config == checkpoint.clip.config
    assert again.image_config == checkpoint.image_config
    before, after = leaves(checkpoint.clip), leaves(again.clip)
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[key], after[key]) for key in before)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["saved"]


def test_tokenizer_is_written(copy_golden, tmp_path):
    checkpoint = load_checkpoint(copy_golden("hf_full"))
    save_clip(tmp_path / "saved", checkpoint)
    assert (tmp_path / "saved" / "tokenizer.json").exists()
    again = load_checkpoint(tmp_path / "saved")
    texts = ["a 360 degree view of a café", "it's"]
    assert np.array_equal(again.tokenizer(texts).ids, checkpoint.tokenizer(texts).ids)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision(copy_golden, tmp_path, dtype):
    checkpoint = load_checkpoint(copy_golden("hf_gelu"))
    save_clip(tmp_path / "saved", checkpoint, dtype=dtype)
    with safe_open(tmp_path / "saved" / "model.safetensors", "numpy") as file:
        assert {file.get_slice(name).get_dtype() for name in file.keys()} == {
            {"float16": "F16", "bfloat16": "BF16"}[dtype]
        }
    numpy_dtype = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16}[dtype]
    before, after = leaves(checkpoint.clip), leaves(load_checkpoint(tmp_path / "saved").clip)
    for key, value in before.items():
        assert np.array_equal(value.astype(numpy_dtype).astype(np.float32), after[key])


def test_bfloat16_network_round_trips(copy_golden, tmp_path):
    checkpoint = load_checkpoint(copy_golden("hf_gelu"), dtype=jnp.bfloat16)
    save_clip(tmp_path / "saved", checkpoint)
    before = leaves(checkpoint.clip)
    after = leaves(load_checkpoint(tmp_path / "saved", dtype=jnp.bfloat16).clip)
    assert all(np.array_equal(before[key], after[key]) for key in before)


def test_activation_in_use_is_written(copy_golden, tmp_path):
    save_clip(tmp_path / "saved", load_checkpoint(copy_golden("hf_gelu"), activation="quick_gelu"))
    identity = load_checkpoint(tmp_path / "saved").identity
    assert (identity.own_activation, identity.overridden) == ("quick_gelu", False)


def test_what_the_layout_cannot_express_is_refused(copy_golden, tmp_path):
    scaled = load_checkpoint(copy_golden("open_clip_layer_scale", into="scaled"))
    with pytest.raises(InputError, match="scaled cannot be saved: layer scale"):
        save_clip(tmp_path / "saved", scaled)
    plain = load_checkpoint(copy_golden("hf_gelu", into="plain"))
    padded = dataclasses.replace(plain.image_config, fit="pad")
    description = dataclasses.replace(plain.description, image_config=padded)
    with pytest.raises(InputError, match="fit = 'pad'"):
        save_clip(tmp_path / "saved", dataclasses.replace(plain, description=description))
    assert not (tmp_path / "saved").exists()


def test_overflow_is_refused_and_leaves_nothing(copy_golden, tmp_path):
    checkpoint = load_checkpoint(copy_golden("hf_gelu"))
    checkpoint.clip.logit_scale.set_value(jnp.float32(1e6))
    with pytest.raises(InputError, match="logit_scale is not finite in float16"):
        save_clip(tmp_path / "saved", checkpoint, dtype="float16")
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


def test_other_files_are_not_overwritten(copy_golden, tmp_path):
    checkpoint = load_checkpoint(copy_golden("hf_gelu"))
    (tmp_path / "saved").mkdir()
    save_clip(tmp_path / "saved", checkpoint)
    with pytest.raises(InputError, match="saved exists and is not an empty folder"):
        save_clip(tmp_path / "saved", checkpoint)


def test_an_adapter_has_to_be_merged_first(copy_golden, tmp_path):
    checkpoint = load_checkpoint(copy_golden("hf_gelu"))
    adapted = add_adapter(checkpoint.clip, LoRAConfig(rank=2), nnx.Rngs(0))
    with pytest.raises(ValueError, match="merge it first"):
        save_clip(tmp_path / "out", dataclasses.replace(checkpoint, clip=adapted))
    save_clip(tmp_path / "out", dataclasses.replace(checkpoint, clip=merge_adapter(adapted)))
    assert (tmp_path / "out" / "model.safetensors").exists()
