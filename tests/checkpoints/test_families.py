"""Which families are read, which are refused by name, and fields that contradict the tensors."""

import json
import re
import shutil
from pathlib import Path

import pytest

from jclip.checkpoints import describe_checkpoint, load_checkpoint
from jclip.checkpoints.checkpoint import check_weights
from jclip.checkpoints.open_clip import read_config
from jclip.errors import InputError

GOLDEN = Path(__file__).parents[1] / "golden"


def open_clip(vision=None, text=None, **top):
    towers = {"vision_cfg": vision or {}, "text_cfg": text or {}}
    return {"embed_dim": 768, "custom_text": True} | towers | top


def trunk(name, text=None, **vision):
    return open_clip({"timm_model_name": name} | vision, text)


@pytest.mark.parametrize(
    ("values", "family"),
    [
        (open_clip({"layers": [3, 4, 6, 3]}), "ResNet"),
        (open_clip(multimodal_cfg={"layers": 2}), "CoCa"),
        (trunk("convnext_base"), "ConvNeXt"),
        (trunk("vitamin_large_256"), "ViTamin"),
        (trunk("fastvit_mci2"), "FastViT (MobileCLIP)"),
        (trunk("vit_base_mci_224"), "ViT with a convolutional stem (MobileCLIP)"),
        (trunk("eva_giant_patch14_224"), "EVA-01"),
        (trunk("eva02_enormous_patch14_clip_224"), "EVA-02 enormous"),
        (open_clip(text={"hf_model_name": "roberta-base"}), "text tower roberta-base"),
        (
            trunk("vit_base_patch16_siglip_384", {"hf_model_name": "facebook/nllb"}),
            "text tower facebook/nllb",
        ),
    ],
)
def test_unsupported_families_are_named_in_one_line(values, family):
    with pytest.raises(InputError) as caught:
        read_config(values, "some/file")
    assert str(caught.value).startswith(f"some/file describes a {family}, a family that is not")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        (trunk("vit_base_patch16_siglip_gap_224"), "timm_model_name = 'vit_base_patch16_siglip_g"),
        (trunk("vit_large_patch14_clip_224"), "timm_model_name = 'vit_large_patch14_clip_224'"),
        (trunk("vit_base_patch16_siglip_224", timm_pool="avg"), "timm_pool = 'avg'"),
        (trunk("vit_base_patch16_siglip_224", timm_proj="linear"), "timm_proj = 'linear'"),
        (trunk("vit_large_patch16_siglip_256"), "embed_dim is 768, not its width"),
        (trunk("vit_pe_core_base_patch16_224", new=1), "vision_cfg.new = 1 (unknown field)"),
    ],
)
def test_trunks_that_differ_are_refused_by_name(values, field):
    with pytest.raises(InputError, match=re.escape(field)):
        read_config(values, "file")


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("vit_base_patch16_siglip_224", (768, 12, 12, 3072, 14)),
        ("eva02_base_patch16_clip_224", (768, 12, 12, 2048, 14)),
        ("eva02_large_patch14_clip_336", (1024, 24, 16, 2730, 24)),
        ("vit_pe_core_gigantic_patch14_448", (1536, 50, 16, 8960, 32)),
        ("vit_pe_core_tiny_patch16_384", (192, 12, 3, 768, 24)),
    ],
)
def test_sizes_follow_the_name_where_tensors_are_not_at_hand(name, sizes):
    vision = read_config(trunk(name, timm_pool=None), "file").vision
    found = vision.width, vision.layers, vision.heads, vision.mlp_width, vision.grid
    assert found == sizes
    if "gigantic" in name:
        assert (vision.rotary.start, vision.class_token, vision.pool_mlp_width) == (0, False, 6144)


def changed(tmp_path, name, change):
    """A golden checkpoint whose configuration is changed by a function."""
    folder = Path(shutil.copytree(GOLDEN / name, tmp_path / name))
    path = next(
        folder / f for f in ("config.json", "open_clip_config.json") if (folder / f).exists()
    )
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))
    return folder


