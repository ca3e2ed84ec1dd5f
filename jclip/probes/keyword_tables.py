"""What a keyword probe found as tables: a row per pair of words, and per set, model and fit."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from jclip.probes.keyword import KeywordScores
from jclip.probes.scores import with_probabilities
from jclip.statistics.keyword import KeywordStatistics


def keyword_statistics_table(
    results: Sequence[KeywordScores],
    statistics: Sequence[KeywordStatistics],
    adjusted_p: Sequence[Float[np.ndarray, "v u"]],
) -> pa.Table:
    """One row per set, model, fit, identifier and generic word; differences in score units."""
    rows = []
    for result, own, holm_p in zip(results, statistics, adjusted_p, strict=True):
        for v, identifier in enumerate(result.identifiers):
            for u, generic in enumerate(result.generics):
                at = v, u
                rows.append(
                    {
                        **result.named,
                        "identifier": identifier,
                        "generic": generic,
                        "n": own.n,
                        "median_difference": float(own.median[at]),
                        "hodges_lehmann": float(own.location[at]),
                        "hodges_lehmann_low": float(own.location_interval.low[at]),
                        "hodges_lehmann_high": float(own.location_interval.high[at]),
                        "rank_biserial": float(own.effect[at]),
                        "share_of_wins": float(own.wins[at]),
                        "wins_low": float(own.wins_interval.low[at]),
                        "wins_high": float(own.wins_interval.high[at]),
                        "wilcoxon_statistic": float(own.statistic[at]),
                        "wilcoxon_p": float(own.p[at]),
                        "holm_p": float(holm_p[at]),
                    }
                )
    return pa.Table.from_pylist(rows)


def keyword_summary(
    results: Sequence[KeywordScores],
    statistics: Sequence[KeywordStatistics],
    adjusted_p: Sequence[Float[np.ndarray, "v u"]],
    alpha: float,
) -> pa.Table:
    """One row per set, model and fit: in how many pairs of words the identifier scores higher.

    `pairs_found` of `pairs` have p < alpha after Holm's adjustment; `location` is the median over
    pairs of the Hodges-Lehmann difference, `median_difference` that of the median difference.
    Where a model has a sigmoid, the median probabilities with either kind of words stand last.
    """
    rows = [
        {
            **result.named,
            "n": own.n,
            "pairs_found": int((p < alpha).sum()),
            "pairs": p.size,
            "median_difference": float(np.median(own.median)),
            "location": float(np.median(own.location)),
            "fewest_wins": float(own.wins.min()),
            "most_wins": float(own.wins.max()),
        }
        for result, own, p in zip(results, statistics, adjusted_p, strict=True)
    ]
    scores = {
        "identifier_probability": [result.identifier_scores for result in results],
        "generic_probability": [result.generic_scores for result in results],
    }
    return pa.Table.from_pylist(with_probabilities(rows, results, scores))


def keyword_line(row: dict) -> str:
    """A row of the summary in words."""
    images = "images (control)" if row["control"] else "images"
    return (
        f"{row['image_set']}, {row['model']}, {row['fit']}: identifiers score higher in "
        f"{row['pairs_found']} of {row['pairs']} pairs after Holm, median difference "
        f"{row['median_difference']:+.3f}, {row['n']} {images}"
    )
