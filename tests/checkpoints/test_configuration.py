"""Configurations of both libraries: what loads, and what is refused by name."""

import dataclasses
import json

import pytest

from jclip.checkpoints import ImageConfig, describe_checkpoint
from jclip.checkpoints.open_clip import read_config as read_open_clip
from jclip.checkpoints.preprocessing import (
    read_open_clip_preprocessing,
    read_transformers_preprocessing,
    transformers_preprocessing,
)
from jclip.checkpoints.transformers import config_values
from jclip.checkpoints.transformers import read_config as read_transformers
from jclip.errors import InputError
from jclip.images import CLIP_MEAN, CLIP_STD
from jclip.models import ARCHITECTURES, CLIPConfig, TextConfig, VisionConfig


def open_clip(vision=None, text=None, **top):
    """ViT-bigG-14 as open_clip describes it, with changes."""
    return {
        "embed_dim": 1280,
        "vision_cfg": {
            "image_size": 224,
            "layers": 48,
            "width": 1664,
            "head_width": 104,
            "mlp_ratio": 4.9231,
            "patch_size": 14,
        }
        | (vision or {}),
        "text_cfg": {
            "context_length": 77,
            "vocab_size": 49408,
            "width": 1280,
            "heads": 20,
            "layers": 32,
        }
        | (text or {}),
    } | top


def transformers(vision=None, text=None, **top):
    """ViT-B-32 as old versions of transformers describe it, with changes."""
    legacy = {"bad_words_ids": None, "num_beams": 1, "is_decoder": False, "pruned_heads": {}}
    return {
        "model_type": "clip",
        "projection_dim": 512,
        "logit_scale_init_value": 2.6592,
        "torch_dtype": "float32",
        "text_config": {"model_type": "clip_text_model", "eos_token_id": 2, "hidden_act": "gelu"}
        | legacy
        | (text or {}),
        "vision_config": {"hidden_act": "gelu", "projection_dim": 7} | legacy | (vision or {}),
    } | top


def test_big_g():
    assert read_open_clip(open_clip(), "file") == ARCHITECTURES["ViT-bigG-14"]


def test_vit_b_32_of_transformers():
    assert read_transformers(transformers(), "file") == ARCHITECTURES["ViT-B-32"]


@pytest.mark.parametrize(
    ("top", "arguments", "activation"),
    [
        ({}, None, "gelu"),
        ({}, {"approximate": "none"}, "gelu"),
        ({}, {"approximate": "tanh"}, "gelu_tanh"),
        ({"quick_gelu": True}, None, "quick_gelu"),
    ],
)
def test_open_clip_activations(top, arguments, activation):
    config = read_open_clip(
        open_clip({"act_kwargs": arguments}, {"act_kwargs": arguments}, **top), "file"
    )
    assert config.vision.activation == config.text.activation == activation


def test_open_clip_towers_may_differ():
    config = read_open_clip(open_clip({"ls_init_value": 0.1, "norm_kwargs": {"eps": 1e-6}}), "file")
    assert (config.vision.layer_scale, config.text.layer_scale) == (True, False)
    assert (config.vision.norm_epsilon, config.text.norm_epsilon) == (1e-6, 1e-5)
    assert config.text.end_of_text is None


