"""Networks beyond CLIP embed as the libraries do that they come from."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from PIL import Image

from jclip.adapters.lora import LoRAConfig, adapted_layers, add_adapter
from jclip.checkpoints import load_checkpoint, save_clip
from jclip.errors import InputError
from jclip.files.json_files import read_json
from jclip.images import preprocess
from jclip.models import cut_after_end_of_text

GOLDEN = Path(__file__).parents[1] / "golden"
PICTURES = GOLDEN / "tower_pictures"
# What `vision_last_hidden` is: what leaves the last block, or that after the final norm.
BEFORE_NORM = ("metaclip_2", "open_clip_clipa", "open_clip_flags")
AFTER_NORM = (
    "siglip",
    "siglip2_fixed",
    "open_clip_siglip2",
    "open_clip_siglip2_gopt",
    "open_clip_pe_core",
    "open_clip_eva02",
)


@functools.cache
def checkpoint(name):
    return load_checkpoint(GOLDEN / name)


def expected(name):
    return dict(np.load(GOLDEN / name / "expected.npz"))


def deviation(actual, wanted):
    return np.abs(np.asarray(actual) - np.asarray(wanted)).max()


def jitted(name, function, *arrays):
    """`function(clip, *arrays)` under jit."""
    graph, state = nnx.split(checkpoint(name).clip)
    program = jax.jit(lambda state, *inputs: function(nnx.merge(graph, state), *inputs))
    return program(state, *arrays)


def logits(name, images, texts):
    clip = checkpoint(name).clip
    images, texts = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (images, texts))
    bias = 0 if clip.logit_bias is None else clip.logit_bias[...]
    return np.exp(clip.logit_scale[...]) * (images @ texts.T) + bias


@pytest.mark.parametrize("name", [*BEFORE_NORM, *AFTER_NORM])
def test_towers_equal_the_library(name):
    arrays = expected(name)
    pixels = arrays["pixels"].transpose(0, 2, 3, 1)
    ids = arrays["input_ids"].astype(np.int32)

    def every(clip, pixels, ids):
        image, seen = clip.encode_image(pixels, return_intermediates=True)
        text, read = clip.encode_text(ids, return_intermediates=True)
        hidden = seen["blocks"][-1]
        if name in AFTER_NORM:
            hidden = clip.image_tower.post_norm(hidden)
        states = hidden, clip.text_tower.post_norm(read["blocks"][-1])
        return (image, text), (clip.encode_image(pixels), clip.encode_text(ids)), states

    slow, fast, states = jitted(name, every, pixels, ids)
    for image, text in (slow, fast):
        assert deviation(image, arrays["image_embeds"]) < 1e-5
        assert deviation(text, arrays["text_embeds"]) < 1e-5
        assert deviation(logits(name, image, text), arrays["logits_per_image"]) < 1e-5
    assert deviation(states[0], arrays["vision_last_hidden"]) < 1e-4
    assert deviation(states[1], arrays["text_last_hidden"]) < 1e-4
    heads = arrays.get("heads")
    if heads is not None:
        config = checkpoint(name).clip.config
        assert (config.vision.heads, config.text.heads) == tuple(heads)


@pytest.mark.parametrize(
    ("name", "activations"),
    [
        ("siglip", ("gelu_tanh", "gelu_tanh")),
        ("open_clip_siglip2", ("gelu", "gelu_tanh")),
        ("open_clip_siglip2_gopt", ("gelu_tanh", "gelu_tanh")),
        ("open_clip_pe_core", ("gelu", "gelu")),
        ("open_clip_eva02", ("silu", "gelu")),
    ],
)
def test_activations_follow_layout_and_name(name, activations):
    config = checkpoint(name).clip.config
    assert (config.vision.activation, config.text.activation) == activations


def test_bidirectional_texts_are_not_cut():
    ids = expected("siglip")["input_ids"].astype(np.int32)
    assert cut_after_end_of_text(ids, checkpoint("siglip").clip.config.text) is ids
    ids = expected("metaclip_2")["input_ids"].astype(np.int32)[:1]
    assert cut_after_end_of_text(ids, checkpoint("metaclip_2").clip.config.text).shape[1] < 77


@pytest.mark.parametrize("name", ["siglip", "siglip2_fixed"])
def test_pictures_are_squashed_as_the_processor_does(name):
    arrays = np.load(GOLDEN / name / "preprocess_expected.npz")
    config = checkpoint(name).image_config
    assert (config.fit, config.mean) == ("squash", (0.5, 0.5, 0.5))
    assert config.interpolation == {"siglip": "bicubic", "siglip2_fixed": "bilinear"}[name]
    for picture, wanted in zip(arrays["pictures"], arrays["pixels_pil"], strict=True):
        image = np.asarray(Image.open(PICTURES / str(picture)).convert("RGB"))[None]
        how = config.fit, config.mean, config.std, config.interpolation
        found = preprocess(image, config.size, *how)
        # Half a 255th of a level: both scale to -1 .. 1, in another order of rounding.
        assert deviation(found[0], wanted.transpose(1, 2, 0)) < 1e-6


def test_fgclip_1_knows_three_kinds_of_texts_and_dense_features():
    arrays = expected("fgclip1")
    pixels = arrays["pixels"].transpose(0, 2, 3, 1)
    image, kept = jitted(
        "fgclip1", lambda clip, x: clip.encode_image(x, return_intermediates=True), pixels
    )
    assert deviation(image, arrays["image_embeds"]) < 1e-5
    assert deviation(kept["dense"], arrays["dense_features"]) < 1e-5
    short, long = (arrays[f"{kind}_input_ids"].astype(np.int32) for kind in ("short", "long"))
    kinds = {
        "short": (short, "short_text_embeds"),
        "long": (long, "long_text_embeds"),
        "box": (short, "short_positions_long_projection"),
    }
    check_kinds("fgclip1", kinds, arrays)
    assert checkpoint("fgclip1").image_config.fit == "squash"


def test_fgclip_2_has_heads_of_its_own_for_boxes_and_patches():
    arrays = expected("fgclip2")
    shapes = arrays["spatial_shapes"].astype(np.int32)
    image, kept = jitted(
        "fgclip2",
        lambda clip, x, s: clip.encode_patches(x, s, return_intermediates=True),
        arrays["pixels"],
        shapes,
    )
    there = arrays["pixel_attention_mask"].astype(bool)
    assert deviation(image, arrays["image_embeds"]) < 1e-5
    assert deviation(np.asarray(kept["dense"])[there], arrays["dense_features"][there]) < 1e-5
    short, long = (arrays[f"{kind}_input_ids"].astype(np.int32) for kind in ("short", "long"))
    kinds = {kind: (short, f"{kind}_text_embeds") for kind in ("short", "box")}
    check_kinds("fgclip2", kinds | {"long": (long, "long_text_embeds")}, arrays)
    assert (checkpoint("fgclip2").tokenizer(arrays["texts"].tolist()).ids == short).all()


def check_kinds(name, kinds, arrays):
    for kind, (ids, wanted) in kinds.items():
        found = jitted(
            name, functools.partial(lambda kind, c, x: c.encode_text(x, kind=kind), kind), ids
        )
        assert deviation(found, arrays[wanted]) < 1e-5


def test_other_towers_know_one_kind_of_text():
    with pytest.raises(ValueError, match="texts of kind 'long', but the tower knows one kind"):
        checkpoint("siglip").clip.encode_text(np.zeros((1, 64), np.int32), kind="long")
    with pytest.raises(ValueError, match="takes images of one size"):
        checkpoint("siglip").clip.encode_patches(np.zeros((1, 9, 768)), np.array([[3, 3]]))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("siglip", "siglip"),
        ("open_clip_siglip2", "siglip"),
        ("siglip2_naflex", "siglip2"),
        ("metaclip_2", "metaclip_2"),
    ],
)
def test_what_transformers_can_express_is_saved(tmp_path, name, kind):
    save_clip(tmp_path / "saved", checkpoint(name))
    saved = load_checkpoint(tmp_path / "saved")
    assert read_json(tmp_path / "saved" / "config.json")["model_type"] == kind
    ours, theirs = (
        dict(nnx.to_flat_state(nnx.state(one.clip, nnx.Param))) for one in (checkpoint(name), saved)
    )
    assert ours.keys() == theirs.keys()
    for path, leaf in ours.items():
        np.testing.assert_array_equal(leaf[...], theirs[path][...])
    assert saved.clip.config == checkpoint(name).clip.config
    assert saved.image_config == checkpoint(name).image_config
    texts = ["A Photo of_a cat.", "HTML &amp; <b>bold</b>"]
    assert (saved.tokenizer(texts).ids == checkpoint(name).tokenizer(texts).ids).all()


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("open_clip_clipa", r"pre norm \(vision tower\) cannot be expressed"),
        ("open_clip_eva02", r"key bias \(vision tower\)"),
        ("fgclip1", r"dense \(vision tower\)"),
        ("open_clip_flags", r"class token \(vision tower\)"),
    ],
)
def test_what_transformers_cannot_express_is_named(tmp_path, name, named):
    with pytest.raises(InputError, match=named):
        save_clip(tmp_path / "saved", checkpoint(name))
    assert not (tmp_path / "saved").exists()


@pytest.mark.parametrize("name", ["siglip", "open_clip_eva02"])
def test_lora_takes_them(name):
    adapted = add_adapter(checkpoint(name).clip, LoRAConfig(targets="attention"), nnx.Rngs(0))
    layers = adapted_layers(adapted)
    assert len(layers) == 4
    assert all(path.startswith("image_tower.transformer.blocks.attention") for path in layers)


def test_bfloat16_is_close():
    for name in ("siglip", "open_clip_eva02", "open_clip_pe_core"):
        arrays = expected(name)
        clip = load_checkpoint(GOLDEN / name, dtype=jnp.bfloat16).clip
        graph, state = nnx.split(clip)
        program = jax.jit(lambda s, x, graph=graph: nnx.merge(graph, s).encode_image(x))
        found = np.asarray(program(state, arrays["pixels"].transpose(0, 2, 3, 1)))
        lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(arrays["image_embeds"], axis=1)
        assert ((found * arrays["image_embeds"]).sum(axis=1) / lengths).min() > 0.9995
