"""Files of the hub's repositories, and of its cache on this machine where the hub is far."""

import json
import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import huggingface_hub
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from jclip.errors import InputError

_PROXIES = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY")


def list_files(repository: str, revision: str | None) -> tuple[set[str], Path | None]:
    """The names of a repository's files; and the cache's folder where the hub cannot be asked.

    Raises:
        InputError: there is no such repository or revision, or it is neither here nor to be had.
    """
    try:
        found = huggingface_hub.HfApi().model_info(repository, revision=revision or "main")
    except Exception as error:  # proxies, certificates, tokens: much can fail before a connection
        folder = None
        if not isinstance(error, HFValidationError | RevisionNotFoundError):
            folder = _cached(repository, revision)
        if folder is None:
            raise _refusal(repository, revision, error) from error
        return set(listed_files(folder)), folder
    return {sibling.rfilename for sibling in found.siblings or ()}, None


def _cached(repository: str, revision: str | None) -> Path | None:
    try:
        folder = huggingface_hub.snapshot_download(
            repository, revision=revision, allow_patterns=[], local_files_only=True
        )
    except Exception:  # not there, or so damaged that the library stumbles
        return None
    return Path(folder)


def listed_files(folder: Path) -> dict[str, str | None]:
    """What a folder holds, or as far as the hub's cache remembers, what its repository does.

    Each name with the digest of its content in git, where that is known.
    """
    names: dict[str, str | None] = {path.name: None for path in folder.iterdir()}
    record = folder.parent.parent / "trees" / f"{folder.name}.json"
    if folder.parent.name != "snapshots" or not record.is_file():
        return names
    try:
        files: dict[str, Any] = json.loads(record.read_bytes())["files"]
        return names | {name: entry.get("blob_id") for name, entry in files.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return names  # a note of the cache for itself, which may change its form


def fetch(repository: str, names: Collection[str], revision: str | None) -> Path:
    """Files of a repository in the hub's cache, downloaded if need be, with progress bars.

    Raises:
        InputError: they are neither here nor to be had.
    """
    try:
        return Path(
            huggingface_hub.snapshot_download(
                repository, revision=revision, allow_patterns=list(names)
            )
        )
    except Exception as error:
        raise _refusal(repository, revision, error) from error


def _refusal(repository: str, revision: str | None, error: Exception) -> InputError:
    """The error in one line, with what can be done about it."""
    said = (str(error).strip() or repr(error)).splitlines()[0]
    said = re.sub(r"://[^/@\s]+@", "://...@", said)[:300]
    if isinstance(error, HFValidationError):
        return InputError(f"{repository} is no hub id: {said}")
    if isinstance(error, GatedRepoError):
        return InputError(
            f"{repository} is gated: accept its terms on the hub and log in with `hf auth login`"
        )
    if isinstance(error, RepositoryNotFoundError):
        return InputError(
            f"{repository} was not found on the hub (or is private), and is no folder here; "
            "check the name"
        )
    if isinstance(error, RevisionNotFoundError):
        return InputError(f"{repository} has no revision {revision} on the hub")
    offline = isinstance(error, OfflineModeIsEnabled) or (
        isinstance(error, LocalEntryNotFoundError)
        and isinstance(error.__cause__, OfflineModeIsEnabled)
    )
    variables = [name for name in _PROXIES if os.environ.get(name) or os.environ.get(name.lower())]
    if variables and not offline and not isinstance(error, HfHubHTTPError):
        return InputError(
            f"{repository} cannot be asked for through the proxy that {' and '.join(variables)} "
            f"in the environment names: {said}"
        )
    if isinstance(error, OfflineModeIsEnabled | LocalEntryNotFoundError) or _no_connection(error):
        return InputError(
            f"{repository} is not in the hub's cache, and the hub cannot be asked "
            f"(offline mode, or no connection): {said}"
        )
    return InputError(f"{repository} could not be downloaded: {said}; run again to resume")


def _no_connection(error: Exception) -> bool:
    return type(error).__name__ in ("ConnectError", "ConnectTimeout")