def test_supported_values_and_nulls_are_fine():
    vision = {"timm_model_name": None, "pool_type": "tok", "no_ln_pre": False, "patch_dropout": 0.5}
    text = {"hf_model_name": None, "pool_type": "argmax", "proj_type": "linear", "pad_id": 0}
    config = read_open_clip(open_clip(vision, text, custom_text=True), "file")
    assert config == ARCHITECTURES["ViT-bigG-14"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"vision": {"timm_model_name": "vit_x"}}, "vision_cfg.timm_model_name = 'vit_x'"),
        ({"vision": {"attentional_pool": True}}, "vision_cfg.attentional_pool = True"),
        ({"vision": {"pool_type": "none"}}, "vision_cfg.pool_type = 'none'"),
        ({"text": {"pool_type": "mean"}}, "text_cfg.pool_type = 'mean'"),
        ({"text": {"embed_cls": True}}, "text_cfg.embed_cls = True"),
        ({"text": {"proj_type": "mlp"}}, "text_cfg.proj_type = 'mlp'"),
        ({"text": {"proj_type": "none"}, "embed_dim": 99}, "text_cfg.proj_type = 'none'"),
        ({"vision": {"qk_norm": True}}, "vision_cfg.qk_norm = True"),
        ({"text": {"scale_fc": True}}, "text_cfg.scale_fc = True"),
        ({"vision": {"block_type": "custom"}}, "vision_cfg.block_type = 'custom'"),
        ({"vision": {"image_size": [224, 448]}}, "vision_cfg.image_size = [224, 448]"),
        ({"vision": {"head_width": 90}}, "vision_cfg.head_width = 90"),
        ({"vision": {"act_kwargs": {"approximate": "x"}}}, "vision_cfg.act_kwargs.approximate"),
        ({"text": {"norm_kwargs": {"bias": False}}}, "text_cfg.norm_kwargs.bias = False"),
        ({"vision": {"brand_new": 1}}, "vision_cfg.brand_new = 1 (unknown field)"),
        ({"embed_dim": None}, "model_cfg.embed_dim"),
        ({"quick_gelu": "yes"}, "model_cfg.quick_gelu = 'yes'"),
    ],
)
def test_open_clip_refuses_by_name(changes, field):
    with pytest.raises(InputError) as caught:
        read_open_clip(open_clip(**changes), "some/open_clip_config.json")
    assert field in str(caught.value)
    assert str(caught.value).startswith("some/open_clip_config.json")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"model_type": "siglip"}, "model_type = 'siglip'"),
        ({"vision": {"hidden_act": "swish"}}, "vision_config.hidden_act = 'swish'"),
        ({"text": {"hidden_act": None, "is_decoder": True}}, "text_config.is_decoder = True"),
        ({"vision": {"num_channels": 4}}, "vision_config.num_channels = 4"),
        ({"vision": {"hidden_size": "big"}}, "vision_config.hidden_size = 'big'"),
        ({"vision": {"num_attention_heads": 7}}, "vision_config.num_attention_heads = 7"),
        ({"text": {"eos_token_id": [1, 2]}}, "text_config.eos_token_id = [1, 2]"),
        ({"text": {"eos_token_id": 50000}}, "text_config.eos_token_id = 50000"),
        ({"text": {"use_rope": True}}, "text_config.use_rope = True (unknown field)"),
        ({"brand_new": 0}, "brand_new = 0 (unknown field)"),
    ],
)
def test_transformers_refuses_by_name(changes, field):
    with pytest.raises(InputError) as caught:
        read_transformers(transformers(**changes), "some/config.json")
    assert field in str(caught.value)


def test_every_refused_field_is_named_at_once():
    with pytest.raises(InputError) as caught:
        read_open_clip(open_clip({"qk_norm": True}, {"embed_cls": True}, x=1), "file")
    for field in ("vision_cfg.qk_norm", "text_cfg.embed_cls", "model_cfg.x"):
        assert field in str(caught.value)


def test_transformers_towers_may_differ_and_older_copies_win():
    config = read_transformers(
        transformers({"hidden_act": "quick_gelu"}, {"num_hidden_layers": 3}), "file"
    )
    assert (config.vision.activation, config.text.activation) == ("quick_gelu", "gelu")
    assert config.text.layers == 3
    older = {"hidden_size": 640, "num_attention_heads": 10}
    config = read_transformers(
        transformers(text={"num_hidden_layers": 3}, text_config_dict=older), "file"
    )
    # As in that library, the older copy is completed by the defaults before it wins.
    assert (config.text.width, config.text.layers) == (640, 12)
    assert (config.text.activation, config.text.end_of_text) == ("quick_gelu", 49407)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_written_configuration_reads_back(name):
    for activation in ("gelu", "quick_gelu", "gelu_tanh"):
        config = ARCHITECTURES[name].with_activation(activation)
        values = json.loads(json.dumps(config_values(config, "float32")))
        assert read_transformers(values, "file") == config


