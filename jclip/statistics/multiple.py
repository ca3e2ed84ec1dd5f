"""Many tests at once: corrections and combinations of p values."""

import numpy as np
from jaxtyping import Float


def holm(p: Float[np.ndarray, "*tests"]) -> Float[np.ndarray, "*tests"]:
    """Holm's step-down adjustment over all entries, in the shape of `p`.

    Rejecting where the adjusted p < alpha keeps the chance of any false rejection below alpha,
    however the tests depend on each other (Holm 1979, Scandinavian Journal of Statistics 6).
    NaN marks what was not tested: it stays NaN and does not count.

    Raises:
        ValueError: a p value outside [0, 1].
    """
    adjusted = np.full(p.shape, np.nan)
    tested = ~np.isnan(p)
    values = _valid(p[tested])
    order = np.argsort(values, kind="stable")
    raised = np.maximum.accumulate(np.arange(len(values), 0, -1) * values[order])
    adjusted[tested] = np.minimum(raised, 1)[np.argsort(order)]
    return adjusted


def intersection_union(p: Float[np.ndarray, "*tests"]) -> float:
    """The p value of "every alternative holds": the largest p; NaN where nothing was tested.

    A test of level alpha without any correction (Berger 1982, Technometrics 24). NaN entries mark
    what was not tested and do not count.

    Raises:
        ValueError: a p value outside [0, 1].
    """
    values = _valid(p[~np.isnan(p)])
    return float(np.max(values)) if len(values) else float("nan")


def _valid(p: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    if np.any((p < 0) | (p > 1)):
        raise ValueError("p values must lie between 0 and 1")
    return p
