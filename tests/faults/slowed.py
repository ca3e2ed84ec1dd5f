"""Runs an experiment slowly enough for a kill to fall into its work.

python -m tests.faults.slowed SECONDS EXPERIMENT OPTIONS

Every picture takes some seconds longer to decode, every batch is kept as soon as it is computed,
and a process that falls silent is missed sooner.
"""

import importlib
import sys
import time

from jclip import distributed
from jclip.data import images
from jclip.runs.command import run_command
from jclip.runs.run import Run

SILENCE_SECONDS = 10


def main() -> None:
    seconds, name = float(sys.argv.pop(1)), sys.argv.pop(1)
    decode = images._rgb

    def decode_slowly(*arguments):
        time.sleep(seconds)
        return decode(*arguments)

    images._rgb = decode_slowly
    Run.seconds_between_parts = 0
    distributed.HEARTBEAT_SECONDS = min(SILENCE_SECONDS, distributed.HEARTBEAT_SECONDS)
    experiment = importlib.import_module(f"experiments.{name}")
    run_command(experiment.Options, experiment.main)


if __name__ == "__main__":
    main()
