"""Whatever stands in a safetensors file or beside it, its reader returns what was written or says
in an `InputError` what is wrong."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_readers import JSON, places, replaced

from jclip.checkpoints.peft_config import read_peft_config
from jclip.errors import InputError
from jclip.files.digests import write_tensors
from jclip.files.tensors import SafetensorsTensors

ADAPTER = Path(__file__).parents[1] / "golden" / "hf_gelu" / "peft_adapter"
TENSORS = {
    "kernel": np.arange(12, dtype=np.float32).reshape(3, 4),
    "count": np.array(7),
    "half": np.ones(5, np.float16),
}
anything = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def written(folder):
    write_tensors(folder / "whole.safetensors", TENSORS, metadata={"note": "a cup"})
    return (folder / "whole.safetensors").read_bytes()


def read(path, content):
    """What the reader makes of some bytes: tensors by name, or None if it refuses them."""
    path.write_bytes(content)
    try:
        tensors = SafetensorsTensors([path])
        return {name: tensors.read(name) for name in tensors.shapes}
    except InputError as error:
        assert str(path) in str(error)
        return None


def with_header(content, header):
    """The same tensors under another header, as the format has it: its length, JSON, bytes."""
    length = int.from_bytes(content[:8], "little")
    encoded = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(encoded).to_bytes(8, "little") + encoded + content[8 + length :]


def header_of(content):
    return json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])


@anything
@given(data=st.data())
def test_any_value_anywhere_in_the_header(tmp_path, data):
    whole = written(tmp_path)
    header = header_of(whole)
    new = data.draw(st.sampled_from(places(header)))
    read(tmp_path / "a.safetensors", with_header(whole, replaced(header, new, data.draw(JSON))))


@anything
@given(data=st.data())
def test_changed_bytes_are_refused_or_change_nothing(tmp_path, data):
    whole = written(tmp_path)
    content = bytearray(whole)
    for place in data.draw(st.sets(st.integers(0, len(whole) - 1), min_size=1, max_size=3)):
        content[place] ^= 1 << data.draw(st.integers(0, 7))
    found = read(tmp_path / "a.safetensors", bytes(content))
    if found is not None:
        assert found.keys() == TENSORS.keys()
        for name, values in TENSORS.items():
            np.testing.assert_array_equal(found[name], values)


@anything
@given(length=st.integers(0, 2000), claimed=st.integers(0, 2**64 - 1))
def test_truncated_files_and_lengths_that_lie_are_refused(tmp_path, length, claimed):
    whole = written(tmp_path)
    path = tmp_path / "a.safetensors"
    assert read(path, whole[: min(length, len(whole) - 1)]) is None
    if claimed != int.from_bytes(whole[:8], "little"):
        assert read(path, claimed.to_bytes(8, "little") + whole[8:]) is None


@pytest.mark.parametrize("header", [b"", b"[" * 10_000, b"\xff", b"null", b"{}", b'{"a": 1}'])
def test_headers_that_are_none_are_refused_or_empty(header, tmp_path):
    found = read(tmp_path / "a.safetensors", with_header(written(tmp_path), header))
    assert not found


@anything
@given(data=st.data())
def test_any_value_anywhere_in_an_adapters_configuration(tmp_path, data):
    whole = json.loads((ADAPTER / "adapter_config.json").read_text())
    place = data.draw(st.sampled_from(places(whole)))
    file = tmp_path / "adapter_config.json"
    file.write_text(json.dumps(replaced(whole, place, data.draw(JSON))))
    try:
        assert read_peft_config(file)[0].rank > 0
    except InputError as error:
        assert str(file) in str(error)
