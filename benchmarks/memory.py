"""Does the memory of a sweep depend on the number of panoramas?

    python -m benchmarks.memory

Sweeps folders of 96, 384 and 1,536 copies of the sample panoramas, each in a process of its own,
and prints the peak resident memory of each. A minute with `--model tests/golden/hf_full`, six with
the default on two CPU cores.
"""

import dataclasses
import shutil
import subprocess
import sys
import tempfile
from importlib import resources
from pathlib import Path

from jclip.runs.command import DONE, run_command

COUNTS = (96, 384, 1536)
MEASURED = """
from benchmarks.timing import peak_memory
from experiments import shift_sweep
from jclip.runs.command import run_command
try:
    run_command(shift_sweep.Options, shift_sweep.main)
finally:
    print("peak", round(peak_memory()))
"""


@dataclasses.dataclass(frozen=True)
class Options:
    """What is swept."""

    model: str = "random:ViT-B-32"
    """Checkpoint."""


def peak_memory(model: str, count: int, folder: Path) -> int:
    """Peak resident memory in MiB of a sweep over `count` panoramas."""
    images = folder / f"images-{count}"
    images.mkdir()
    samples = sorted(Path(str(resources.files("jclip.data") / "samples")).glob("*.jpg"))
    for number in range(count):
        shutil.copy(samples[number % len(samples)], images / f"{number:05d}.jpg")
    (images / "prompts.txt").write_text("a panorama\n" * count, encoding="utf-8")
    arguments = ["--model", model, "--images", str(images), "--shifts", "2"]
    command = [sys.executable, "-c", MEASURED, *arguments, "--out", str(folder / f"run-{count}")]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return int(output.split("peak")[-1])


def main(options: Options) -> int:
    """Print one line per number of panoramas."""
    print("panoramas,peak MiB")
    with tempfile.TemporaryDirectory() as folder:
        for count in COUNTS:
            print(f"{count},{peak_memory(options.model, count, Path(folder))}", flush=True)
    return DONE


if __name__ == "__main__":
    run_command(Options, main, __doc__)
