"""Measurements that take turns, so that whatever else the machine does slows all of them alike."""

import dataclasses
from collections.abc import Callable, Hashable, Mapping

import numpy as np
from jaxtyping import Float
from tqdm import tqdm


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
    tasks: Mapping[Name, Callable[[], float]],
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
    for name, task in tqdm(tasks.items(), desc="warm-up"):
        first[name] = task()
        warmed_up(name)
        task()
    taken = {name: np.zeros(rounds) for name in tasks}
    for number in tqdm(range(rounds), desc="rounds"):
        for name, task in tasks.items():
            taken[name][number] = task()
    return {name: Seconds(first[name], taken[name]) for name in tasks}
