"""One writer at a time: the lock in the folder of a run.

The system holds it for as long as the process lives, on network file systems too, so that what a
killed run leaves behind keeps nobody out.
"""

import contextlib
import fcntl
import json
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jclip.errors import InputError
from jclip.runs.record import LOCK, now


@contextlib.contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, which is made if it is not there.

    Raises:
        InputError: another process holds it, which is named; or the folder cannot be written.
    """
    path = folder / LOCK
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = _acquire(path)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror})") from None
    try:
        yield
    finally:
        # Before it is free, so that nobody has taken what is removed.
        with contextlib.suppress(OSError):
            path.unlink()
        os.close(held)


def _acquire(path: Path) -> int:
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            _lock(file, path)
            if not _is(path, file):
                # Its last holder removed it while it was being opened here.
                os.close(file)
                continue
            holder = {"process": os.getpid(), "machine": platform.node(), "since": now()}
            os.ftruncate(file, 0)
            os.pwrite(file, json.dumps(holder).encode(), 0)
            return file
        except BaseException:
            os.close(file)
            raise


def _is(path: Path, file: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(file))
    except FileNotFoundError:
        return False


def _lock(file: int, path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise _refusal(path, _holder(file)) from None
    except OSError:
        # A file system without locks: only a process of this machine can be asked for.
        holder = _holder(file)
        if holder.get("machine") == platform.node() and _is_alive(holder.get("process")):
            raise _refusal(path, holder) from None


def _holder(file: int) -> dict[str, Any]:
    try:
        found = json.loads(os.pread(file, 4096, 0))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _refusal(path: Path, holder: dict[str, Any]) -> InputError:
    known = ", ".join(f"{name} {value}" for name, value in holder.items())
    return InputError(
        f"{path.parent}: another process is writing there ({known or path.name}); wait for it or "
        "name another folder; processes that are to share a run need --coordinator"
    )


def _is_alive(process: Any) -> bool:
    if not isinstance(process, int) or process in (0, os.getpid()):
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
