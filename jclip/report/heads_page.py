"""The table of paper 2: what heads do to ranks among hard negatives, and to retrieval."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from matplotlib.figure import Figure

from jclip.probes.head_measures import RECALLS
from jclip.report.page import Column, Illustration, Page, Section, Table
from jclip.report.provenance import FaultChoice, fault_section, settings_section
from jclip.report.style import COLOURS, INK, drawable, panels, png, tidy
from jclip.report.training_tables import deviation

Row = Mapping[str, Any]

_MARKERS = {"before": "x", "warm-up": "o", "hard-negatives": "s"}


def heads_table(rows: Sequence[Row]) -> pa.Table:
    """Mean and deviation over seeds of every number, one row per head and stage.

    Args:
        rows: one per head, stage and seed: `head`, `stage`, `seed`, and numbers.
    """
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["head"], row["stage"]), []).append(row)
    table = []
    for (head, stage), own in groups.items():
        summary: dict[str, Any] = {"head": head, "stage": stage, "seeds": len(own)}
        for name in own[0]:
            if name in ("head", "stage", "seed"):
                continue
            values = [float(row[name]) for row in own]
            summary |= {name: float(np.mean(values)), f"{name}_deviation": deviation(values)}
        table.append(summary)
    return pa.Table.from_pylist(table)


def rank_gain(before: float, after: float) -> float:
    """How much of the way from a mean rank to 1, the best there is, another one has gone."""
    return (before - after) / (before - 1) if before > 1 else float("nan")


def heads_page(
    rows: Sequence[Row],
    sets: Sequence[str],
    *,
    settings: Mapping[str, object],
    faults: Sequence[FaultChoice],
    notices: Sequence[str],
) -> Page:
    """Assembles the report.

    Args:
        rows: one per head, stage and seed: `head`, `stage` (`before`, `warm-up`,
            `hard-negatives`), `seed`, `mean_rank`, the mean rank of each set by its name, and
            `RECALLS`.
        sets: names of the sets, in order.
        settings: what was run; a mapping inside becomes a table of its own.
        faults: one per fault of the paper's code that the run had a choice in.
        notices: warnings that precede everything else.

    Raises:
        ValueError: no row is of the embeddings before any head.
    """
    if not any(row["stage"] == "before" for row in rows):
        raise ValueError("nothing to compare with: no row is of stage 'before'")
    summary = heads_table(rows).to_pylist()
    return Page(
        title="Re-projection heads",
        lead="Is what tells fine details apart in CLIP's embeddings, only not read out by the "
        "cosine, and what does reading it out cost in retrieval?",
        notices=tuple(notices),
        sections=(
            Section(
                heading="Summary",
                text="The mean rank of the right caption among its hard negatives, averaged over "
                "the sets (1 is best, ties count against it); recall of retrieval in per cent of "
                "queries. Before is the cosine of the embeddings themselves. All heads are "
                "measured on boxes and images that they were not trained on.",
                tables=(_summary_table(summary),),
            ),
            Section(
                heading="Trade-off",
                figures=(
                    Illustration(
                        "trade-off",
                        "Each head from before (cross) over the warm-up (circle) to hard negatives "
                        "(square); bars are standard deviations over seeds. Lower and further to "
                        "the right is better.",
                        png(trade_off_figure(summary)),
                    ),
                ),
            ),
            Section(heading="Mean rank of every set", tables=(_set_table(summary, sets),)),
            fault_section(faults),
            settings_section(settings),
        ),
    )


def _written(row: Row, name: str, form: str) -> str:
    spread = row[f"{name}_deviation"]
    mean = format(row[name], form)
    return mean if np.isnan(spread) else f"{mean} ± {format(spread, form)}"


def _summary_table(summary: Sequence[Row]) -> Table:
    columns = (
        Column("head"),
        Column("stage"),
        Column("seeds"),
        Column("mean rank"),
        *(Column(name.replace("_r", " R@")) for name in RECALLS),
    )
    rows = tuple(
        (
            row["head"],
            row["stage"],
            row["seeds"],
            _written(row, "mean_rank", ".2f"),
            *(_written(row, name, ".1f") for name in RECALLS),
        )
        for row in summary
    )
    return Table("Mean and standard deviation over seeds", columns, rows)


def _set_table(summary: Sequence[Row], sets: Sequence[str]) -> Table:
    before = next(row for row in summary if row["stage"] == "before")
    hard = "Hard" if "Hard" in sets else sets[0]
    columns = (
        Column("head"),
        Column("stage"),
        *(Column(name) for name in sets),
        Column(f"way to 1 gone, {hard}", ".0%"),
    )
    rows = tuple(
        (
            row["head"],
            row["stage"],
            *(_written(row, name, ".2f") for name in sets),
            None if row is before else rank_gain(before[hard], row[hard]),
        )
        for row in summary
    )
    return Table("Mean and standard deviation over seeds", columns, rows)


def trade_off_figure(summary: Sequence[Row]) -> Figure:
    """Mean rank against R@1 of retrieval, one panel per direction and one colour per head.

    Args:
        summary: rows of `heads_table`.
    """
    before = next(row for row in summary if row["stage"] == "before")
    heads = [row["head"] for row in summary if row["stage"] != "before"]
    figure, axes = panels(2, 2, (5.4, 4.0))
    directions = (("i2t_r1", "image to text"), ("t2i_r1", "text to image"))
    for panel, (recall, direction) in zip(axes, directions, strict=True):
        tidy(panel)
        for head, colour in zip(dict.fromkeys(heads), COLOURS, strict=False):
            path = [before, *(row for row in summary if row["head"] == head)]
            x, y = [row[recall] for row in path], [row["mean_rank"] for row in path]
            panel.plot(x, y, color=colour, linewidth=1, label=drawable(head))
            for row in path:
                panel.errorbar(
                    row[recall],
                    row["mean_rank"],
                    xerr=np.nan_to_num(row[f"{recall}_deviation"]),
                    yerr=np.nan_to_num(row["mean_rank_deviation"]),
                    color=INK if row is before else colour,
                    marker=_MARKERS[row["stage"]],
                    markersize=6,
                )
        panel.set_xlabel(f"R@1, {direction} (%)", fontsize=9, color=INK)
    axes[0].set_ylabel("mean rank over the sets", fontsize=9, color=INK)
    axes[1].legend(frameon=False, fontsize=9)
    return figure
