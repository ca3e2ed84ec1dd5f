"""The page of the fine-grained probe: ranks of right captions among hard negatives."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from jclip.probes.fine_grained_table import ModelComparison, SetSummary, mean_over_sets
from jclip.report.page import Cell, Column, Illustration, Page, Section, Table
from jclip.report.provenance import FaultChoice, fault_section, settings_section
from jclip.report.shift_tables import written_p
from jclip.report.style import COLOURS, INK, MUTED, drawable, panels, png, tidy


def fine_grained_page(
    summaries: Sequence[SetSummary],
    comparisons: Sequence[ModelComparison],
    *,
    settings: Mapping[str, object],
    faults: Sequence[FaultChoice],
    notices: Sequence[str],
) -> Page:
    """Assembles the report.

    Args:
        summaries: of every set by every model.
        comparisons: between models; empty with one.
        settings: what was run.
        faults: one per fault of the paper's code that the run had a choice in.
        notices: what a reader should know first.

    Raises:
        ValueError: no summaries.
    """
    if not summaries:
        raise ValueError("no results")
    models = _models(summaries)
    title = models[0] if len(models) == 1 else f"{len(models)} models"
    compared = (_comparison_section(comparisons),) if comparisons else ()
    return Page(
        title=f"Fine-grained captions: {title}",
        lead="Does a box score higher with its right caption than with captions that are wrong in "
        "a detail?",
        notices=tuple(notices),
        sections=(
            _summary_section(summaries),
            *compared,
            _count_section(summaries),
            fault_section(faults),
            settings_section(settings),
        ),
    )


def _models(summaries: Sequence[SetSummary]) -> list[str]:
    return list(dict.fromkeys(s.ranked.model for s in summaries))


def _sets(summaries: Sequence[SetSummary]) -> dict[str, SetSummary]:
    """One summary of every set, for what does not depend on the model."""
    return {s.ranked.name: s for s in reversed(summaries)}


def _summary_section(summaries: Sequence[SetSummary]) -> Section:
    return Section(
        heading="Mean rank",
        text="The rank of the right caption among itself and its negatives: 1 is best, a guess "
        "ranks at (n + 1) / 2 of n captions. Lower is better.\n\n"
        "Ties count against the right caption, as in the paper; the table also counts half of "
        "them. Intervals are a bootstrap over boxes, at 95 %; boxes of one image count as "
        "independent.",
        figures=(
            Illustration(
                "mean-rank",
                "Mean rank of the right caption, with 95 % intervals; grey lines mark chance.",
                png(rank_figure(summaries)),
            ),
        ),
        tables=(_paper_table(summaries), _interval_table(summaries)),
    )


def _names(summaries: Sequence[SetSummary]) -> list[str]:
    return list(dict.fromkeys(s.ranked.name for s in summaries))


def _paper_table(summaries: Sequence[SetSummary]) -> Table:
    names, means, any_of = _names(summaries), mean_over_sets(summaries), _sets(summaries)
    columns = (
        Column("model"),
        Column("ties"),
        *(Column(name, ".2f") for name in names),
        Column(f"mean of {len(names)}", ".2f"),
    )
    rows: list[tuple[Cell, ...]] = []
    for model in _models(summaries):
        own = {s.ranked.name: s for s in summaries if s.ranked.model == model}
        for ties, said in (("reference", "against it"), ("averaged", "half")):
            cells = [
                float(getattr(own[n], ties).mean[own[n].at]) if n in own else None for n in names
            ]
            rows.append((model, said, *cells, means[model][ties]))
    chance = [float(any_of[name].reference.chance[any_of[name].at]) for name in names]
    rows.append(("chance", "", *chance, float(np.mean(chance))))
    negatives: list[Cell] = [any_of[name].ranked.negatives for name in names]
    rows.append(("negatives", "", *(str(n) for n in negatives), ""))
    return Table("Mean rank, as in the paper's table", columns, tuple(rows))


def _interval_table(summaries: Sequence[SetSummary]) -> Table:
    columns = (
        Column("model"),
        Column("set"),
        Column("boxes"),
        Column("mean rank", ".3f"),
        Column("95 % interval", ".3f"),
        Column("median", ".3g"),
        Column("median as in the paper's code", ".3g"),
        Column("chance", ".2f"),
    )
    rows = tuple(
        (
            s.ranked.model,
            s.ranked.name,
            int(s.reference.boxes[s.at]),
            float(s.reference.mean[s.at]),
            (float(s.reference.interval.low[s.at]), float(s.reference.interval.high[s.at])),
            float(s.reference.median[s.at]),
            float(s.reference.median_reference[s.at]),
            float(s.reference.chance[s.at]),
        )
        for s in summaries
    )
    return Table("Intervals and medians", columns, rows)


def _comparison_section(comparisons: Sequence[ModelComparison]) -> Section:
    columns = (
        Column("first"),
        Column("second"),
        Column("set"),
        Column("boxes"),
        Column("mean difference", "+.3f"),
        Column("rank-biserial", "+.3f"),
        Column("p", "#.2g"),
        Column("Holm p", "#.2g"),
    )
    rows = tuple(
        (
            c.first,
            c.second,
            c.set,
            c.ranks.boxes,
            c.ranks.difference,
            c.ranks.effect,
            written_p(c.ranks.p),
            written_p(c.holm_p),
        )
        for c in comparisons
    )
    return Section(
        heading="Models compared",
        text="Two-sided Wilcoxon signed-rank tests between the ranks of the same boxes; Holm's "
        "method adjusts p over all of this table. Below zero the first model ranks better.",
        tables=(Table("Rank of the first model minus rank of the second", columns, rows),),
    )


def _count_section(summaries: Sequence[SetSummary]) -> Section:
    """How many boxes have at least n negatives: the mean ranks are over these."""
    sets = _sets(summaries)
    names = _names(summaries)
    most = max(len(sets[name].reference.boxes) for name in names)
    columns = (Column("set"), *(Column(f"{n}") for n in range(1, most + 1)))
    rows = []
    for name in names:
        counts = sets[name].reference.boxes
        rows.append((name, *(int(c) for c in counts), *[0] * (most - len(counts))))
    return Section(
        heading="Boxes with at least n negatives",
        text="Boxes with fewer negatives than the table asks for are not in its mean.",
        tables=(Table("Number of boxes by number of negatives", columns, tuple(rows)),),
    )


def rank_figure(summaries: Sequence[SetSummary]) -> Figure:
    """Mean rank per set, a colour per model, with intervals and chance."""
    names, models, sets = _names(summaries), _models(summaries), _sets(summaries)
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
