"""Errors that nobody refuses by name: each becomes one line, and its trace a file."""

import errno
import re
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jclip.errors import InputError, RunStopped
from jclip.runs.record import TRACE, typed_command
from jclip.runs.typed_options import each_option

# As JAX, the C++ library below it, the system and Python's threads say it.
_NO_MEMORY = re.compile(
    "RESOURCE_EXHAUSTED|out of memory|bad_alloc|cannot allocate memory|can't start new thread"
    "|failed to map segment",
    re.IGNORECASE,
)
_OUT_OF_MEMORY = "out of memory"
_OURS = ("jclip", "experiments", "benchmarks")


def ending(error: Exception, options: Any, folder: Path | None = None) -> InputError | RunStopped:
    """What ends a command at an error.

    Args:
        error: the error.
        options: of the command, for the names of those that say how much is computed at once.
        folder: of the run, if it is open; the trace is written there, else among temporary files.

    Returns:
        The error itself, if it says all. An `InputError` for a package that is missing. Otherwise a
        `RunStopped`, which says how to go on: for exhausted memory with which options; for what
        nobody foresaw with the file that the trace was written to.
    """
    said, go_on = _one_line(error), f"to go on: {typed_command()}"
    kept = f"what was computed is kept in {folder}" if folder else "what was kept is kept"
    told = isinstance(error, RunStopped) and str(error).startswith(_OUT_OF_MEMORY)
    if _is_out_of_memory(error) and not told:
        sizes = [flag for flag, _ in each_option(options) if flag.startswith("--batch-size")]
        fewer = " or ".join(sizes or ["--batch-size"])
        return RunStopped(
            f"{_OUT_OF_MEMORY} ({said}); a smaller {fewer} needs less; {kept}; {go_on}"
        )
    if isinstance(error, InputError | RunStopped):
        return error
    if isinstance(error, ImportError) and (error.name or "").split(".")[0] not in _OURS:
        return InputError(f"a package is missing or damaged: {error}")
    if isinstance(error, OSError):
        # What is read is checked by name; what is left are disks that are full or gone.
        return RunStopped(f"{error}; {kept}" if folder else f"{error}; {kept}, {go_on}")
    return RunStopped(f"{said}; not foreseen: {_write_trace(error, folder)}; {kept}; {go_on}")


def _is_out_of_memory(error: BaseException) -> bool:
    return any(
        isinstance(one, MemoryError)
        or (isinstance(one, OSError) and one.errno == errno.ENOMEM)
        or (not isinstance(one, InputError | RunStopped) and _says_no_memory(str(one)))
        for one in _causes(error)
    )


def _says_no_memory(said: str) -> bool:
    # A full disk exhausts a resource, too.
    return bool(_NO_MEMORY.search(said)) and "No space left on device" not in said


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    # Some libraries raise an error from itself.
    seen = set()
    while error is not None and id(error) not in seen:
        yield error
        seen.add(id(error))
        error = error.__cause__ or error.__context__


def _one_line(error: BaseException) -> str:
    said = " ".join(str(error).split())
    said = said if len(said) <= 300 else f"{said[:200]} ... {said[-95:]}"
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def _write_trace(error: BaseException, folder: Path | None) -> str:
    trace = "".join(traceback.format_exception(error))
    try:
        if folder is None:
            with tempfile.NamedTemporaryFile(
                "w", prefix="jclip-", suffix=f"-{TRACE}", delete=False,
                encoding="utf-8", errors="backslashreplace",
            ) as file:  # fmt: skip
                file.write(trace)
            return f"the trace is in {file.name}"
        file = folder / TRACE
        file.write_text(trace, encoding="utf-8", errors="backslashreplace")
        return f"the trace is in {file}"
    except OSError as second:
        last = traceback.extract_tb(error.__traceback__)[-1]
        return f"{last.filename}, line {last.lineno}; the trace cannot be written ({second})"
