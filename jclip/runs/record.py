"""The record of a run, `run.json`: what it is, under which software, what was found on the way.

A run is known by its identity: the settings that change results, the data and the checkpoints. The
same identity into the same folder resumes, also with another number of processes; another identity
is refused. Several processes share the folder: process 0 keeps the record.
"""

import dataclasses
import datetime
import functools
import importlib.metadata
import platform
import shlex
import shutil
import subprocess
import sys
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from jclip.distributed import agree, is_lead, wait_for_all
from jclip.errors import InputError
from jclip.files.digests import json_digest, sha256
from jclip.files.json_files import as_json, read_json, write_json
from jclip.runs.parts import PARTS

RECORD, LOCK, TRACE = "run.json", "run.lock", "traceback.txt"


class Silent:
    """Marks, in `Annotated[T, Silent]`, an option that changes no result and no identity."""


def identity_of(options: Any) -> dict[str, Any]:
    """What of a dataclass of options makes two runs the same, groups of options flattened.

    Every field counts but those marked `Silent`. A group whose meaning depends on the machine says
    by a method `identity` what counts.
    """
    if hasattr(options, "identity"):
        return options.identity()
    hints = typing.get_type_hints(type(options), include_extras=True)
    found = {}
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if Silent in typing.get_args(hints[field.name]):
            continue
        if dataclasses.is_dataclass(value):
            found |= identity_of(value)
        else:
            found[field.name] = str(value) if isinstance(value, Path) else value
    return found


def default_folder(experiment: str, identity: Mapping[str, Any]) -> Path:
    """`runs/EXPERIMENT-HASH`, where the hash is of the run's identity."""
    return Path("runs") / f"{experiment}-{json_digest(identity)[:10]}"


def environment() -> dict[str, Any]:
    """What the numbers depend on besides the run's identity: command, versions and devices."""
    packages = ("jclip", "jax", "jaxlib", "flax", "transformers", "numpy", "scipy", "pillow")
    devices = jax.devices()
    return {
        "command": typed_command(),
        "commit": _commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: importlib.metadata.version(name) for name in packages},
        "devices": f"{len(devices)} x {devices[0].device_kind} ({jax.default_backend()})",
        "processes": jax.process_count(),
    }


def typed_command() -> str:
    """The command as it was typed, less the interpreter's folder."""
    program, *rest = sys.orig_argv
    if rest and Path(rest[0]).name == "jclip":
        program, *rest = rest
    typed = shlex.join([Path(program).name, *rest])
    # Bytes that are no UTF-8 could be written nowhere.
    return typed.encode("utf-8", "backslashreplace").decode("utf-8")


@functools.cache
def _commit() -> str | None:
    """The commit of the checkout that this package is part of, and whether files differ from it."""
    checkout = Path(__file__).parents[2]
    if not (checkout / ".git").exists():
        return None
    describe = ["git", "-C", checkout, "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        found = subprocess.check_output(describe, stderr=subprocess.DEVNULL, text=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return found.strip()


def open_record(folder: Path, experiment: str, identity: Mapping[str, Any]) -> None:
    """Create the folder of a run, or check that it holds the same one.

    Raises:
        InputError: the folder holds another run or something else, cannot be written, or is not
            the same folder for all processes.
    """
    if is_lead():
        _open(folder, as_json({**identity, "experiment": experiment}))
    wait_for_all("the folder of the run is open")
    record = folder / RECORD
    found = sha256(record) if record.exists() else "0"
    if not agree(int(found[:14], 16)):
        raise InputError(
            f"{folder}: not the same folder for all processes; name one that all of them see, on a "
            "shared file system"
        )


def require_run_folder(folder: Path) -> None:
    """Refuse a folder of something else.

    Raises:
        InputError: it is neither empty nor that of a run, or cannot be written.
    """
    try:
        if folder.is_dir() and {entry.name for entry in folder.iterdir()} - {LOCK}:
            if not (folder / RECORD).exists():
                raise InputError(f"{folder}: not empty and not a run; name another folder")
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror})") from None


def _open(folder: Path, identity: Mapping[str, Any]) -> None:
    require_run_folder(folder)
    record, confirmed = folder / RECORD, {}
    try:
        if record.exists():
            old, confirmed = _earlier(record)
            _check_same(folder, old, identity)
        (folder / PARTS).mkdir(parents=True, exist_ok=True)
        # What a killed run was writing goes, and the trace of one that failed.
        (folder / TRACE).unlink(missing_ok=True)
        for leftover in (*folder.glob("*.partial"), *(folder / PARTS).glob("*.partial")):
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
        known = {"confirmed": confirmed, "started": now(), "environment": environment()}
        write_json(record, {"identity": identity, "status": "running", **known})
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror})") from None


def _earlier(record: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The identity of an earlier run, and what it confirmed."""
    try:
        found = read_json(record)
        earlier = found["identity"], found.get("confirmed", {})
        if not all(isinstance(part, dict) for part in earlier):
            raise TypeError("identity and confirmed have to be objects")
        return earlier
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{record}: not the record of a run ({error})") from None


def _check_same(folder: Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    differing = [
        f"{key} was {old.get(key)!r}, is {new.get(key)!r}"
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    ]
    if differing:
        raise InputError(f"{folder}: holds another run: {differing[0]}; name another folder")


def confirm(folder: Path, fact: str, value: Any) -> None:
    """See `Run.confirm`."""
    value = as_json(value)
    if is_lead():
        record = read_json(folder / RECORD)
        old = record.setdefault("confirmed", {}).setdefault(fact, value)
        _check_same(folder, {fact: old}, {fact: value})
        write_json(folder / RECORD, record)
    wait_for_all(f"confirmed: {fact}")
    # What process 0 has found holds for all.
    old = read_json(folder / RECORD)["confirmed"][fact]
    _check_same(folder, {fact: old}, {fact: value})


def close_record(folder: Path, finished: Mapping[str, Any]) -> None:
    """Replace the record by that of a finished run, and drop its parts."""
    write_json(folder / RECORD, finished)
    shutil.rmtree(folder / PARTS)


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
