"""Files that jclip writes can be believed: no bit of them changes unseen."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import load_file, save_file

from jclip.adapters.lora import LoRAConfig, add_adapter
from jclip.checkpoints import load_checkpoint, load_clip, save_clip
from jclip.checkpoints.peft import load_adapter, save_adapter
from jclip.errors import InputError
from jclip.files.digests import ENTRY, write_tensors
from jclip.files.tensors import SafetensorsTensors

GOLDEN = Path(__file__).parents[1] / "golden"
FILES = {
    "tensors": {
        "layers.0.kernel": np.arange(6, dtype=np.float32).reshape(2, 3),
        "layers.1.kernel": -np.ones((2, 3), np.float32),
        "half": np.array(0.5, np.float16),
    },
    "metadata": {"about": "a thing"},
}


def read_all(path):
    tensors = SafetensorsTensors([path])
    return {name: tensors.read(name) for name in tensors.shapes}


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "a.safetensors"
    write_tensors(path, **FILES)
    return path


def header_of(path):
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def rewrite(path, header, data):
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def test_a_round_trip_and_other_readers(written):
    for found in (read_all(written), load_file(written)):
        assert found.keys() == FILES["tensors"].keys()
        for name, tensor in FILES["tensors"].items():
            np.testing.assert_array_equal(found[name], tensor)
    metadata = SafetensorsTensors([written]).metadata
    assert (metadata["format"], metadata["about"]) == ("pt", "a thing")


def test_no_flipped_bit_goes_unseen(written):
    """Every single one: of lengths, names, shapes, metadata, digests and data."""
    content = written.read_bytes()
    for bit in range(8 * len(content)):
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        written.write_bytes(changed)
        with pytest.raises(InputError, match=r"a\.safetensors"):
            read_all(written)


def test_no_shorter_or_longer_file_goes_unseen(written):
    content = written.read_bytes()
    for length in (*range(0, len(content), 13), len(content) - 1):
        written.write_bytes(content[:length])
        with pytest.raises(InputError, match=r"a\.safetensors cannot be read as safetensors"):
            read_all(written)
    written.write_bytes(content + b"\0")
    with pytest.raises(InputError, match=r"a\.safetensors cannot be read as safetensors"):
        read_all(written)


@pytest.mark.parametrize(
    ("tensors", "named"),
    [
        ({**FILES["tensors"], "more": np.zeros(1)}, "more"),
        ({n: t for n, t in FILES["tensors"].items() if n != "half"}, "half"),
        (
            {**FILES["tensors"], "half": FILES["tensors"]["half"].view(np.int16)},
            "half is not as it was written",
        ),
        (
            {
                **FILES["tensors"],
                "layers.0.kernel": FILES["tensors"]["layers.0.kernel"].reshape(3, 2),
            },
            r"layers\.0\.kernel is not as it was written",
        ),
    ],
)
def test_what_is_added_missing_or_of_another_kind_is_named(written, tensors, named):
    metadata = SafetensorsTensors([written]).metadata
    save_file(tensors, written, metadata)
    with pytest.raises(InputError, match=rf"a\.safetensors is damaged: .*{named}"):
        read_all(written)


def test_swapped_tensors_are_named(written):
    header, data = header_of(written)
    one, other = header["layers.0.kernel"], header["layers.1.kernel"]
    header["layers.0.kernel"], header["layers.1.kernel"] = other, one
    rewrite(written, header, data)
    with pytest.raises(InputError, match=r"layers\.[01]\.kernel is not as it was written"):
        read_all(written)


@pytest.mark.parametrize("value", ["", "{}", "[", '"tensors"', '{"tensors": 3}', "[" * 100_000])
def test_an_entry_that_cannot_be_read_is_damage(written, value):
    header, data = header_of(written)
    header["__metadata__"][ENTRY] = value
    rewrite(written, header, data)
    with pytest.raises(InputError, match="its metadata are not as they were written"):
        read_all(written)


def test_files_of_others_are_taken_as_they_are(tmp_path):
    save_file({"a": np.ones(2, np.float32)}, tmp_path / "a.safetensors", {"format": "pt"})
    np.testing.assert_array_equal(read_all(tmp_path / "a.safetensors")["a"], [1, 1])


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A checkpoint and an adapter of it, by folder, with what loads each."""
    folder = tmp_path_factory.mktemp("saved")
    checkpoint = load_checkpoint(GOLDEN / "hf_full")
    save_clip(folder / "clip", checkpoint)
    adapted = add_adapter(checkpoint.clip, LoRAConfig(rank=2, targets="reference"), nnx.Rngs(0))
    save_adapter(adapted, folder / "adapter")
    return {
        folder / "clip": lambda: load_clip(folder / "clip"),
        folder / "adapter": lambda: load_adapter(checkpoint.clip, folder / "adapter"),
    }


def test_no_file_of_a_checkpoint_or_adapter_changes_unseen(saved):
    """Configuration, preprocessing and tokenizer are part of what was written."""
    rng = np.random.default_rng(0)
    for folder, load in saved.items():
        load()
        for file in folder.iterdir():
            content = file.read_bytes()
            for place in rng.integers(len(content), size=8):
                changed = bytearray(content)
                changed[place] ^= 1 << rng.integers(8)
                file.write_bytes(changed)
                with pytest.raises(InputError) as caught:
                    load()
                assert str(folder) in str(caught.value) and "\n" not in str(caught.value)
            file.write_bytes(content)
        load()


def test_a_changed_value_names_the_tensor(saved):
    folder = next(iter(saved))
    path = folder / "model.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    header = header_of(path)[0]
    last = max(load_file(path).items(), key=lambda item: header[item[0]]["data_offsets"])
    with pytest.raises(InputError, match=rf"model\.safetensors is damaged: {last[0]} is not as"):
        load_clip(folder)
    path.write_bytes(content)
    text = (folder / "config.json").read_text()
    (folder / "config.json").write_text(text.replace("1e-05", "1e-04"))
    with pytest.raises(InputError, match=r"config\.json is not what was written beside model\.saf"):
        load_clip(folder)
    (folder / "config.json").write_text(text)


def test_a_full_disk_is_an_error_of_the_system(tmp_path):
    with pytest.raises(OSError, match=r"a\.safetensors cannot be written"):
        write_tensors(tmp_path / "absent" / "a.safetensors", **FILES)
