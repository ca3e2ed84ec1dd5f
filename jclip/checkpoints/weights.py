"""A checkpoint's files, fetched and held against what is known of them before they are used."""

import hashlib
import re
from pathlib import Path

from jclip.checkpoints.locate import SMALL_FILES, Location
from jclip.errors import InputError
from jclip.files.digests import sha256
from jclip.files.tensors import PickledTensors, SafetensorsTensors


def open_weights(
    location: Location,
) -> tuple[SafetensorsTensors | PickledTensors, dict[str, str]]:
    """The tensors of a checkpoint, and the SHA-256 of each file they are in, by name.

    Raises:
        InputError: the files cannot be fetched, are damaged, or are not what their index lists.
    """
    paths = location.fetch_weights()
    digests = {path.name: sha256(path) for path in paths}
    beside = [path for name in SMALL_FILES if (path := location.folder / name).is_file()]
    for path in (*beside, *paths):
        _check_blob(location, path, digests.get(path.name))
    if location.pickled:
        return PickledTensors(paths), digests
    tensors = SafetensorsTensors(paths)
    _check_index(location, tensors)
    return tensors, digests


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
