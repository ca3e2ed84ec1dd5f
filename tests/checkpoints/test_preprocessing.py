"""Preprocessor files in the spellings of all years, and with values that cannot work."""

import json

import pytest

from jclip.checkpoints import ImageConfig, describe_checkpoint
from jclip.checkpoints.owl import describe_detector
from jclip.checkpoints.preprocessing import (
    read_open_clip_preprocessing,
    read_transformers_preprocessing,
)
from jclip.errors import InputError

SQUARE = {"height": 32, "width": 32}
NULLS = {"longest_edge": None, "max_height": None}


def processor(folder, **values):
    (folder / "preprocessor_config.json").write_text(json.dumps(values))
    return read_transformers_preprocessing(folder, 32)


@pytest.mark.parametrize(
    ("size", "fit"),
    [
        (32, "crop"),
        ({"shortest_edge": 32}, "crop"),
        ({"shortest_edge": 32, **NULLS, "height": None, "width": None}, "crop"),
        (None, "crop"),
        # `get_size_dict` of the library makes height and width of a list.
        ([32, 32], "squash"),
        (SQUARE, "squash"),
        (SQUARE | NULLS, "squash"),
    ],
)
@pytest.mark.parametrize("crop", [32, [32, 32], SQUARE, SQUARE | NULLS, None])
def test_spellings_of_sizes(tmp_path, size, fit, crop):
    assert processor(tmp_path, size=size, crop_size=crop) == ImageConfig(size=32, fit=fit)


def test_a_number_is_a_square_where_the_file_says_so(tmp_path):
    for square, fit in ((True, "squash"), (False, "crop"), (None, "crop")):
        assert processor(tmp_path, size=32, default_to_square=square).fit == fit


def test_nulls_and_flags_of_all_years_change_nothing(tmp_path):
    nulls = "size crop_size do_center_crop do_resize do_rescale rescale_factor do_normalize"
    nulls += " resample image_mean image_std do_convert_rgb do_pad pad_size device data_format"
    nulls += " input_data_format disable_grouping default_to_square return_tensors"
    assert processor(tmp_path, **dict.fromkeys(nulls.split())) == ImageConfig(size=32)
    flags = {"feature_extractor_type": "CLIPFeatureExtractor", "do_center_crop": True}
    assert processor(tmp_path, **flags, use_square_size=False) == ImageConfig(size=32)


def test_one_number_for_all_channels(tmp_path):
    expected = ImageConfig(size=32, mean=(0.5,) * 3, std=(0.25,) * 3)
    assert processor(tmp_path, image_mean=0.5, image_std=0.25) == expected
    values = {"mean": 0.5, "std": 0.25, "fill_color": [0, 0, 0]}
    assert read_open_clip_preprocessing(values, 32, "file") == expected


ODD = [
    ("image_mean", [123.675, 116.28, 103.53]),
    ("image_mean", [float("nan"), 0, 0]),
    ("image_mean", [-0.1, 0.5, 0.5]),
    ("image_mean", [0.5, 0.5]),
    ("image_mean", [True, True, True]),
    ("image_mean", "0.5"),
    ("image_mean", ["0.5"] * 3),
    ("image_mean", {"r": 1}),
    ("image_std", [0, 0, 0]),
    ("image_std", 0),
    ("image_std", [float("inf")] * 3),
    ("image_std", [58.4, 57.1, 57.4]),
    ("image_std", [0.2, 0.2, 10**400]),
]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *ODD,
        ("resample", [3]),
        ("resample", {"a": 3}),
        ("resample", "bicubic"),
        ("resample", 1),
        ("resample", float("nan")),
        ("size", [32]),
        ("size", [32, 64]),
        ("size", "32"),
        ("size", 0),
        ("size", -32),
        ("size", float("nan")),
        ("size", {"height": 32}),
        ("size", {"shortest_edge": [32]}),
        ("size", True),
        ("crop_size", [48, 48]),
        ("crop_size", {"shortest_edge": 32}),
        ("do_center_crop", "yes"),
        ("do_resize", [True]),
        ("do_normalize", False),
        ("rescale_factor", 0),
        ("rescale_factor", float("nan")),
        ("default_to_square", "no"),
    ],
)
def test_odd_values_are_refused_by_file_and_field(copy_golden, name, value):
    folder = copy_golden("hf_full")
    path = folder / "preprocessor_config.json"
    values = json.loads(path.read_text()) | {"do_center_crop": True, name: value}
    path.write_text(json.dumps(values))
    with pytest.raises(InputError, match=rf"preprocessor_config\.json .*{name} = "):
        describe_checkpoint(folder)


