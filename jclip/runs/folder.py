"""The folder of a run: `run.json`, and tables written part by part so that a killed run goes on.

A run is known by its identity: the settings that change results, the data and the checkpoints. The
same identity into the same folder resumes, also with another number of processes; another identity
is refused. Several processes share the folder: process 0 keeps the record, each writes its parts.
"""

import datetime
import hashlib
import importlib.metadata
import json
import platform
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import pyarrow as pa

from jclip.distributed import agree, is_lead, wait_for_all
from jclip.errors import InputError
from jclip.files.json_files import write_json
from jclip.files.tables import read_table, write_parquet

_PARTS = "parts"


def default_folder(experiment: str, identity: Mapping[str, Any]) -> Path:
    """`runs/EXPERIMENT-HASH`, where the hash is of the run's identity."""
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    return Path("runs") / f"{experiment}-{digest[:10]}"


def environment() -> dict[str, Any]:
    """What the numbers depend on besides the run's identity: versions and devices."""
    packages = ("jclip", "jax", "jaxlib", "flax", "transformers", "numpy", "scipy", "pillow")
    devices = jax.devices()
    return {
        "command": " ".join(sys.argv),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: importlib.metadata.version(name) for name in packages},
        "devices": f"{len(devices)} x {devices[0].device_kind} ({jax.default_backend()})",
        "processes": jax.process_count(),
    }


def open_run(folder: Path, experiment: str, identity: Mapping[str, Any]) -> None:
    """Create the folder of a run, or check that it holds the same one.

    Raises:
        InputError: the folder holds another run or something else, cannot be written, or is not
            the same folder for all processes.
    """
    if is_lead():
        _open(folder, json.loads(json.dumps({"experiment": experiment, **identity})))
    wait_for_all("the folder of the run is open")
    record = folder / "run.json"
    content = record.read_bytes() if record.exists() else b""
    if not agree(int.from_bytes(hashlib.sha256(content).digest()[:7])):
        raise InputError(
            f"{folder}: not the same folder for all processes; name one with --out that all of "
            "them see, on a shared file system"
        )


def _open(folder: Path, identity: Mapping[str, Any]) -> None:
    record = folder / "run.json"
    try:
        earlier = {}
        if record.exists():
            earlier = json.loads(record.read_text())
            _check_same(folder, earlier["identity"], identity)
        elif folder.exists() and any(folder.iterdir()):
            raise InputError(f"{folder}: not empty and not a run; name another folder with --out")
        (folder / _PARTS).mkdir(parents=True, exist_ok=True)
        _remove_leftovers(folder)
        kept = {"confirmed": earlier.get("confirmed", {}), "started": _now()}
        started = {"identity": identity, "status": "running", **kept}
        write_json(record, {**started, "environment": environment()})
    except InputError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{record}: not the record of a run ({error})") from None
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror})") from None


def _remove_leftovers(folder: Path) -> None:
    """Drop what a killed run was writing, in the folder and among its parts."""
    for leftover in (*folder.glob("*.partial"), *(folder / _PARTS).glob("*.partial")):
        if leftover.is_dir():
            shutil.rmtree(leftover)
        else:
            leftover.unlink()


def _check_same(folder: Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    differing = [
        f"{key} was {old.get(key)!r}, is {new.get(key)!r}"
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    ]
    if differing:
        raise InputError(f"{folder}: holds another run: {differing[0]}; name another with --out")


def confirm(folder: Path, fact: str, value: Any) -> None:
    """Add to the identity of an open run what is known only later, such as digests of weights.

    Raises:
        InputError: an earlier run into this folder found another value.
    """
    value = json.loads(json.dumps(value))
    if is_lead():
        record = json.loads((folder / "run.json").read_text())
        old = record.setdefault("confirmed", {}).setdefault(fact, value)
        _check_same(folder, {fact: old}, {fact: value})
        write_json(folder / "run.json", record)
    wait_for_all(f"confirmed: {fact}")
    # What process 0 has found holds for all.
    old = json.loads((folder / "run.json").read_text())["confirmed"][fact]
    _check_same(folder, {fact: old}, {fact: value})


def exchange(folder: Path, name: str, content: Any) -> list[Any]:
    """Give every process what each of them has: JSON, through the folder, in order of processes.

    Returns when all are here; parts that any of them wrote before can be read then.
    """
    write_json(folder / _PARTS / f"{name}-{jax.process_index():03d}.json", content)
    wait_for_all(f"exchanged: {name}")
    files = [folder / _PARTS / f"{name}-{i:03d}.json" for i in range(jax.process_count())]
    return [json.loads(file.read_text()) for file in files]


def finish_run(folder: Path, **outcome: Any) -> None:
    """Mark a run as done, with `outcome` beside its identity, and drop its parts."""
    record = json.loads((folder / "run.json").read_text())
    write_json(folder / "run.json", {**record, "status": "done", "finished": _now(), **outcome})
    shutil.rmtree(folder / _PARTS)


def write_part(folder: Path, table: pa.Table) -> None:
    """Keep what was computed since the last part; the part appears whole or not at all."""
    process = f"{jax.process_index():03d}"
    number = len(list((folder / _PARTS).glob(f"{process}-*.parquet")))
    write_parquet(folder / _PARTS / f"{process}-{number:06d}.parquet", table)


def read_parts(folder: Path, name: str) -> Iterator[pa.Table]:
    """What earlier runs into this folder computed: the finished table `name`, then all parts."""
    for path in (folder / f"{name}.parquet", *sorted((folder / _PARTS).glob("*.parquet"))):
        if path.exists():
            yield read_table(path)


def other_parts(folder: Path) -> Iterator[pa.Table]:
    """The parts that other processes have written, once `exchange` has returned."""
    own = f"{jax.process_index():03d}-"
    for path in sorted((folder / _PARTS).glob("*.parquet")):
        if jax.process_count() > 1 and not path.name.startswith(own):
            yield read_table(path)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