def test_open_clip_preprocessing():
    half = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}
    assert read_open_clip_preprocessing(half, 224, "file") == ImageConfig(
        size=224, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)
    )
    modes = {"shortest": "crop", "squash": "squash", "longest": "pad"}
    for mode, fit in modes.items():
        config = read_open_clip_preprocessing({"resize_mode": mode}, 336, "file")
        assert config == ImageConfig(size=336, fit=fit)
        assert (config.mean, config.std) == (CLIP_MEAN, CLIP_STD)
    for name, stored in {"bilinear": "bilinear", "random": "bicubic"}.items():
        config = read_open_clip_preprocessing({"interpolation": name}, 224, "file")
        assert config.interpolation == stored


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"resize_mode": "fisheye"}, "preprocess_cfg.resize_mode = 'fisheye'"),
        ({"interpolation": "nearest"}, "preprocess_cfg.interpolation = 'nearest'"),
        ({"mean": [0.5]}, "preprocess_cfg.mean"),
        ({"fill_color": 127}, "preprocess_cfg.fill_color = 127"),
        ({"gamma": 2}, "preprocess_cfg.gamma = 2 (unknown field)"),
    ],
)
def test_open_clip_preprocessing_refuses_by_name(values, field):
    with pytest.raises(InputError) as caught:
        read_open_clip_preprocessing(values, 224, "file")
    assert field in str(caught.value)


def processor(**changes):
    return transformers_preprocessing(ImageConfig(size=224)) | changes


@pytest.mark.parametrize(
    "config",
    [
        ImageConfig(size=224),
        ImageConfig(size=336, mean=(0.5, 0.5, 0.5), fit="squash", interpolation="bilinear"),
    ],
)
def test_transformers_preprocessing_reads_back(tmp_path, config):
    values = transformers_preprocessing(config)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(values))
    assert read_transformers_preprocessing(tmp_path, config.size) == config
    (tmp_path / "preprocessor_config.json").unlink()
    assert read_transformers_preprocessing(tmp_path, config.size) is None
    (tmp_path / "processor_config.json").write_text(json.dumps({"image_processor": values}))
    assert read_transformers_preprocessing(tmp_path, config.size) == config


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"resample": 1}, "resample = 1"),
        ({"size": {"shortest_edge": 256}}, "size = {'shortest_edge': 256}"),
        ({"crop_size": 200}, "crop_size = 200"),
        ({"do_center_crop": False}, "do_center_crop = False"),
        ({"do_normalize": False}, "do_normalize = False"),
        ({"rescale_factor": 1.0}, "rescale_factor = 1.0"),
        ({"do_sharpen": True}, "do_sharpen = True (unknown field)"),
    ],
)
def test_transformers_preprocessing_refuses_by_name(tmp_path, changes, field):
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(processor(**changes)))
    with pytest.raises(InputError) as caught:
        read_transformers_preprocessing(tmp_path, 224)
    assert field in str(caught.value)


def test_missing_preprocessing_is_clips_and_said(copy_golden):
    folder = copy_golden("hf_gelu")
    assert describe_checkpoint(folder).identity.notices == ()
    (folder / "preprocessor_config.json").unlink()
    description = describe_checkpoint(folder)
    assert description.image_config == ImageConfig(size=64)
    assert "does not say how images are prepared" in description.identity.notices[0]


def test_broken_json_is_named(copy_golden):
    folder = copy_golden("hf_gelu")
    (folder / "config.json").write_text("{")
    with pytest.raises(InputError, match=r"config\.json is not JSON"):
        describe_checkpoint(folder)
    (folder / "config.json").write_text("[]")
    with pytest.raises(InputError, match="not a JSON object"):
        describe_checkpoint(folder)


def test_open_clip_defaults_are_the_library_s():
    """`CLIPVisionCfg` and `CLIPTextCfg` of open_clip, field by field."""
    config = read_open_clip({"embed_dim": 640, "vision_cfg": {}, "text_cfg": {}}, "file")
    tower = {"layers": 12, "activation": "gelu", "layer_scale": False, "norm_epsilon": 1e-5}
    vision = VisionConfig(
        width=768, heads=12, mlp_width=3072, image_size=224, patch_size=16, **tower
    )
    text = TextConfig(
        width=512,
        heads=8,
        mlp_width=2048,
        context_length=77,
        vocabulary_size=49408,
        end_of_text=None,
        **tower,
    )
    assert config == CLIPConfig(vision=vision, text=text, embedding_width=640)
    wider = read_open_clip(
        {"embed_dim": 640, "vision_cfg": {"width": 1024}, "text_cfg": {"width": 256}}, "file"
    )
    assert (wider.vision.heads, wider.vision.mlp_width) == (16, 4096)
    assert (wider.text.heads, wider.text.mlp_width) == (8, 1024)


