"""Whether the images of one set score, or change, more than those of another."""

import dataclasses
import itertools
from collections.abc import Mapping

import numpy as np
import scipy
from jaxtyping import Float


@dataclasses.dataclass(frozen=True)
class SetComparison:
    """A two-sided Mann-Whitney U test between two sets of independent images.

    `statistic` is U of the first set, `p` is not adjusted. `superiority` is the chance that an
    image drawn from the first set has a larger value than one from the second, half of the ties
    counted: 1/2 where neither tends to be larger.
    """

    first: str
    second: str
    statistic: float
    p: float
    superiority: float


def compare_sets(values: Mapping[str, Float[np.ndarray, "_"]]) -> tuple[SetComparison, ...]:
    """Compares every pair of sets, in the order of the mapping, by one value per image.

    The test is `scipy.stats.mannwhitneyu` with its defaults; superiority is U / (N M) (Vargha and
    Delaney 2000, Journal of Educational and Behavioral Statistics 25).

    Raises:
        ValueError: an empty set, or a value that is not finite.
    """
    for name, sample in values.items():
        if len(sample) == 0 or not np.all(np.isfinite(sample)):
            raise ValueError(f"set {name!r} needs at least one value, all of them finite")
    return tuple(_compare(*pair, values) for pair in itertools.combinations(values, 2))


def _compare(
    first: str, second: str, values: Mapping[str, Float[np.ndarray, "_"]]
) -> SetComparison:
    sample, against = values[first], values[second]
    pairs = len(sample) * len(against)
    if np.ptp(np.concatenate([sample, against])) == 0:
        # All tied: the normal approximation would divide by a variance of zero.
        return SetComparison(first, second, pairs / 2, 1.0, 0.5)
    statistic, p = map(float, np.asarray(scipy.stats.mannwhitneyu(sample, against)))
    return SetComparison(first, second, statistic, p, statistic / pairs)
