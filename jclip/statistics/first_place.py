"""Is the right caption first? Under every rule for ties."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int


class FirstPlace(NamedTuple):
    """How many wrong captions score above a right one and as high, of `captions` in all, `[N]`.

    A tie for the first place is a win (`ties_for`, FG-CLIP's rule), a loss (`ties_against`, paper
    2's), or shared (`ties_shared`, the chance to win it by lot).
    """

    above: Int[np.ndarray, " n"]
    tied: Int[np.ndarray, " n"]
    captions: Int[np.ndarray, " n"]

    @property
    def ties_for(self) -> Float[np.ndarray, " n"]:
        """1 where no wrong caption scores above the right one."""
        return (self.above == 0).astype(np.float64)

    @property
    def ties_against(self) -> Float[np.ndarray, " n"]:
        """1 where no wrong caption scores as high."""
        return (self.above + self.tied == 0).astype(np.float64)

    @property
    def ties_shared(self) -> Float[np.ndarray, " n"]:
        """1 of the 1 + T captions that share the first place."""
        return self.ties_for / (1 + self.tied)

    @property
    def decided(self) -> Bool[np.ndarray, " n"]:
        """Where nothing but the rule for ties says whether the right caption is first."""
        return (self.above == 0) & (self.tied > 0)

    @property
    def chance(self) -> Float[np.ndarray, " n"]:
        """Of a guess to be right."""
        return 1 / self.captions


def first_place(scores: Float[np.ndarray, "n m"]) -> FirstPlace:
    """Where the right caption, the first of each row, stands; NaN where there is no caption.

    Raises:
        ValueError: a right caption's score is NaN.
    """
    right, wrong = scores[:, :1], scores[:, 1:]
    if np.isnan(right).any():
        raise ValueError("scores: a right caption's is NaN")
    counts = np.count_nonzero(wrong > right, axis=1), np.count_nonzero(wrong == right, axis=1)
    return FirstPlace(*counts, 1 + np.count_nonzero(~np.isnan(wrong), axis=1))
