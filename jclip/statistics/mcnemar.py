"""Two models, right or wrong on the same records: McNemar's exact test."""

import dataclasses

import numpy as np
import scipy
from jaxtyping import Bool


@dataclasses.dataclass(frozen=True)
class McNemar:
    """McNemar's test of two models' right answers, two-sided and exact.

    `only_first` and `only_second` count the records that one model alone has right, `difference` is
    the first one's share of right answers minus the second's. `p_exact` is the binomial test of the
    discordant records, `p_mid` its mid-p, which keeps its level in practice and wastes less
    (Fagerland, Lydersen and Laake 2013, BMC Medical Research Methodology 13).
    """

    only_first: int
    only_second: int
    difference: float
    p_exact: float
    p_mid: float


def mcnemar(first: Bool[np.ndarray, " n"], second: Bool[np.ndarray, " n"]) -> McNemar:
    """Whether two models have other shares of N records right; without discordant ones p is 1.

    Raises:
        ValueError: no records, or not the same number of both.
    """
    if len(first) == 0 or len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} records: need as many of both, and some")
    ours, theirs = int(np.sum(first & ~second)), int(np.sum(second & ~first))
    n = ours + theirs
    exact = float(scipy.stats.binomtest(ours, n, 0.5).pvalue) if n else 1.0
    at = float(scipy.stats.binom.pmf(ours, n, 0.5)) if n else 0.0
    mid = exact - at if ours != theirs else 1 - at / 2
    difference = float(np.mean(first) - np.mean(second))
    return McNemar(ours, theirs, difference, exact, mid)
