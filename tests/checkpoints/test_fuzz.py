"""Whatever stands in the files of a checkpoint, it is read or refused in one line."""

import json
import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jclip.checkpoints import load_clip
from jclip.checkpoints.open_clip import read_config as read_open_clip
from jclip.checkpoints.owl import describe_detector
from jclip.checkpoints.peft import load_adapter
from jclip.checkpoints.peft_config import read_peft_config
from jclip.checkpoints.preprocessing import (
    read_open_clip_preprocessing,
    read_transformers_preprocessing,
)
from jclip.checkpoints.transformers import read_config as read_transformers
from jclip.errors import InputError
from jclip.files.json_files import read_json
from jclip.files.tensors import SafetensorsTensors

GOLDEN = Path(__file__).parents[1] / "golden"
FUZZ = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 300)
    | st.integers()
    | st.floats()
    | st.just(10**400)
    | st.text(max_size=9)
    | st.sampled_from(["gelu", "clip", "\ud83d", "linear", "\0"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(max_size=9) | st.sampled_from(["height", "eps"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)


def changed(values):
    """JSON objects that differ from these in some fields, at any depth."""

    def change(changes):
        found = json.loads(json.dumps(values))
        for path, value in changes:
            place = found
            for name in path[:-1]:
                place = place[name] if isinstance(place.get(name), dict) else place
            place[path[-1]] = value
        return found

    fields = st.sampled_from(sorted(_paths(values)))
    return st.lists(st.tuples(fields, VALUES), max_size=3).map(change)


def _paths(values, before=()):
    for name, value in values.items():
        yield (*before, name)
        if isinstance(value, dict):
            yield from _paths(value, (*before, name))


def golden(name):
    return json.loads((GOLDEN / name).read_text())


def one_line_or_none(function, *arguments):
    """The function is done, or refuses in a line of a length that can be read."""
    try:
        function(*arguments)
    except InputError as error:
        assert "\n" not in str(error)
        assert len(str(error)) < 1500
        str(error).encode()


OPEN_CLIP = golden("open_clip_gelu/open_clip_config.json")["model_cfg"]
OPEN_CLIP |= {"vision_cfg": OPEN_CLIP["vision_cfg"] | {"mlp_ratio": 4.0, "norm_kwargs": {"eps": 1}}}
TRANSFORMERS = golden("hf_gelu/config.json")
PROCESSOR = golden("hf_gelu/preprocessor_config.json") | {"size": 64, "do_pad": False}
ADAPTER = golden("hf_gelu/peft_adapter/adapter_config.json")
PREPARATION = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "fill_color": 0}
PREPARATION |= {"resize_mode": "shortest", "size": 64, "mode": "RGB"}


@FUZZ
@given(changed(OPEN_CLIP))
def test_open_clip_configurations(values):
    one_line_or_none(read_open_clip, values, "file")


@FUZZ
@given(changed(TRANSFORMERS))
def test_transformers_configurations(values):
    one_line_or_none(read_transformers, values, "file")


@FUZZ
@given(changed(PREPARATION) | VALUES)
def test_open_clip_preparations(values):
    one_line_or_none(read_open_clip_preprocessing, values, 64, "file")


@FUZZ
@given(values=changed(PROCESSOR) | VALUES, nested=st.booleans(), square=st.booleans())
def test_processors(tmp_path, values, nested, square):
    path = tmp_path / ("processor_config.json" if nested else "preprocessor_config.json")
    path.write_text(json.dumps({"image_processor": values} if nested else values))
    one_line_or_none(lambda: read_transformers_preprocessing(tmp_path, 64, square=square))
    path.unlink()


@FUZZ
@given(values=changed(golden("owlv2/config.json")), processor=changed(PROCESSOR) | VALUES)
def test_detectors(tmp_path, values, processor):
    (tmp_path / "config.json").write_text(json.dumps(values))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(processor))
    (tmp_path / "model.safetensors").touch()
    one_line_or_none(describe_detector, tmp_path)


@FUZZ
@given(values=changed(ADAPTER))
def test_adapters(tmp_path, values):
    (tmp_path / "adapter_config.json").write_text(json.dumps(values))
    one_line_or_none(read_peft_config, tmp_path / "adapter_config.json")


@FUZZ
@given(st.binary(max_size=60) | VALUES.map(lambda value: json.dumps(value).encode()))
def test_json_files(tmp_path, content):
    (tmp_path / "config.json").write_bytes(content)
    one_line_or_none(read_json, tmp_path / "config.json")


ENTRY = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}
HEADER = {
    "base_model.model.encoder.layers.0.mlp.fc1.lora_A.weight": ENTRY,
    "__metadata__": {"jclip_sha256": "x"},
}


@FUZZ
@given(header=changed(HEADER) | VALUES, length=st.none() | st.integers(0, 2**64 - 1))
def test_headers_of_safetensors(tmp_path, header, length):
    text = json.dumps(header).encode()
    length = len(text) if length is None else length
    path = tmp_path / "adapter_model.safetensors"
    path.write_bytes(struct.pack("<Q", length) + text + bytes(16))

    def read():
        tensors = SafetensorsTensors([path])
        for name in tensors.shapes:
            tensors.read(name)

    one_line_or_none(read)


LETTERS = ["base_model.model.", "encoder.layers.", "vision_model.", "0.", "mlp.fc1.", "9999."]
LETTERS += ["lora_A.", "lora_B.", "weight", "default.", "text_model.", "visual_projection.", "x"]


@FUZZ
@given(name=st.lists(st.sampled_from(LETTERS), max_size=8).map("".join), shape=st.integers(0, 2))
def test_names_of_an_adapter_s_tensors(tmp_path, small_clip, name, shape):
    sides = [2, 2][:shape]
    size = 4 * 2 ** len(sides)
    entry = {"dtype": "F32", "shape": sides, "data_offsets": [0, size]}
    text = json.dumps({name: entry}).encode()
    content = struct.pack("<Q", len(text)) + text + bytes(size)
    (tmp_path / "adapter_model.safetensors").write_bytes(content)
    (tmp_path / "adapter_config.json").write_text(json.dumps(ADAPTER | {"auto_mapping": None}))
    one_line_or_none(load_adapter, small_clip, tmp_path)


@pytest.fixture(scope="module")
def small_clip():
    return load_clip(GOLDEN / "hf_gelu")
