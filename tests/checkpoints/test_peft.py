"""Adapters in peft's layout: they act as in peft, survive a round trip, or are refused by name."""

import functools
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from safetensors.numpy import load_file, save_file

from jclip.adapters.lora import (
    LoRAConfig,
    adapted_layers,
    add_adapter,
    merge_adapter,
    parameter_counts,
)
from jclip.checkpoints import load_clip
from jclip.checkpoints.peft import load_adapter, save_adapter
from jclip.checkpoints.peft_config import read_peft_config
from jclip.errors import InputError
from jclip.training import init_state, make_train_step
from jclip.training.losses import stability_loss

GOLDEN = Path(__file__).parents[1] / "golden"
ADAPTED = ["hf_gelu", "hf_quick_gelu", "open_clip_gelu", "open_clip_quick_gelu"]
CONFIG, TENSORS = "adapter_config.json", "adapter_model.safetensors"
FC1 = "base_model.model.encoder.layers.{}.mlp.fc1.lora_{}.weight"
C_FC = "base_model.model.transformer.resblocks.{}.mlp.c_fc.lora_{}.weight"

load_clip = functools.cache(load_clip)


def golden(name):
    return load_adapter(load_clip(GOLDEN / name), GOLDEN / name / "peft_adapter")


@functools.partial(jax.jit, static_argnums=0)
def _embed(graph, state, pixels):
    return nnx.merge(graph, state).encode_image(pixels)


def embed(clip, pixels):
    return np.asarray(_embed(*nnx.split(clip), pixels))


def factors(clip):
    """Every factor by path, with what else is kept about it."""
    return {
        path: (layer.lora_a[...], layer.lora_b[...], layer.layers, layer.inert, layer.config.scale)
        for path, layer in adapted_layers(clip).items()
    }


def assert_same_adapter(one, other):
    assert one.keys() == other.keys()
    for path in one:
        for a, b in zip(one[path], other[path], strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.fixture
def edited(tmp_path):
    """A function that copies a golden adapter with other settings, tensors or names of tensors."""

    def edit(name="hf_gelu", *, settings=(), tensors=(), drop=(), rename=None):
        folder = tmp_path / "edited"
        source = GOLDEN / name / "peft_adapter"
        folder.mkdir()
        values = json.loads((source / CONFIG).read_text()) | dict(settings)
        (folder / CONFIG).write_text(json.dumps(values))
        arrays = load_file(source / TENSORS) | dict(tensors)
        arrays = {n: a for n, a in arrays.items() if not any(part in n for part in drop)}
        if rename is not None:
            arrays = {rename(name): array for name, array in arrays.items()}
        save_file(arrays, folder / TENSORS)
        return folder

    return edit


def refusal(folder, name="hf_gelu"):
    with pytest.raises(InputError) as caught:
        load_adapter(load_clip(GOLDEN / name), folder)
    assert str(folder) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", ADAPTED)
def test_embeddings_equal_peft(name):
    arrays = np.load(GOLDEN / name / "peft_expected.npz")
    plain = np.load(GOLDEN / name / "expected.npz")
    pixels = arrays["pixels"].transpose(0, 2, 3, 1)
    found = embed(golden(name).clip, pixels)
    assert np.abs(found - arrays["image_embeds"]).max() < 1e-5
    assert np.abs(found - plain["image_embeds"]).max() > 0.01


@pytest.mark.parametrize("name", ["hf_gelu", "open_clip_gelu"])
def test_embeddings_equal_peft_when_merged(name):
    arrays = np.load(GOLDEN / name / "peft_expected.npz")
    pixels = arrays["pixels"].transpose(0, 2, 3, 1)
    found = embed(merge_adapter(golden(name).clip), pixels)
    assert np.abs(found - arrays["image_embeds"]).max() < 1e-5


def test_what_is_known_of_an_adapter():
    adapter = golden("hf_gelu")
    targets = adapter.config.targets
    assert adapter.config == LoRAConfig(rank=4, alpha=8.0, dropout=0.1, targets=targets)
    assert len(targets) == 6
    assert adapter.notices == ()
    assert len(adapter.sha256) == 64


def test_what_open_clip_bypasses_is_kept_and_reported():
    adapter = golden("open_clip_gelu")
    (notice,) = adapter.notices
    assert "attn.out_proj" in notice
    counts = parameter_counts(adapter.clip)
    assert counts.trainable == 3 * 8 * (64 + 256)
    assert counts.inert == 3 * 8 * (64 + 64)


@pytest.mark.parametrize(
    ("name", "layout"),
    [("hf_gelu", "transformers"), ("open_clip_gelu", "open_clip")],
)
def test_round_trip_keeps_every_bit(tmp_path, name, layout):
    adapter = golden(name)
    save_adapter(adapter.clip, tmp_path / "saved", layout=layout, base_model_name="some/clip")
    again = load_adapter(load_clip(GOLDEN / name), tmp_path / "saved")
    assert_same_adapter(factors(adapter.clip), factors(again.clip))
    assert again.config == adapter.config
    assert again.notices == adapter.notices
    assert sorted(path.name for path in (tmp_path / "saved").iterdir()) == [CONFIG, TENSORS]


def test_open_clip_names_are_those_of_peft(tmp_path):
    source = GOLDEN / "open_clip_gelu" / "peft_adapter"
    save_adapter(golden("open_clip_gelu").clip, tmp_path / "saved", layout="open_clip")
    ours, theirs = load_file(tmp_path / "saved" / TENSORS), load_file(source / TENSORS)
    assert ours.keys() == theirs.keys()
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name])


