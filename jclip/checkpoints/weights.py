"""A checkpoint's files, fetched and held against what is known of them before they are used."""

import dataclasses
import hashlib
import re
from pathlib import Path

from jclip.checkpoints.causes import common_prefix
from jclip.checkpoints.hub import listed_files
from jclip.checkpoints.location import Location
from jclip.checkpoints.name_map import TensorSource
from jclip.errors import InputError
from jclip.files.digests import sha256
from jclip.files.tensors import SafetensorsTensors, UnwrappedTensors, open_tensors


@dataclasses.dataclass(frozen=True)
class Weights:
    """The tensors of a checkpoint.

    Attributes:
        tensors: by the names that the checkpoint's layout has for them.
        digests: the SHA-256 of each file they are in, by name.
        notices: what was done to the names, one sentence each.
    """

    tensors: TensorSource
    digests: dict[str, str]
    notices: tuple[str, ...] = ()


def open_weights(location: Location) -> Weights:
    """The tensors of a checkpoint; what a wrapping module put before every name is removed.

    Raises:
        InputError: the files cannot be fetched, are damaged, or are not what their index lists.
    """
    paths = location.fetch_weights()
    digests = {path.name: sha256(path) for path in paths}
    for path in (*(location.folder / name for name in location.beside), *paths):
        _check_blob(location, path, digests.get(path.name))
    tensors = open_tensors(paths, pickled=location.pickled)
    if isinstance(tensors, SafetensorsTensors):
        _check_index(location, tensors)
    prefix = common_prefix(tensors.shapes)
    if not prefix:
        return Weights(tensors, digests)
    notice = f"The names of all tensors begin with {prefix}, which was left out."
    return Weights(UnwrappedTensors(tensors, prefix), digests, (notice,))


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
    found = {name: tensors.file_of(name).name for name in tensors.shapes}
    names = sorted(found.keys() | location.weight_map.keys())
    problems = [
        f"{name} is in {found.get(name, 'no shard')}, "
        f"listed for {location.weight_map.get(name, 'none')}"
        for name in names
        if found.get(name) != location.weight_map.get(name)
    ]
    if problems:
        more = f" ({len(problems)} such tensors)" if len(problems) > 1 else ""
        raise InputError(f"{location.folder}: shards and index differ: {problems[0]}{more}")
