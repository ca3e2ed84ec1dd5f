"""Does a panorama cost the same among ten as among thousands?

    python -m benchmarks.scaling --model demo --counts 100,1000,10000
    python -m benchmarks.scaling --model random:ViT-B-32 --counts 10,100,1000

Sweeps so many panoramas of the demo world at eight shifts, rendered when they are asked for, from
pixels and prompts to scores. Prints the milliseconds per panorama and their ratio to the mean of
all counts; compiling and loading are left out, and of smaller counts the median of three sweeps is
taken. Three minutes with the demo model on two CPU cores, nine with B/32.
"""

import dataclasses
import time

import jax
import numpy as np

from benchmarks.sweep import prepared_sweep
from jclip.checkpoints import Checkpoint, load_checkpoint
from jclip.data.demo_world import draw_scenes
from jclip.data.images import ImageFile
from jclip.errors import InputError
from jclip.runs.command import DONE, run_command
from jclip.runs.options import Integers

HEIGHT, BATCH = 128, 64


@dataclasses.dataclass(frozen=True)
class Options:
    """What is swept."""

    model: str = "demo"
    """Checkpoint."""
    counts: Integers = (100, 1000, 10_000)
    """Numbers of panoramas."""


def panorama(index: int) -> ImageFile:
    """A scene that is drawn when it is decoded."""

    def pixels() -> np.ndarray:
        (one,) = draw_scenes("panorama", [index], HEIGHT, seed=0, split="test", at_once=1)
        return one.pixels

    return ImageFile(f"{index}.png", pixels, HEIGHT, 2 * HEIGHT, str(index))


def seconds(checkpoint: Checkpoint, count: int, batches: int | None = None) -> float:
    """What a sweep of so many panoramas takes, or of its first batches."""
    images = [panorama(index) for index in range(count)]
    prompts = [f"scene number {index}" for index in range(count)]
    begin = time.perf_counter()
    scores = prepared_sweep(checkpoint, "crop", images, prompts, BATCH)(batches)
    assert batches or np.isfinite(scores).all()
    return time.perf_counter() - begin


def main(options: Options) -> int:
    """Print one line per number of panoramas."""
    if min(options.counts, default=0) < 1:
        raise InputError("--counts: needs positive numbers")
    checkpoint = load_checkpoint(options.model)
    taken = {}
    for count in options.counts:
        seconds(checkpoint, count, 1)
        repetitions = min(3, max(options.counts) // count)
        runs = [seconds(checkpoint, count) for _ in range(repetitions)]
        taken[count] = 1e3 * float(np.median(runs)) / count
    mean = np.mean(list(taken.values()))
    print(f"{options.model} on {jax.devices()[0].device_kind}, jax {jax.__version__}")
    print("panoramas  ms each  of the mean")
    for count, each in taken.items():
        print(f"{count:9,}{each:9.2f}{each / mean:13.3f}")
    return DONE


if __name__ == "__main__":
    run_command(Options, main, __doc__)
