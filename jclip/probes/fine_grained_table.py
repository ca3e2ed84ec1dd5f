"""Summaries of the fine-grained probe, tests between models, and both as tables."""

import dataclasses
import functools
import itertools
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from jclip.probes.fine_grained import RankedSet
from jclip.statistics.multiple import holm
from jclip.statistics.ranks import (
    RankComparison,
    RankSummary,
    chance_rank,
    compare_ranks,
    summarise_ranks,
)


@dataclasses.dataclass(frozen=True)
class SetSummary:
    """One set by one model, with ties against the right caption (`reference`) and `averaged`."""

    ranked: RankedSet
    reference: RankSummary
    averaged: RankSummary

    @property
    def at(self) -> int:
        """Where in the summaries' arrays the table's number of negatives is."""
        return self.ranked.negatives - 1


@dataclasses.dataclass(frozen=True)
class ModelComparison:
    """Two models on one set, at the table's number of negatives; `holm_p` is over the family."""

    first: str
    second: str
    set: str
    ranks: RankComparison
    holm_p: float


def summarise_sets(results: Sequence[RankedSet], seed: int = 0) -> list[SetSummary]:
    """Each result per number of negatives; `seed` is the bootstrap's."""
    summarise = functools.partial(summarise_ranks, seed=seed)
    return [SetSummary(r, summarise(r.reference), summarise(r.averaged)) for r in results]


def compare_models(results: Sequence[RankedSet]) -> list[ModelComparison]:
    """Every two models on the boxes of a set that both ranked; ties against the right caption.

    Holm's method adjusts p over all sets and pairs of models.
    """
    groups = {one.name: [r for r in results if r.name == one.name] for one in results}
    found = []
    for name, own in groups.items():
        for first, second in itertools.combinations(own, 2):
            _, a, b = np.intersect1d(first.annotations, second.annotations, return_indices=True)
            ours, theirs = first.in_table[a], second.in_table[b]
            both = np.isfinite(ours) & np.isfinite(theirs)
            if both.any():
                compared = compare_ranks(ours[both], theirs[both])
                found.append((first.model, second.model, name, compared))
    adjusted = holm(np.array([compared.p for *_, compared in found]))
    return [
        ModelComparison(first, second, name, compared, float(p))
        for (first, second, name, compared), p in zip(found, adjusted, strict=True)
    ]


def mean_over_sets(summaries: Sequence[SetSummary]) -> dict[str, dict[str, float]]:
    """By model the figure of the paper's table: the mean of the sets' mean ranks, and its chance.

    Keys `reference`, `averaged` (how ties count) and `chance`.
    """
    models = dict.fromkeys(s.ranked.model for s in summaries)
    groups = {model: [s for s in summaries if s.ranked.model == model] for model in models}
    return {
        model: {
            "reference": float(np.mean([s.reference.mean[s.at] for s in own])),
            "averaged": float(np.mean([s.averaged.mean[s.at] for s in own])),
            "chance": float(np.mean(chance_rank(np.array([s.at + 1 for s in own])))),
        }
        for model, own in groups.items()
    }


def paper_table(summaries: Sequence[SetSummary]) -> pa.Table:
    """A row per model and way to count ties: the mean rank of every set, and their mean.

    Null where a model has no rank of a set.
    """
    means, names = mean_over_sets(summaries), dict.fromkeys(s.ranked.name for s in summaries)
    rows = []
    for model, ties in itertools.product(means, ("reference", "averaged")):
        row: dict[str, object] = {"model": model, "ties": ties, **names}
        for s in summaries:
            if s.ranked.model == model:
                row[s.ranked.name] = float(getattr(s, ties).mean[s.at])
        rows.append(row | {"mean of sets": means[model][ties]})
    return pa.Table.from_pylist(rows)


def summary_table(summaries: Sequence[SetSummary]) -> pa.Table:
    """A row per model, set and number of negatives; `in_table` marks the paper's number."""
    return pa.Table.from_pylist(
        [
            {
                "model": s.ranked.model,
                "set": s.ranked.set,
                "name": s.ranked.name,
                "negatives": at + 1,
                "in_table": at == s.at,
                "boxes": int(s.reference.boxes[at]),
                "mean_rank": float(s.reference.mean[at]),
                "mean_rank_low": float(s.reference.interval.low[at]),
                "mean_rank_high": float(s.reference.interval.high[at]),
                "mean_rank_ties_averaged": float(s.averaged.mean[at]),
                "median_rank": float(s.reference.median[at]),
                "median_rank_reference": float(s.reference.median_reference[at]),
                "chance": float(s.reference.chance[at]),
            }
            for s in summaries
            for at in range(len(s.reference.boxes))
        ]
    )


def comparison_table(comparisons: Sequence[ModelComparison]) -> pa.Table:
    """A row per set and pair of models; below zero the first one ranks better."""
    texts = {name: [getattr(c, name) for c in comparisons] for name in ("first", "second", "set")}
    ranks = {
        "mean_difference": [c.ranks.difference for c in comparisons],
        "rank_biserial": [c.ranks.effect for c in comparisons],
        "statistic": [c.ranks.statistic for c in comparisons],
        "p": [c.ranks.p for c in comparisons],
        "holm_p": [c.holm_p for c in comparisons],
    }
    return pa.table(
        {
            # The types are given, since there may be no comparison.
            **{name: pa.array(values, pa.string()) for name, values in texts.items()},
            "boxes": pa.array([c.ranks.boxes for c in comparisons], pa.int64()),
            **{name: pa.array(values, pa.float64()) for name, values in ranks.items()},
        }
    )


def rank_table(results: Sequence[RankedSet]) -> pa.Table:
    """A row per model, set and box: its rank at the table's number of negatives, ties both ways."""
    return pa.concat_tables(
        pa.table(
            {
                "model": pa.repeat(r.model, len(r.annotations)),
                "set": pa.repeat(r.set, len(r.annotations)),
                "annotation": r.annotations,
                "negatives": pa.repeat(r.negatives, len(r.annotations)),
                "rank": r.in_table,
                "rank_ties_averaged": r.averaged[:, r.negatives - 1],
            }
        )
        for r in results
    )


def rank_lines(summaries: Sequence[SetSummary]) -> list[str]:
    """The mean rank of every model, over all sets and of each, in words."""
    return [
        f"{model}: mean rank {own['reference']:.2f} (chance {own['chance']:.2f}); "
        + ", ".join(
            f"{s.ranked.name} {s.reference.mean[s.at]:.2f}"
            for s in summaries
            if s.ranked.model == model
        )
        for model, own in mean_over_sets(summaries).items()
    ]
