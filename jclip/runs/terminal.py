"""What a command writes to and how it ends, whatever the terminal, the locale and the reader."""

import atexit
import contextlib
import io
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

ENDS_WITHIN = 20.0
"""Seconds after which a process that is done but does not end is ended."""
_WATCH = "jclip-end"


def speak_utf8() -> None:
    """Start the command again in Python's UTF-8 mode where the locale means another encoding.

    Otherwise names of files and texts of the command line would be read in it.
    """
    if sys.getfilesystemencoding() != "utf-8" and os.environ.get("PYTHONUTF8") != "1":
        command = [sys.executable, *sys.orig_argv[1:]]
        os.execve(sys.executable, command, {**os.environ, "PYTHONUTF8": "1"})


@contextlib.contextmanager
def open_ended_streams() -> Iterator[None]:
    """Let stdout and stderr be closed by whoever reads them, as `head` does, and write any name."""
    out, err = _Stream(sys.stdout), _Stream(sys.stderr)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):  # type: ignore[type-var]
        yield


def end_soon(status: int) -> None:
    """Have the process end quietly and in some seconds, once Python has begun to end it.

    Everything is on disk and everything is said by then. What libraries do at the very end may fail
    where memory is exhausted, or wait for a thread that never ends.
    """
    atexit.register(setattr, sys, "unraisablehook", lambda _: None)
    if _WATCH in {thread.name for thread in threading.enumerate()}:
        return

    def watch() -> None:
        threading.main_thread().join()
        time.sleep(ENDS_WITHIN)
        os._exit(status)

    # Where no thread can be started any more, there is none to wait for either.
    with contextlib.suppress(RuntimeError):
        threading.Thread(target=watch, name=_WATCH, daemon=True).start()


class _Stream:
    def __init__(self, stream: Any):
        self._stream = stream or io.StringIO()
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        self._attempt(self._stream.write, text)
        return len(text)

    def flush(self) -> None:
        self._attempt(self._stream.flush)

    def _attempt(self, write: Callable[..., Any], *arguments: str) -> None:
        try:
            write(*arguments)
        except OSError as error:
            # What could not be written would be tried again when Python ends.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
            if not isinstance(error, BrokenPipeError):
                raise