def test_transformers_files_are_for_the_whole_model(tmp_path):
    save_adapter(golden("hf_gelu").clip, tmp_path, base_model_name="some/clip")
    name = "vision_model.encoder.layers.2.self_attn.q_proj"
    tensors = load_file(tmp_path / TENSORS)
    assert tensors[f"base_model.model.{name}.lora_A.weight"].shape == (4, 64)
    config = json.loads((tmp_path / CONFIG).read_text())
    assert name in config.pop("target_modules")
    # Every field is one that peft itself writes, and says the same where the adapters agree.
    theirs = json.loads((GOLDEN / "hf_gelu" / "peft_adapter" / CONFIG).read_text())
    assert config.keys() <= theirs.keys()
    differing = {key for key in config if config[key] != theirs[key]}
    assert differing == {"auto_mapping", "base_model_name_or_path"}


def test_inert_factors_are_not_written_where_they_would_act(tmp_path):
    adapter = golden("open_clip_gelu")
    save_adapter(adapter.clip, tmp_path / "saved")
    again = load_adapter(load_clip(GOLDEN / "open_clip_gelu"), tmp_path / "saved")
    kept = {path: f for path, f in factors(adapter.clip).items() if path.endswith("mlp.up")}
    assert_same_adapter(kept, factors(again.clip))


def test_both_towers_round_trip_in_transformers(tmp_path):
    clip = load_clip(GOLDEN / "hf_gelu")
    config = LoRAConfig(rank=3, alpha=5.5, use_rslora=True, targets=r".*\.(up|value)")
    clip = add_adapter(clip, config, nnx.Rngs(0))
    save_adapter(clip, tmp_path)
    again = load_adapter(load_clip(GOLDEN / "hf_gelu"), tmp_path)
    assert len(factors(clip)) == 4
    assert_same_adapter(factors(clip), factors(again.clip))


@pytest.mark.parametrize(
    ("name", "old", "new", "wrapped"),
    [
        ("hf_gelu", "model.encoder", "model.vision_model.encoder", None),
        ("hf_gelu", "model.encoder", "model.encoder", None),
        ("open_clip_gelu", "model.trans", "model.visual.trans", "CLIP"),
        ("open_clip_gelu", "model.trans", "model.trans", None),
    ],
)
def test_prefixes(edited, name, old, new, wrapped):
    mapping = wrapped and {"base_model_class": wrapped, "parent_library": "x"}
    folder = edited(name, settings={"auto_mapping": mapping}, rename=lambda n: n.replace(old, new))
    loaded = load_adapter(load_clip(GOLDEN / name), folder)
    assert_same_adapter(factors(loaded.clip), factors(golden(name).clip))


