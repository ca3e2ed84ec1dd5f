"""A run in several processes: how they are started, found, watched and ended.

Every process is started with the same command. JAX aborts a process when another one dies, whatever
it is doing, so each runs below a small supervisor that says in one line what happened.
"""

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Annotated, Any

import jax

from jclip.distributed import is_lead, join_processes, on_tpu, wait_for_all
from jclip.errors import InputError, RunStopped
from jclip.runs.record import Silent

_SUPERVISED = "JCLIP_SUPERVISED"
AUTO = "auto"
# What starts several tasks: how many there are, and which one this is.
_STARTERS = {
    "Slurm": ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID"),
    "Slurm's job": ("SLURM_NTASKS", "SLURM_PROCID"),
    "Open MPI": ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
    "MPI": ("PMI_SIZE", "PMI_RANK"),
    "MVAPICH": ("MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_RANK"),
    "torchrun": ("WORLD_SIZE", "RANK"),
}


@dataclasses.dataclass(frozen=True)
class ProcessOptions:
    """The processes that share a run; a TPU pod needs none of these."""

    coordinator: Annotated[str | None, Silent] = None
    """HOST:PORT of process 0, the same in all; auto asks Slurm, Open MPI or Kubernetes."""
    num_processes: Annotated[int | None, Silent] = None
    """How many processes share the run, with an explicit coordinator."""
    process_id: Annotated[int | None, Silent] = None
    """Which of them this is, from 0."""

    def check(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            InputError: the three options do not fit together.
        """
        numbered = self.num_processes is not None and self.process_id is not None
        if self.coordinator in (None, AUTO):
            if (self.num_processes, self.process_id) != (None, None):
                raise InputError(
                    "--num-processes and --process-id belong to --coordinator HOST:PORT"
                )
        elif ":" not in str(self.coordinator) or not numbered:
            raise InputError("--coordinator HOST:PORT needs --num-processes and --process-id too")
        elif not 0 <= (self.process_id or 0) < (self.num_processes or 0):
            raise InputError(f"--process-id {self.process_id}: not below {self.num_processes}")


def task_notices() -> list[str]:
    """A notice where this process is one of several tasks that know nothing of each other."""
    if jax.process_count() > 1:
        return []
    for starter, variables in _STARTERS.items():
        count, rank = (os.environ.get(name, "") for name in variables)
        if count.isdecimal() and rank.isdecimal() and int(count) > 1:
            return [
                f"This is task {rank} of the {count} of {starter}, and does the whole run by "
                "itself: tasks share a run with --coordinator auto or HOST:PORT."
            ]
    return []


def launch(options: ProcessOptions, main: Callable[[], int]) -> int:
    """Run `main` as one of the processes of a run, or alone; returns the exit status.

    Only process 0 writes to stdout.

    Raises:
        InputError: see `ProcessOptions.check` and `join_processes`.
        RunStopped: JAX ended this process because another one is gone.
    """
    options.check()
    if options.coordinator is None and not on_tpu():
        return main()
    if os.environ.get(_SUPERVISED) != str(os.getppid()):
        return _supervise()
    threading.Thread(target=_end_with_supervisor, daemon=True).start()
    join_processes(
        None if options.coordinator == AUTO else options.coordinator,
        options.num_processes,
        options.process_id,
    )
    with contextlib.ExitStack() as stack:
        if not is_lead():
            quiet = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
            stack.enter_context(contextlib.redirect_stdout(quiet))
        status = main()
    wait_for_all("the run is over")
    return status


def _supervise() -> int:
    """Run the same command again as a child, and give its end a meaning."""
    command = [sys.executable, *sys.orig_argv[1:]]
    environment: dict[str, Any] = {**os.environ, _SUPERVISED: str(os.getpid())}
    # The child reads nothing from its input; its end tells it that this process is gone.
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE) as child:
        signal.signal(signal.SIGTERM, lambda *_: child.terminate())
        # A terminal sends it to the child, too.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        status = child.wait()
    if status >= 0:
        return status
    ended = signal.Signals(-status).name
    cause = "another process died or cannot be reached" if ended == "SIGABRT" else "from outside"
    raise RunStopped(
        f"this process was ended by {ended} ({cause}); results are kept up to the last part; the "
        "same command in all processes goes on from there"
    )


def _end_with_supervisor() -> None:
    # Not through sys.stdin, whose lock a daemon thread would hold while Python ends.
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGKILL)
