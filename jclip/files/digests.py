"""Safetensors files that hold a SHA-256 of everything in them, and of the files beside them.

The digests are one entry, `jclip_sha256`, of the metadata in the header; other libraries read such
files as any other. A file without the entry is somebody else's and is taken as it is.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped
from safetensors import SafetensorError
from safetensors.numpy import save_file

from jclip.errors import InputError

ENTRY = "jclip_sha256"
# In the value too, so that a file whose entry has lost its name is not taken for somebody else's.
_WRITER = '{"writer": "jclip", '


def sha256(path: Path) -> str:
    """The SHA-256 of a file, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tensor_digest(tensor: Shaped[np.ndarray, "..."]) -> str:
    """The SHA-256 of a tensor's dtype and shape, as in `float32[3,4]`, and of its bytes."""
    kind = f"{tensor.dtype.name}[{','.join(map(str, tensor.shape))}]"
    return hashlib.sha256(kind.encode() + tensor.tobytes()).hexdigest()


def json_digest(values: Any) -> str:
    """The SHA-256 of a JSON value, whatever the order of its fields."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def write_tensors(
    path: Path,
    tensors: Mapping[str, Shaped[np.ndarray, "..."]],
    *,
    metadata: Mapping[str, str] | None = None,
    beside: Mapping[str, str] | None = None,
) -> None:
    """Write a safetensors file, in place, that `recorded_digests` can hold to account.

    Tensors are in C order; `metadata` are more entries of the header, `beside` the SHA-256 of files
    that are to lie in the same folder, by name.

    Raises:
        OSError: the file cannot be written.
    """
    entries = {"format": "pt", **(metadata or {})}
    record = {
        "tensors": {name: tensor_digest(tensor) for name, tensor in tensors.items()},
        "metadata": json_digest(entries),
        "beside": dict(beside or {}),
    }
    try:
        save_file(dict(tensors), path, {**entries, ENTRY: _WRITER + json.dumps(record)[1:]})
    except SafetensorError as error:
        raise OSError(f"{path} cannot be written: {error}") from error


def recorded_digests(
    path: Path, names: Iterable[str], metadata: Mapping[str, str]
) -> Mapping[str, str]:
    """The digest of every tensor of a file that `write_tensors` wrote; empty for other files.

    `names` are those of the tensors that are in it, `metadata` its header's.

    Raises:
        InputError: naming what is not as it was written: a tensor that is missing or was not there,
            an entry of the header, a file beside it. The tensors' values are left to the caller.
    """
    if ENTRY not in metadata and not any(_WRITER in value for value in metadata.values()):
        return {}
    entries = {name: value for name, value in metadata.items() if name != ENTRY}
    try:
        record = json.loads(metadata.get(ENTRY, ""))
        tensors, beside = dict(record["tensors"]), dict(record["beside"])
        whole = record["metadata"] == json_digest(entries) and record["writer"] == "jclip"
    except (ValueError, TypeError, KeyError, RecursionError):
        whole = False
    if not whole:
        raise InputError(f"{path} is damaged: its metadata are not as they were written")
    if differing := sorted(tensors.keys() ^ set(names)):
        raise InputError(f"{path} is damaged: not as written are {', '.join(differing)}")
    for name, digest in beside.items():
        file = path.with_name(name)
        if not file.is_file() or sha256(file) != digest:
            raise InputError(f"{file} is not what was written beside {path.name} (its SHA-256)")
    return tensors