@pytest.mark.parametrize(
    ("name", "new", "wrapped"),
    [
        ("hf_gelu", "text_model.encoder", None),
        ("hf_gelu", "encoder", "CLIPTextModel"),
        ("open_clip_gelu", "text.transformer", "CustomTextCLIP"),
        ("open_clip_gelu", "transformer", "CLIP"),
        ("open_clip_gelu", "transformer", "TextTransformer"),
    ],
)
def test_prefixes_of_the_text_tower(edited, name, new, wrapped):
    drop = ("fc2", "_proj") if name == "hf_gelu" else ("out_proj",)
    rank = 4 if name == "hf_gelu" else 8
    module = FC1 if name == "hf_gelu" else C_FC
    rng = np.random.default_rng(0)
    tensors = {
        module.format(layer, factor): rng.normal(size=shape).astype(np.float32)
        for layer in range(3)
        for factor, shape in (("A", (rank, 32)), ("B", (128, rank)))
    }
    old = "encoder" if name == "hf_gelu" else "transformer"
    folder = edited(
        name,
        settings={"auto_mapping": wrapped and {"base_model_class": wrapped}},
        tensors=tensors,
        drop=drop,
        rename=lambda n: n.replace(f"model.{old}", f"model.{new}"),
    )
    ((path, found),) = factors(load_adapter(load_clip(GOLDEN / name), folder).clip).items()
    assert path == "text_tower.transformer.blocks.mlp.up"
    np.testing.assert_array_equal(found[0][1], tensors[module.format(1, "A")].T)


def test_bare_names_beside_visual_are_the_text_towers(edited):
    text = {
        C_FC.format(0, "A"): np.ones((8, 32), np.float32),
        C_FC.format(0, "B"): np.ones((128, 8), np.float32),
    }
    arrays = load_file(GOLDEN / "open_clip_gelu" / "peft_adapter" / TENSORS)
    visual = {n.replace("model.trans", "model.visual.trans"): a for n, a in arrays.items()}
    folder = edited("open_clip_gelu", settings={"auto_mapping": None}, drop=["model.trans"])
    save_file(visual | text, folder / TENSORS)
    found = factors(load_adapter(load_clip(GOLDEN / "open_clip_gelu"), folder).clip)
    assert found["text_tower.transformer.blocks.mlp.up"][2] == (0,)
    assert found["image_tower.transformer.blocks.mlp.up"][2] == (0, 1, 2)


def test_an_adapter_of_some_layers_leaves_the_others_alone(tmp_path, edited):
    adapter = load_adapter(load_clip(GOLDEN / "hf_gelu"), edited(drop=["layers.1."]))
    layer = adapter.clip.image_tower.transformer.blocks.mlp.up
    assert layer.layers == (0, 2)
    assert not layer.update()[1].any()
    whole = golden("hf_gelu").clip.image_tower.transformer.blocks.mlp.up.update()
    np.testing.assert_array_equal(layer.update()[2], whole[2])
    save_adapter(adapter.clip, tmp_path / "saved")
    assert not any(".layers.1." in name for name in load_file(tmp_path / "saved" / TENSORS))
    again = load_adapter(load_clip(GOLDEN / "hf_gelu"), tmp_path / "saved")
    assert_same_adapter(factors(adapter.clip), factors(again.clip))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("peft_type", "LOHA"),
        ("use_dora", True),
        ("bias", "all"),
        ("fan_in_fan_out", True),
        ("lora_bias", True),
        ("modules_to_save", ["visual_projection"]),
        ("rank_pattern", {"fc1": 2}),
        ("alpha_pattern", {"fc1": 2}),
        ("layer_replication", [[0, 2]]),
        ("init_lora_weights", "pissa"),
        ("trainable_token_indices", [1]),
        ("use_something_new", 3),
        ("r", 0),
        ("lora_alpha", "much"),
        ("lora_alpha", -1),
    ],
)
def test_settings_that_change_the_function_are_refused(edited, field, value):
    message = refusal(edited(settings={field: value}))
    assert CONFIG in message
    assert field.removeprefix("lora_") in message


