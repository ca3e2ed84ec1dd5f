"""The page of the fine-grained probe: ranks of right captions among hard negatives."""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from matplotlib.figure import Figure

from jclip.probes.fine_grained_table import (
    ModelComparison,
    SetSummary,
    comparison_table,
    mean_over_sets,
    paper_table,
    summary_table,
)
from jclip.report.page import Cell, Column, Illustration, Page, Section, Table, page_title
from jclip.report.style import COLOURS, MUTED, drawable, panels, png
from jclip.report.tables import page_table

_TIES = {"reference": "against it", "averaged": "half"}
_INTERVALS = {
    "model": None,
    "name": Column("set"),
    "boxes": None,
    "mean_rank": Column("mean rank", ".3f"),
    ("mean_rank_low", "mean_rank_high"): None,
    "median_rank": Column("median", ".3g"),
    "median_rank_reference": Column("median as in the paper's code", ".3g"),
    "chance": Column("chance", ".2f"),
}
_COMPARISONS = {
    **dict.fromkeys(("first", "second", "set", "boxes")),
    "mean_difference": Column("mean difference", "+.3f"),
    "rank_biserial": Column("rank-biserial", "+.3f"),
    "statistic": Column("Wilcoxon statistic", ".10g"),
    "p": Column("p", "#.2g"),
    "holm_p": None,
}


def fine_grained_page(
    summaries: Sequence[SetSummary], comparisons: Sequence[ModelComparison]
) -> Page:
    """The page of every set by every model, and of the tests between models, if there are several.

    Raises:
        ValueError: no summaries.
    """
    if not summaries:
        raise ValueError("no results")
    compared = Section(
        "Models compared",
        "Two-sided Wilcoxon signed-rank tests between the ranks of the same boxes; Holm's method "
        "adjusts p over all of this table. Below zero the first model ranks better.",
        *comparison_tables(comparisons),
    )
    ranks = Section(
        "Mean rank",
        "Does a box score higher with its right caption than with captions that are wrong in a "
        "detail? The rank of the right caption among itself and its negatives: 1 is best, a guess "
        "ranks at (n + 1) / 2 of n captions. Lower is better.\n\n"
        "Ties count against the right caption, as in the paper; the table also counts half of "
        "them. Intervals are a bootstrap over boxes, at 95 %; boxes of one image count as "
        "independent.",
        rank_illustration(summaries),
        *rank_tables(summaries),
    )
    counts = Section(
        "Boxes with at least n negatives",
        "Boxes with fewer negatives than the table asks for are not in its mean.",
        _count_table(summaries),
    )
    return Page(
        page_title("Fine-grained captions", models_of(summaries)),
        mean_rank_finding(summaries),
        (ranks, *((compared,) if comparisons else ()), counts),
    )


def models_of(summaries: Sequence[SetSummary]) -> list[str]:
    """The models that are summarised, in order."""
    return list(dict.fromkeys(s.ranked.model for s in summaries))


def mean_rank_finding(summaries: Sequence[SetSummary]) -> str:
    """The figure of the paper's table in a sentence, for every model."""
    means = mean_over_sets(summaries)
    chance = next(iter(means.values()))["chance"]
    found = ", ".join(f"{own['reference']:.2f} by {model}" for model, own in means.items())
    return (
        f"Among its hard negatives the right caption of a box ranks at {found} (mean of "
        f"{len(_sets(summaries))} sets; 1 is best, a guess is at {chance:.2f})."
    )


def rank_illustration(summaries: Sequence[SetSummary], name: str = "mean-rank") -> Illustration:
    """`rank_figure` for a page."""
    caption = "Mean rank of the right caption, with 95 % intervals; grey lines mark chance."
    return Illustration(name, caption, png(rank_figure(summaries)))


def rank_tables(summaries: Sequence[SetSummary], of: str = "") -> tuple[Table, Table]:
    """Mean ranks as in the paper's table, then intervals and medians; `of` ends their captions."""
    ranks = _paper_table(f"Mean rank, as in the paper's table{of}", summaries)
    details = summary_table(summaries).filter(pc.field("in_table"))
    return ranks, page_table(f"Intervals and medians{of}", details, _INTERVALS)


