"""PyTorch beside ours: a script in another Python that answers lines of JSON with lines of JSON.

It writes one line when it is ready, and one for every request.
"""

import contextlib
import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from jclip.errors import InputError

Ask = Callable[[dict[str, Any]], dict[str, Any]]
"""Sends a request, waits for the answer."""


@contextlib.contextmanager
def torch_process(command: Sequence[str]) -> Iterator[tuple[Ask, dict[str, Any]]]:
    """Run a script until the block ends; yields how to ask it, and what it said when it was ready.

    Raises:
        InputError: it cannot be started or ends early; its last line on stderr says why.
    """
    pipes = dict.fromkeys(("stdin", "stdout"), subprocess.PIPE)
    with tempfile.TemporaryFile("w+") as complaint:
        try:
            process = subprocess.Popen(command, **pipes, stderr=complaint, text=True, bufsize=1)
        except OSError as error:
            raise InputError(f"{command[0]}: cannot be run ({error.strerror})") from None
        assert process.stdin is not None and process.stdout is not None
        requests, answers = process.stdin, process.stdout

        def answer() -> dict[str, Any]:
            line = answers.readline()
            if not line:
                process.wait()
                complaint.seek(0)
                said = complaint.read().strip().splitlines() or ["no reason given"]
                raise InputError(f"{' '.join(command[:3])} ended early: {said[-1]}")
            return json.loads(line)

        def ask(request: dict[str, Any]) -> dict[str, Any]:
            with contextlib.suppress(BrokenPipeError):
                requests.write(json.dumps(request) + "\n")
                requests.flush()
            return answer()

        with process:
            try:
                yield ask, answer()
            finally:
                process.kill()
                # What a process that is gone has not read would be flushed to it once more.
                with contextlib.suppress(BrokenPipeError):
                    requests.close()