@pytest.mark.parametrize(
    ("name", "path", "value", "named"),
    [
        ("siglip", "vision_config.patch_size", 24, "vision_config.patch_size = 24"),
        ("siglip", "vision_config.image_size", 64, "vision_config.image_size in patches = 16"),
        ("siglip", "vision_config.intermediate_size", 9, "vision_config.intermediate_size = 9"),
        ("siglip", "text_config.vocab_size", 300, "text_config.vocab_size = 300"),
        ("siglip", "text_config.projection_size", 24, "text_config.projection_size = 24"),
        ("siglip", "text_config.num_hidden_layers", 3, "layers.2."),
        ("siglip", "vision_config.vision_use_head", False, "vision_use_head = False"),
        ("siglip", "text_config.use_rope", True, "text_config.use_rope = True (unknown field)"),
        ("siglip2_naflex", "vision_config.num_patches", 60, "num_patches = 60 (a square"),
        ("siglip2_naflex", "vision_config.num_patches", 81, "num_patches in patches = 81"),
        ("open_clip_pe_core", "model_cfg.vision_cfg.image_size", 48, "image_size = 48"),
        ("open_clip_siglip2", "model_cfg.text_cfg.context_length", 32, "positional_embedding"),
    ],
)
def test_a_field_that_contradicts_a_tensor_is_named(tmp_path, name, path, value, named):
    def change(values):
        *parents, last = path.split(".")
        for parent in parents:
            values = values[parent]
        values[last] = value

    folder = changed(tmp_path, name, change)
    with pytest.raises(InputError) as caught:
        load_checkpoint(folder)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


CONFIGURATIONS = ("config.json", "open_clip_config.json", "preprocessor_config.json")
GONE = object()


def every_field(values, before=()):
    for name, value in values.items():
        yield (*before, name)
        if isinstance(value, dict):
            yield from every_field(value, (*before, name))


def altered(values, path, value):
    found = place = json.loads(json.dumps(values))
    for name in path[:-1]:
        place = place[name]
    if value is GONE:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return found


@pytest.mark.parametrize(
    "name",
    [
        "siglip",
        "siglip2_naflex",
        "fgclip1",
        "open_clip_flags",
        "open_clip_siglip2",
        "open_clip_eva02",
    ],
)
def test_every_field_of_every_file_may_be_wrong(tmp_path, name):
    """Gone or senseless: the checkpoint is read, or refused in one line that names the file."""
    folder = Path(shutil.copytree(GOLDEN / name, tmp_path / name))
    own, refused = describe_checkpoint(folder).config, 0
    for path in (folder / file for file in CONFIGURATIONS if (folder / file).exists()):
        text = path.read_text()
        for field in every_field(json.loads(text)):
            for value in (GONE, None, 7, -1, 10**400, "x", [1, 2], {"a": 1}):
                path.write_text(json.dumps(altered(json.loads(text), field, value)))
                try:
                    described = describe_checkpoint(folder)
                    # Deleting alone stands for others, as networks take long to make.
                    if value is GONE and described.config != own:
                        check_weights(described)
                except InputError as error:
                    assert str(folder) in str(error) and "\n" not in str(error)
                    refused += 1
        path.write_text(text)
    assert refused > 50


def test_a_sparse_configuration_is_completed_as_the_library_does():
    config = describe_checkpoint(GOLDEN / "siglip2_fixed").config
    assert (config.vision.heads, config.vision.patch_size, config.text.context_length) == (
        12,
        16,
        64,
    )
    assert config.vision.norm_epsilon == config.text.norm_epsilon == 1e-6


def test_a_checkpoint_that_says_nothing_of_pictures(tmp_path):
    folder = Path(shutil.copytree(GOLDEN / "siglip2_naflex", tmp_path / "x"))
    (folder / "preprocessor_config.json").unlink()
    found = describe_checkpoint(folder)
    assert found.image_config.fit == "native"
    assert "does not say how images are prepared" in found.identity.notices[0]
