"""The table of paper 2: what heads do to ranks among hard negatives, and to retrieval."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from matplotlib.figure import Figure

from jclip.probes.heads import RECALLS
from jclip.report.page import Column, Illustration, Page, Section, Table
from jclip.report.style import COLOURS, INK, drawable, panels, png
from jclip.report.tables import MeanColumn, page_table

Row = Mapping[str, Any]

_SUMMARY: dict[Any, Column | None] = {
    **dict.fromkeys(("head", "stage", "seeds")),
    "mean_rank": MeanColumn("mean rank", ".2f"),
    **{name: MeanColumn(name.replace("_r", " R@"), ".1f") for name in RECALLS},
}
_MARKERS = {"before": "x", "warm-up": "o", "hard-negatives": "s"}


def rank_gain(before: float, after: float) -> float:
    """How much of the way from a mean rank to 1, the best there is, another one has gone."""
    return (before - after) / (before - 1) if before > 1 else float("nan")


def result_line(row: Row) -> str:
    """One head, stage and seed, or several seeds, in a line of text."""
    which = f"seed {row['seed']}" if "seed" in row else f"{row['seeds']} seeds"
    recalls = " ".join(f"{row[name]:.1f}" for name in RECALLS)
    return f"{row['head']}, {row['stage']}, {which}: mean rank {row['mean_rank']:.2f}; {recalls}"


def heads_page(table: pa.Table, sets: Sequence[str]) -> Page:
    """The page of heads before, between and after the two stages of their training.

    The `heads_table` has stages `before`, `warm-up` and `hard-negatives`, and in numbers
    `mean_rank`, the mean rank of each of the `sets` by its name, and `RECALLS`.

    Raises:
        ValueError: no row is of the embeddings before any head.
    """
    summary = table.to_pylist()
    if not any(row["stage"] == "before" for row in summary):
        raise ValueError("nothing to compare with: no row is of stage 'before'")
    heads = Section(
        "Summary",
        "Is what tells fine details apart in CLIP's embeddings, only not read out by the cosine, "
        "and what does reading it out cost in retrieval? The mean rank of the right caption among "
        "its hard negatives, averaged over the sets (1 is best, ties count against it); recall of "
        "retrieval in per cent of queries. Before is the cosine of the embeddings themselves. All "
        "heads are measured on boxes and images that they were not trained on.",
        page_table("Mean and standard deviation over seeds", table, _SUMMARY),
    )
    trade_off = Illustration(
        "trade-off",
        "Each head from before (cross) over the warm-up (circle) to hard negatives (square); bars "
        "are standard deviations over seeds. Lower and further to the right is better.",
        png(trade_off_figure(summary)),
    )
    ranks = Section("Mean rank of every set", "", _set_table(table, sets))
    lead = _finding(summary)
    return Page("Re-projection heads", lead, (heads, Section("Trade-off", "", trade_off), ranks))


def _before(summary: Sequence[Row]) -> Row:
    return next(row for row in summary if row["stage"] == "before")


def _finding(summary: Sequence[Row]) -> str:
    before = _before(summary)
    best = min(summary, key=lambda row: row["mean_rank"])
    if best is before:
        return f"No head ranks right captions better than the cosine ({before['mean_rank']:.2f})."
    return (
        f"A {best['head']} head (after {best['stage']}) ranks the right caption at "
        f"{best['mean_rank']:.2f}, the cosine at {before['mean_rank']:.2f}; of images "
        f"{best['i2t_r1']:.1f} % find a caption of theirs first, by the cosine "
        f"{before['i2t_r1']:.1f} %."
    )


def _set_table(table: pa.Table, sets: Sequence[str]) -> Table:
    hard = "Hard" if "Hard" in sets else sets[0]
    summary = table.to_pylist()
    before = _before(summary)[hard]
    gains = [None if r["stage"] == "before" else rank_gain(before, r[hard]) for r in summary]
    columns = {
        **dict.fromkeys(("head", "stage")),
        **{name: MeanColumn(name, ".2f") for name in sets},
        "gain": Column(f"way to 1 gone, {hard}", ".0%"),
    }
    table = table.append_column("gain", pa.array(gains, pa.float64()))
    return page_table("Mean and standard deviation over seeds", table, columns)


def trade_off_figure(summary: Sequence[Row]) -> Figure:
    """Mean rank against R@1, a panel per direction and a colour per head; from `heads_table`."""
    before = _before(summary)
    heads = dict.fromkeys(row["head"] for row in summary if row["stage"] != "before")
    figure, axes = panels(2, 2, (5.4, 4.0), y="mean rank over the sets")
    directions = (("i2t_r1", "image to text"), ("t2i_r1", "text to image"))
    for panel, (recall, direction) in zip(axes, directions, strict=True):
        for head, colour in zip(heads, COLOURS, strict=False):
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
        panel.set_xlabel(f"R@1, {direction} (%)")
    axes[1].legend(frameon=False, fontsize=9)
    return figure
