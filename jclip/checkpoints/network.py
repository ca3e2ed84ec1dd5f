"""Networks with values in them: drawn at random, or read from files that are checked first."""

import hashlib
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import jax
import numpy as np
from flax import nnx

from jclip.checkpoints.locate import SMALL_FILES, Location
from jclip.checkpoints.name_map import TensorRule, assign, filled_module
from jclip.errors import InputError
from jclip.files.digests import sha256
from jclip.files.tensors import PickledTensors, SafetensorsTensors
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
) -> tuple[Module, dict[str, str]]:
    """The network of a checkpoint, and the SHA-256 of each file with its tensors, by name.

    `make` builds the network; `rules_for` says what each tensor becomes, from the names of all.

    Raises:
        InputError: the files cannot be fetched, are damaged, are not what their index lists, or
            hold something else.
    """
    paths = location.fetch_weights()
    digests = {path.name: sha256(path) for path in paths}
    beside = [path for name in SMALL_FILES if (path := location.folder / name).is_file()]
    for path in (*beside, *paths):
        _check_blob(location, path, digests.get(path.name))
    if location.pickled:
        tensors = PickledTensors(paths)
    else:
        tensors = SafetensorsTensors(paths)
        _check_index(location, tensors)
    rules = rules_for(tensors.shapes)
    network = filled_module(
        make, lambda parameters: assign(rules, tensors, parameters, location.source)
    )
    return network, digests


def _check_blob(location: Location, path: Path, digest: str | None) -> None:
    """Compare a file of the hub's cache with the digest by which the cache calls it.

    Neither the download nor the format checks the bytes. A large file is called by its SHA-256, a
    small one by its id in git, a SHA-1 (as `hf cache verify` has it).
    """
    blob = path.resolve()
    if blob.parent.name != "blobs" or not path.is_symlink():
        return
    if re.fullmatch("[0-9a-f]{64}", blob.name):
        found = digest or sha256(blob)
    elif re.fullmatch("[0-9a-f]{40}", blob.name):
        content = blob.read_bytes()
        found = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    else:
        return
    if found != blob.name:
        raise InputError(
            f"{location.repository or location.folder}: {path.name} is damaged (its digest is "
            f"{found}); delete {blob} and run again to download it anew"
        )


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
