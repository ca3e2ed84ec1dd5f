"""Networks with values in them: drawn at random, or read from files that are checked first."""

import dataclasses
import hashlib
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import jax
import numpy as np
from flax import nnx

from jclip.checkpoints.causes import common_prefix
from jclip.checkpoints.description import Identity
from jclip.checkpoints.hub import listed_files
from jclip.checkpoints.location import Location
from jclip.checkpoints.name_map import (
    TensorRule,
    TensorSource,
    assign,
    check_tensors,
    filled_module,
)
from jclip.errors import InputError
from jclip.files.digests import sha256
from jclip.files.tensors import SafetensorsTensors, UnwrappedTensors, open_tensors
from jclip.models import CLIP, CLIPConfig

_CONSTANTS = {"bias": 0.0, "scale": 1.0, "logit_scale": np.log(1 / 0.07), "logit_bias": -10.0}


def random_clip(config: CLIPConfig, dtype) -> CLIP:
    """An untrained network: the same values on every device and in every dtype, but for rounding.

    Drawn on the host, as compiling the initialisers takes longer than drawing all values.
    """
    return filled_module(lambda: CLIP(config, dtype=dtype, rngs=nnx.Rngs(0)), _random_values)


def _random_values(parameters: Mapping[str, jax.ShapeDtypeStruct]) -> dict[str, jax.Array]:
    generator = np.random.default_rng(0)
    values = {}
    for name, leaf in parameters.items():
        value = generator.standard_normal(leaf.shape, np.float32)
        if name.endswith("kernel"):
            value *= leaf.shape[-2] ** -0.5
        elif name.endswith("embedding"):
            value *= 0.02
        elif name.endswith("probe"):
            pass
        else:
            value = np.full(leaf.shape, _CONSTANTS[name.split(".")[-1]], np.float32)
        values[name] = jax.device_put(value.astype(leaf.dtype))
    return values


def read_network[Module: nnx.Module](
    make: Callable[[], Module],
    rules_for: Callable[[Collection[str]], Sequence[TensorRule]],
    location: Location,
    identity: Identity,
) -> tuple[Module, Identity]:
    """The network of a checkpoint, and its identity with what its files have shown.

    `make` builds the network; `rules_for` says what each tensor becomes, from the names of all.
    What a wrapping module put before every name is left out.

    Raises:
        InputError: the files cannot be fetched, are damaged, are not what their index lists, or
            hold something else.
    """
    paths, notices = location.fetch_weights(), identity.notices
    digests = {path.name: sha256(path) for path in paths}
    for path in (*(location.folder / name for name in location.beside), *paths):
        _check_blob(location, path, digests.get(path.name))
    tensors, prefix = _open(location, paths)
    if prefix:
        notices += (f"The names of all tensors begin with {prefix}, which was left out.",)
    rules = rules_for(tensors.shapes)
    network = filled_module(
        make, lambda parameters: assign(rules, tensors, parameters, location.source)
    )
    return network, dataclasses.replace(identity, sha256=digests, notices=notices)


def check_network(
    network: nnx.Module,
    rules_for: Callable[[Collection[str]], Sequence[TensorRule]],
    location: Location,
) -> None:
    """Compare the names and shapes in a checkpoint's files with a network.

    Quick, so that what is wrong ends a run early: the network's values may be abstract, and pickles
    and files that are not here are left alone.

    Raises:
        InputError: they are damaged, or hold something else.
    """
    paths = tuple(location.folder / name for name in location.weights)
    if location.pickled or not paths or not all(path.is_file() for path in paths):
        return
    tensors, _ = _open(location, paths)
    state = nnx.to_flat_state(nnx.state(network, nnx.Param))
    parameters = {".".join(map(str, path)): leaf.get_value() for path, leaf in state}
    check_tensors(rules_for(tensors.shapes), tensors.shapes, parameters, location.source)


def _open(location: Location, paths: Sequence[Path]) -> tuple[TensorSource, str]:
    """The tensors under the names of their layout, and what stood before these."""
    tensors = open_tensors(paths, pickled=location.pickled)
    if isinstance(tensors, SafetensorsTensors):
        _check_index(location, tensors)
    prefix = common_prefix(tensors.shapes)
    return (UnwrappedTensors(tensors, prefix) if prefix else tensors), prefix


def _check_blob(location: Location, path: Path, digest: str | None) -> None:
    """Compare a file of the hub's cache with the digest by which the cache calls it.

    Neither the download nor the format checks the bytes. A large file is called by its SHA-256, a
    small one by its id in git, a SHA-1 (as `hf cache verify` has it); mirrors call files by their
    plain SHA-1, or by something else, of which nothing can be said. Where the cache remembers the
    ids in git, a small file may be called anything.
    """
    blob = path.resolve()
    if blob.parent.name != "blobs" or not path.is_symlink():
        return
    if re.fullmatch("[0-9a-f]{64}", blob.name):
        found = [digest or sha256(blob)]
    elif re.fullmatch("[0-9a-f]{40}", blob.name):
        content = blob.read_bytes()
        found = [_git_id(content), hashlib.sha1(content).hexdigest()]
    else:
        return
    if blob.name in found:
        return
    if digest is None and listed_files(path.parent).get(path.name) == _git_id(blob.read_bytes()):
        return
    raise InputError(
        f"{location.repository or location.folder}: {path.name} is damaged (its digest is "
        f"{found[0]}); delete {blob} and run again to download it anew"
    )


def _git_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _check_index(location: Location, tensors: SafetensorsTensors) -> None:
    """Compare the shards with their index; a single file has none."""
    if not location.weight_map:
        return
    found, listed = tensors.files, location.weight_map
    problems = [
        f"{name} is in {found.get(name, 'no shard')}, listed for {listed.get(name, 'none')}"
        for name in sorted(found.keys() | listed.keys())
        if found.get(name) != listed.get(name)
    ]
    if problems:
        more = f" ({len(problems)} such tensors)" if len(problems) > 1 else ""
        raise InputError(f"{location.folder}: shards and index differ: {problems[0]}{more}")