def test_transformers_defaults_are_the_library_s():
    """`CLIPConfig`, `CLIPVisionConfig` and `CLIPTextConfig` of transformers, field by field."""
    tower = {"layers": 12, "activation": "quick_gelu", "layer_scale": False, "norm_epsilon": 1e-5}
    expected = CLIPConfig(
        vision=VisionConfig(
            width=768, heads=12, mlp_width=3072, image_size=224, patch_size=32, **tower
        ),
        text=TextConfig(
            width=512,
            heads=8,
            mlp_width=2048,
            context_length=77,
            vocabulary_size=49408,
            end_of_text=49407,
            **tower,
        ),
        embedding_width=512,
    )
    assert read_transformers({"model_type": "clip"}, "file") == expected
    # An older copy is completed by the same defaults, whatever stands in the newer one.
    other = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    other |= {"intermediate_size": 96, "hidden_act": "gelu", "layer_norm_eps": 1e-6}
    values = {
        "model_type": "clip",
        "text_config": other | {"vocab_size": 99, "max_position_embeddings": 7, "eos_token_id": 5},
        "text_config_dict": {"hidden_size": 640, "num_attention_heads": 10},
        "vision_config": other | {"image_size": 64, "patch_size": 8},
        "vision_config_dict": {"patch_size": 16},
    }
    found = read_transformers(values, "file")
    assert found.text == dataclasses.replace(expected.text, width=640, heads=10)
    assert found.vision == dataclasses.replace(expected.vision, patch_size=16)


@pytest.mark.parametrize(
    ("name", "vision", "text", "image", "patch"),
    [
        # Width, layers, heads and width of the MLP, as in OpenAI's and open_clip's model configs.
        ("ViT-B-32", (768, 12, 12, 3072), (512, 12, 8, 2048), 224, 32),
        ("ViT-B-16", (768, 12, 12, 3072), (512, 12, 8, 2048), 224, 16),
        ("ViT-L-14", (1024, 24, 16, 4096), (768, 12, 12, 3072), 224, 14),
        ("ViT-L-14-336", (1024, 24, 16, 4096), (768, 12, 12, 3072), 336, 14),
        ("ViT-H-14", (1280, 32, 16, 5120), (1024, 24, 16, 4096), 224, 14),
        ("ViT-bigG-14", (1664, 48, 16, 8192), (1280, 32, 20, 5120), 224, 14),
    ],
)
def test_architectures_are_those_of_the_libraries(name, vision, text, image, patch):
    config = ARCHITECTURES[name]
    for tower, expected in ((config.vision, vision), (config.text, text)):
        assert (tower.width, tower.layers, tower.heads, tower.mlp_width) == expected
        assert (tower.activation, tower.norm_epsilon, tower.layer_scale) == ("gelu", 1e-5, False)
    assert (config.vision.image_size, config.vision.patch_size) == (image, patch)
    assert config.vision.tokens == (image // patch) ** 2 + 1
    assert (config.text.context_length, config.text.vocabulary_size) == (77, 49408)
    assert config.text.end_of_text is None
    assert config.embedding_width == text[0]


def test_preparation_by_default_is_openai_s(tmp_path):
    (tmp_path / "preprocessor_config.json").write_text("{}")
    for config in (
        ImageConfig(size=224),
        read_open_clip_preprocessing({}, 224, "file"),
        read_transformers_preprocessing(tmp_path, 224),
    ):
        assert config.mean == (0.48145466, 0.4578275, 0.40821073)
        assert config.std == (0.26862954, 0.26130258, 0.27577711)
        assert (config.size, config.interpolation, config.fit) == (224, "bicubic", "crop")


def test_preparation_is_read_channel_by_channel(tmp_path):
    mean, std = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)
    expected = ImageConfig(size=32, mean=mean, std=std, interpolation="bilinear", fit="squash")
    values = {"mean": list(mean), "std": list(std), "interpolation": "bilinear"}
    values |= {"resize_mode": "squash", "size": 99}
    assert read_open_clip_preprocessing(values, 32, "file") == expected
    stored = {
        "image_mean": list(mean),
        "image_std": list(std),
        "resample": 2,
        "size": {"height": 32, "width": 32},
        "do_center_crop": False,
    }
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(stored))
    assert read_transformers_preprocessing(tmp_path, 32) == expected