def test_settings_that_change_nothing_are_fine(edited):
    settings = {
        "init_lora_weights": False,
        "task_type": "FEATURE_EXTRACTION",
        "lora_dropout": 0,
        "use_something_new": False,
        "target_modules": "some.*|expression",
        "layers_to_transform": [0, 1, 2],
    }
    adapter = load_adapter(load_clip(GOLDEN / "hf_gelu"), edited(settings=settings))
    assert adapter.config.dropout == 0.0


def test_all_bad_tensors_are_named_at_once(edited):
    wrong = {
        FC1.format(0, "A"): np.full((4, 64), np.nan, np.float32),
        FC1.format(1, "A"): np.zeros((5, 64), np.float32),
        FC1.format(2, "A").replace("lora_A.weight", "lora_magnitude_vector"): np.zeros(
            64, np.float32
        ),
        FC1.format(0, "B").replace("fc1", "fc3"): np.zeros((4, 64), np.float32),
    }
    message = refusal(edited(tensors=wrong, drop=[FC1.format(2, "B")]))
    assert TENSORS in message
    for part in (
        "missing: base_model.model.encoder.layers.2.mlp.fc1.lora_B.weight",
        "layers.2.mlp.fc1.lora_magnitude_vector",
        "layers.0.mlp.fc3.lora_B.weight",
        "layers.1.mlp.fc1.lora_A.weight (5, 64) for (4, 64)",
        "not finite: base_model.model.encoder.layers.0.mlp.fc1.lora_A.weight",
    ):
        assert part in message


def test_one_factor_under_two_names_is_refused(edited):
    twin = FC1.format(0, "A").replace("model.encoder", "model.vision_model.encoder")
    message = refusal(edited(tensors={twin: np.zeros((4, 64), np.float32)}))
    assert f"unexpected: {twin}" in message


def test_an_adapter_of_something_else_is_refused(edited):
    folder = edited(rename=lambda name: name.replace("encoder", "decoder"))
    assert "holds no LoRA of a CLIP" in refusal(folder)


def test_another_architecture_is_refused(edited):
    deeper = {
        FC1.format(3, "A"): np.zeros((4, 64), np.float32),
        FC1.format(3, "B"): np.zeros((256, 4), np.float32),
    }
    wider = {
        FC1.format(layer, factor): np.zeros(shape, np.float32)
        for layer in range(3)
        for factor, shape in (("A", (4, 96)), ("B", (384, 4)))
    }
    message = refusal(edited(tensors=wider | deeper, drop=["layers.3.mlp.fc1.lora_B"]))
    assert "another architecture" in message
    assert "block 3 of the image_tower, which has 3 blocks" in message
    assert "width 384 where image_tower.transformer.blocks.mlp.up has 256" in message


def test_missing_files_and_pickles_are_refused(edited):
    folder = edited()
    (folder / TENSORS).rename(folder / "adapter_model.bin")
    assert "pickle" in refusal(folder)
    (folder / "adapter_model.bin").unlink()
    assert f"{TENSORS} is missing" in refusal(folder)
    (folder / CONFIG).unlink()
    assert f"{CONFIG} is missing" in refusal(folder)


def test_truncated_file_is_refused(edited):
    folder = edited()
    content = (folder / TENSORS).read_bytes()
    (folder / TENSORS).write_bytes(content[:-1])
    assert "cannot be read as safetensors" in refusal(folder)


def test_a_flipped_bit_is_refused_by_name(tmp_path):
    save_adapter(golden("hf_gelu").clip, tmp_path)
    content = bytearray((tmp_path / TENSORS).read_bytes())
    content[-1] ^= 1
    (tmp_path / TENSORS).write_bytes(content)
    message = refusal(tmp_path)
    assert "is damaged" in message
    assert message.count("lora_") == 1


def test_open_clip_cannot_express_attention_or_text(tmp_path):
    with pytest.raises(InputError, match=r"image_tower.*attention\.query"):
        save_adapter(golden("hf_gelu").clip, tmp_path / "saved", layout="open_clip")
    clip = add_adapter(load_clip(GOLDEN / "hf_gelu"), LoRAConfig(targets=".*up"), nnx.Rngs(0))
    with pytest.raises(InputError, match=r"text_tower.*mlp\.up"):
        save_adapter(clip, tmp_path / "saved", layout="open_clip")
    assert not (tmp_path / "saved").exists()