def comparison_tables(comparisons: Sequence[ModelComparison], of: str = "") -> tuple[Table, ...]:
    """The tests between models, if there are several; `of` ends the caption."""
    if not comparisons:
        return ()
    caption = f"Rank of the first model minus rank of the second{of}"
    return (page_table(caption, comparison_table(comparisons), _COMPARISONS),)


def _paper_table(caption: str, summaries: Sequence[SetSummary]) -> Table:
    """With chance and the numbers of negatives and boxes below."""
    found, sets = paper_table(summaries), _sets(summaries)
    ties = pa.array([_TIES[value] for value in found["ties"].to_pylist()])
    columns = {
        **dict.fromkeys(("model", "ties")),
        **{name: Column(name, ".2f") for name in sets},
        "mean of sets": Column(f"mean of {len(sets)}", ".2f"),
    }
    found = found.set_column(found.column_names.index("ties"), "ties", ties)
    table = page_table(caption, found, columns)
    chance = [_chance(own) for own in sets.values()]
    below: list[tuple[Cell, ...]] = [
        ("chance", "", *chance, float(np.mean(chance))),
        ("negatives", "", *(str(s.ranked.negatives) for s in sets.values()), ""),
        ("boxes", "", *(str(int(s.reference.boxes[s.at])) for s in sets.values()), ""),
    ]
    return dataclasses.replace(table, rows=(*table.rows, *below))


def _count_table(summaries: Sequence[SetSummary]) -> Table:
    """How many boxes have at least n negatives: the mean ranks are over these."""
    sets = _sets(summaries)
    counts = itertools.zip_longest(*(own.reference.boxes for own in sets.values()), fillvalue=0)
    table = {"set": list(sets), **{f"{n}": column for n, column in enumerate(counts, 1)}}
    return page_table("Number of boxes by number of negatives", pa.table(table), list(table))


def _chance(summary: SetSummary) -> float:
    return float(summary.reference.chance[summary.at])


def _sets(summaries: Sequence[SetSummary]) -> dict[str, SetSummary]:
    """One summary of every set, in order, for what does not depend on the model."""
    sets: dict[str, SetSummary] = {}
    for summary in summaries:
        sets.setdefault(summary.ranked.name, summary)
    return sets


def rank_figure(summaries: Sequence[SetSummary]) -> Figure:
    """Mean rank per set, a colour per model, with intervals and chance."""
    sets, models = _sets(summaries), models_of(summaries)
    names, size = list(sets), (max(6.0, 1.15 * len(sets)), 3.8)
    figure, (axes,) = panels(1, 1, size, y="mean rank (lower is better)")
    for place, own in enumerate(sets.values()):
        axes.hlines(_chance(own), place - 0.42, place + 0.42, color=MUTED, linewidth=1.4)
    step = 0.6 / len(models)
    for number, model in enumerate(models):
        own = [s for s in summaries if s.ranked.model == model]
        mean = np.array([s.reference.mean[s.at] for s in own])
        low = np.array([s.reference.interval.low[s.at] for s in own])
        high = np.array([s.reference.interval.high[s.at] for s in own])
        places = np.array([names.index(s.ranked.name) for s in own])
        axes.errorbar(
            places + (number - (len(models) - 1) / 2) * step,
            mean,
            yerr=np.stack([mean - low, high - mean]),
            fmt="o",
            markersize=5,
            capsize=3,
            color=COLOURS[number % len(COLOURS)],
            label=drawable(model),
        )
    labels = [f"{drawable(name)}\n1 + {own.ranked.negatives}" for name, own in sets.items()]
    axes.set_xticks(range(len(labels)), labels)
    axes.set_ylim(bottom=0.9)
    axes.legend(frameon=False, fontsize=9, loc="upper right")
    return figure
