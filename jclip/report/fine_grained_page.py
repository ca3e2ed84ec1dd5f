"""The page of the fine-grained probe: ranks of right captions among hard negatives."""

import dataclasses
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
from jclip.report.page import Cell, Column, Illustration, Page, Section, Table
from jclip.report.style import COLOURS, INK, MUTED, drawable, panels, png, tidy
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
    models = models_of(summaries)
    title = models[0] if len(models) == 1 else f"{len(models)} models"
    compared = (
        Section(
            heading="Models compared",
            text="Two-sided Wilcoxon signed-rank tests between the ranks of the same boxes; Holm's "
            "method adjusts p over all of this table. Below zero the first model ranks better.",
            tables=comparison_tables(comparisons),
        ),
    )
    return Page(
        title=f"Fine-grained captions: {title}",
        lead=mean_rank_finding(summaries),
        sections=(
            Section(
                heading="Mean rank",
                text="Does a box score higher with its right caption than with captions that are "
                "wrong in a detail? The rank of the right caption among itself and its negatives: "
                "1 is best, a guess ranks at (n + 1) / 2 of n captions. Lower is better.\n\n"
                "Ties count against the right caption, as in the paper; the table also counts half "
                "of them. Intervals are a bootstrap over boxes, at 95 %; boxes of one image count "
                "as independent.",
                figures=(rank_illustration(summaries),),
                tables=rank_tables(summaries),
            ),
            *(compared if comparisons else ()),
            Section(
                heading="Boxes with at least n negatives",
                text="Boxes with fewer negatives than the table asks for are not in its mean.",
                tables=(_count_table(summaries),),
            ),
        ),
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
        f"{len(_names(summaries))} sets; 1 is best, a guess is at {chance:.2f})."
    )


def rank_illustration(summaries: Sequence[SetSummary], name: str = "mean-rank") -> Illustration:
    """`rank_figure` for a page."""
    caption = "Mean rank of the right caption, with 95 % intervals; grey lines mark chance."
    return Illustration(name, caption, png(rank_figure(summaries)))


def rank_tables(summaries: Sequence[SetSummary], of: str = "") -> tuple[Table, Table]:
    """Mean ranks as in the paper's table, then intervals and medians; `of` ends their captions."""
    details = summary_table(summaries).filter(pc.field("in_table"))
    return (
        _paper_table(f"Mean rank, as in the paper's table{of}", summaries),
        page_table(f"Intervals and medians{of}", details, _INTERVALS),
    )


def comparison_tables(comparisons: Sequence[ModelComparison], of: str = "") -> tuple[Table, ...]:
    """The tests between models, if there are several; `of` ends the caption."""
    if not comparisons:
        return ()
    caption = f"Rank of the first model minus rank of the second{of}"
    return (page_table(caption, comparison_table(comparisons), _COMPARISONS),)


def _paper_table(caption: str, summaries: Sequence[SetSummary]) -> Table:
    """With chance and the numbers of negatives and boxes below."""
    found, names, sets = paper_table(summaries), _names(summaries), _sets(summaries)
    ties = pa.array([_TIES[value] for value in found["ties"].to_pylist()])
    found = found.set_column(found.column_names.index("ties"), "ties", ties)
    columns = {
        "model": None,
        "ties": None,
        **{name: Column(name, ".2f") for name in names},
        "mean of sets": Column(f"mean of {len(names)}", ".2f"),
    }
    table = page_table(caption, found, columns)
    own = [sets[name] for name in names]
    chance = [float(s.reference.chance[s.at]) for s in own]
    below: list[tuple[Cell, ...]] = [
        ("chance", "", *chance, float(np.mean(chance))),
        ("negatives", "", *(str(s.ranked.negatives) for s in own), ""),
        ("boxes", "", *(str(int(s.reference.boxes[s.at])) for s in own), ""),
    ]
    return dataclasses.replace(table, rows=(*table.rows, *below))


def _count_table(summaries: Sequence[SetSummary]) -> Table:
    """How many boxes have at least n negatives: the mean ranks are over these."""
    names, sets = _names(summaries), _sets(summaries)
    most = max(len(own.reference.boxes) for own in sets.values())
    counts = [np.resize(np.append(sets[name].reference.boxes, [0] * most), most) for name in names]
    columns = {f"{n}": column for n, column in enumerate(np.transpose(counts), 1)}
    caption = "Number of boxes by number of negatives"
    return page_table(caption, pa.table({"set": names, **columns}), ["set", *columns])


def _sets(summaries: Sequence[SetSummary]) -> dict[str, SetSummary]:
    """One summary of every set, for what does not depend on the model."""
    return {s.ranked.name: s for s in reversed(summaries)}


def _names(summaries: Sequence[SetSummary]) -> list[str]:
    return list(dict.fromkeys(s.ranked.name for s in summaries))


def rank_figure(summaries: Sequence[SetSummary]) -> Figure:
    """Mean rank per set, a colour per model, with intervals and chance."""
    names, models, sets = _names(summaries), models_of(summaries), _sets(summaries)
    figure, (axes,) = panels(1, 1, (max(6.0, 1.15 * len(names)), 3.8))
    tidy(axes)
    for place, name in enumerate(names):
        chance = float(sets[name].reference.chance[sets[name].at])
        axes.hlines(chance, place - 0.42, place + 0.42, color=MUTED, linewidth=1.4)
    step = 0.6 / max(len(models), 1)
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
    labels = [f"{drawable(name)}\n1 + {sets[name].ranked.negatives}" for name in names]
    axes.set_xticks(range(len(names)), labels, fontsize=9)
    axes.set_ylabel("mean rank (lower is better)", color=INK, fontsize=9)
    axes.set_ylim(bottom=0.9)
    axes.legend(frameon=False, fontsize=9, loc="upper right")
    return figure