def test_saving_refuses_to_overwrite_or_to_write_what_is_not_finite(tmp_path):
    clip = golden("hf_gelu").clip
    save_adapter(clip, tmp_path)
    with pytest.raises(InputError, match="holds an adapter already"):
        save_adapter(clip, tmp_path)
    factor = clip.image_tower.transformer.blocks.mlp.up.lora_a
    factor[...] = factor[...].at[0, 0, 0].set(np.inf)
    with pytest.raises(InputError, match=r"layers\.0\.mlp\.fc1\.lora_A\.weight is not finite"):
        save_adapter(clip, tmp_path / "other")


def test_mistakes_of_the_caller():
    with pytest.raises(ValueError, match="has an adapter already"):
        load_adapter(golden("hf_gelu").clip, GOLDEN / "hf_gelu" / "peft_adapter")
    with pytest.raises(ValueError, match="no adapter to be saved"):
        save_adapter(load_clip(GOLDEN / "hf_gelu"), "nowhere")


def test_five_steps_of_training_equal_pytorch(tmp_path):
    arrays = np.load(GOLDEN / "lora_training" / "expected.npz")
    optimizer = optax.adamw(
        float(arrays["learning_rate"]), weight_decay=float(arrays["weight_decay"])
    )
    graph, state, frozen = init_state(
        golden("open_clip_gelu").clip, optimizer, jax.random.key(0), nnx.LoRAParam
    )

    def loss(trainable, frozen, batch, _):
        clip = nnx.merge(graph, trainable, frozen)
        images = jnp.concatenate([batch["original"], batch["shifted"]])
        embeddings = clip.encode_image(images.transpose(0, 2, 3, 1))
        embeddings /= jnp.linalg.norm(embeddings, axis=-1, keepdims=True)
        texts = jnp.concatenate([batch["text_embeds"]] * 2)
        original, shifted = jnp.split(100 * (embeddings * texts).sum(-1), 2)
        return stability_loss(shifted, original, batch["frozen_scores"], batch["lam"]), {}

    names = ("original", "shifted", "text_embeds", "frozen_scores", "lam")
    batch = {name: jnp.asarray(arrays[name], jnp.float32) for name in names}
    step = jax.jit(make_train_step(loss, optimizer, max_gradient_norm=float(arrays["clip_norm"])))
    losses, norms = [], []
    for _ in range(len(arrays["losses"])):
        state, metrics = step(state, frozen, batch)
        losses.append(metrics["loss"])
        norms.append(metrics["gradient_norm"])
    np.testing.assert_allclose(losses, arrays["losses"], rtol=1e-4)
    np.testing.assert_allclose(norms, arrays["gradient_norms"], rtol=1e-3)
    trained = nnx.merge(graph, state.trainable, frozen)
    save_adapter(trained, tmp_path / "after", layout="open_clip")
    ours = load_file(tmp_path / "after" / TENSORS)
    theirs = load_file(GOLDEN / "lora_training" / "adapter_after" / TENSORS)
    assert ours.keys() == theirs.keys()
    for name in ours:
        np.testing.assert_allclose(ours[name], theirs[name], atol=1e-5, err_msg=name)


def test_defaults_are_those_of_peft(edited):
    absent = ("r", "lora_alpha", "lora_dropout", "use_rslora")
    folder = edited(settings=dict.fromkeys(absent))
    config, _ = read_peft_config(folder / "adapter_config.json")
    found = config.rank, config.alpha, config.dropout, config.use_rslora
    assert found == (8, 8.0, 0.0, False)
    assert config.scale == 1.0


def test_the_scale_is_alpha_over_the_rank(edited):
    adapter = load_adapter(load_clip(GOLDEN / "hf_gelu"), edited(settings={"lora_alpha": None}))
    assert {layer.config.scale for layer in adapted_layers(adapter.clip).values()} == {8 / 4}
    assert LoRAConfig(rank=16, alpha=4.0).scale == 0.25
    assert LoRAConfig(rank=16, alpha=4.0, use_rslora=True).scale == 1.0
