"""The command line of an experiment: tyro in, an exit status out.

0 done; 1 stopped midway, results kept; 2 bad input, nothing computed, one line on stderr; 3 done,
with failures listed in `failures.csv`; 143 ended by SIGTERM, results kept.
"""

import contextlib
import io
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

import tyro

from jclip.distributed import require_devices
from jclip.errors import InputError
from jclip.runs.compilation_cache import use_compilation_cache
from jclip.runs.last_resort import ending
from jclip.runs.processes import ProcessOptions, launch
from jclip.runs.record import typed_command
from jclip.runs.terminal import end_soon, open_ended_streams, speak_utf8
from jclip.runs.typed_options import settled

DONE, STOPPED, BAD_INPUT, DONE_WITH_FAILURES, TERMINATED = 0, 1, 2, 3, 143


def run_command[Options](
    options: type[Options], main: Callable[[Options], int], description: str | None = None
) -> NoReturn:
    """Parse the command line into `options`, run `main` and exit with its status.

    Args:
        options: a frozen dataclass whose field docstrings are the help texts; with a field
            `processes: ProcessOptions`, several processes may share a run.
        main: returns an exit status.
        description: the help's opening, the experiment's docstring by default.
    """
    speak_utf8()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    with open_ended_streams():
        status = _status(options, main, description)
    end_soon(status)
    sys.exit(status)


def _status[Options](
    options: type[Options], main: Callable[[Options], int], description: str | None
) -> int:
    parsed = None
    try:
        parsed = settled(_parse(options, description))
        processes = getattr(parsed, "processes", None)
        if isinstance(processes, ProcessOptions):
            status = launch(processes, lambda: _run(main, parsed))
        else:
            status = _run(main, parsed)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        return _say(STOPPED, f"stopped: interrupted; {_go_on()}")
    except SystemExit as end:
        if end.code == TERMINATED:
            _say(TERMINATED, f"stopped: ended by SIGTERM, results are kept; {_go_on()}")
        return end.code if isinstance(end.code, int) else DONE
    except Exception as error:
        end = ending(error, parsed)
        if isinstance(end, InputError):
            # A command line knows the library's argument by its option.
            option = f" (see --{end.argument.replace('_', '-')})" if end.argument else ""
            return _say(BAD_INPUT, f"error: {end.message}{option}")
        return _say(STOPPED, f"stopped: {end}")


def _go_on() -> str:
    return f"to go on: {typed_command()}"


def _run[Options](main: Callable[[Options], int], options: Options) -> int:
    require_devices()
    if notice := use_compilation_cache():
        print(f"note: {notice}")
    return main(options)


def _say(status: int, message: str) -> int:
    print(" ".join(message.split()), file=sys.stderr)
    return status


def _parse[Options](options: type[Options], description: str | None) -> Options:
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(options, description=description)
    except SystemExit as end:
        if end.code:
            raise InputError(_one_line(complaint.getvalue())) from None
        raise


def _one_line(boxed: str) -> str:
    """What tyro says in a titled box, without both: the complaint and the likeliest correction."""
    lines = [line.strip("│╭╮╰╯─ \t") for line in boxed.splitlines()[1:]]
    # Without Unicode the box is drawn in hyphens.
    blocks = " ".join(line if line.strip("-") else "\n" for line in lines).split("\n")
    said = [block.strip() for block in blocks if block.strip()]
    suggestions = [b for b in said[1:] if b.startswith("Perhaps you meant")]
    return " ".join([*said[:1], *suggestions[:1], "(--help lists the options)"])
