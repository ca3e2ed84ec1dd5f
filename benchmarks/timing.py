"""Measurements that take turns, so that whatever else the machine does slows all of them alike."""

import dataclasses
import resource
import sys
import time
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Float
from tqdm import tqdm

Work = Callable[[], float]
"""Does a piece of work once, and returns the seconds that it took."""


def timed(work: Callable[[], Any]) -> Work:
    """Work that is over when its result is complete on the device."""

    def seconds() -> float:
        begun = time.perf_counter()
        jax.block_until_ready(work())
        return time.perf_counter() - begun

    return seconds


@dataclasses.dataclass(frozen=True)
class Seconds:
    """What one measurement took: the first time, compiling included, and every round after it."""

    first: float
    rounds: Float[np.ndarray, " rounds"]

    @property
    def median(self) -> float:
        """Over the rounds."""
        return float(np.median(self.rounds))


def take_turns[Name: Hashable](
    tasks: Mapping[Name, Work],
    rounds: int,
    warmed_up: Callable[[Name], None] = lambda name: None,
) -> dict[Name, Seconds]:
    """Do every task twice to warm up, then all of them in turn, `rounds` times.

    Args:
        tasks: each returns the seconds that it took.
        rounds: at least one.
        warmed_up: told the name of a task that has run for the first time.
    """
    first = {}
    for name, task in tqdm(tasks.items(), desc="warm-up", leave=False):
        first[name] = task()
        warmed_up(name)
        task()
    taken = {name: np.zeros(rounds) for name in tasks}
    for number in tqdm(range(rounds), desc="rounds", leave=False):
        for name, task in tasks.items():
            taken[name][number] = task()
    return {name: Seconds(first[name], taken[name]) for name in tasks}


def peak_memory() -> float:
    """The most MiB in use so far: of the device where it says so, of the process elsewhere."""
    known = jax.local_devices()[0].memory_stats()
    if known and "peak_bytes_in_use" in known:
        return known["peak_bytes_in_use"] / 2**20
    unit = 1 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