@pytest.mark.parametrize(("name", "value"), ODD)
def test_odd_values_of_open_clip_are_refused_by_field(name, value):
    with pytest.raises(InputError, match=f"preprocess_cfg.{name.removeprefix('image_')} = "):
        read_open_clip_preprocessing({name.removeprefix("image_"): value}, 32, "file")


@pytest.mark.parametrize(
    ("name", "tower", "value"),
    [
        ("layer_norm_eps", "vision_config", 0),
        ("layer_norm_eps", "text_config", float("nan")),
        ("layer_norm_eps", "text_config", -1e-5),
        ("patch_size", "vision_config", 0),
        ("patch_size", "vision_config", 1000),
        ("image_size", "vision_config", -64),
        ("num_hidden_layers", "text_config", 10**9),
        ("hidden_size", "vision_config", float("inf")),
        ("vocab_size", "text_config", [520]),
    ],
)
def test_odd_numbers_of_a_network_are_refused_by_file_and_field(copy_golden, name, tower, value):
    folder = copy_golden("hf_full")
    path = folder / "config.json"
    values = json.loads(path.read_text())
    values[tower][name] = value
    path.write_text(json.dumps(values))
    with pytest.raises(InputError, match=rf"config\.json .*{tower}\.{name} = "):
        describe_checkpoint(folder)


@pytest.mark.parametrize(
    ("name", "value"),
    [("mlp_ratio", float("nan")), ("mlp_ratio", float("inf")), ("mlp_ratio", -4), ("width", 1e9)],
)
def test_odd_numbers_of_open_clip_are_refused_by_file_and_field(copy_golden, name, value):
    folder = copy_golden("open_clip_gelu")
    path = folder / "open_clip_config.json"
    values = json.loads(path.read_text())
    values["model_cfg"]["vision_cfg"][name] = value
    path.write_text(json.dumps(values))
    with pytest.raises(InputError, match=rf"open_clip_config\.json .*vision_cfg\.{name} = "):
        describe_checkpoint(folder)


# What google/owlvit-base-patch32 says but for the size, and the forms since.
@pytest.mark.parametrize(
    "values",
    [
        {"size": [64, 64], "crop_size": 64, "do_center_crop": False, "resample": 3},
        {"size": 64, "do_center_crop": False},
        {"size": {"height": 64, "width": 64}, "crop_size": {"height": 64, "width": 64}},
        {"size": {"height": 64, "width": 64, "shortest_edge": None}},
        {"size": None, "feature_extractor_type": "OwlViTFeatureExtractor"},
    ],
)
def test_spellings_of_owlvit(copy_golden, values):
    folder = copy_golden("owlvit")
    expected = describe_detector(folder).image_config
    (folder / "preprocessor_config.json").write_text(json.dumps(values))
    assert describe_detector(folder).image_config == expected


@pytest.mark.parametrize("size", [64, [64, 64], {"height": 64, "width": 64}, None])
def test_spellings_of_owlv2(copy_golden, size):
    folder = copy_golden("owlv2")
    expected = describe_detector(folder).image_config
    (folder / "preprocessor_config.json").write_text(json.dumps({"size": size}))
    assert describe_detector(folder).image_config == expected


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json"])
def test_a_byte_order_mark_changes_nothing(copy_golden, name):
    folder = copy_golden("hf_full")
    before = describe_checkpoint(folder)
    path = folder / name
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    after = describe_checkpoint(folder)
    assert (before.config, before.image_config) == (after.config, after.image_config)
