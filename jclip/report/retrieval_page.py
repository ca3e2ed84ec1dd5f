"""The page of retrieval: recall, median and mean rank, both directions."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from jclip.probes.retrieval import RankedQueries
from jclip.report.page import Column, Illustration, Page, Section, Table
from jclip.report.provenance import FaultChoice, fault_section, settings_section
from jclip.report.style import COLOURS, INK, drawable, panels, png, tidy

_FARTHEST = 100


def retrieval_page(
    results: Sequence[RankedQueries],
    *,
    settings: Mapping[str, object],
    faults: Sequence[FaultChoice],
    notices: Sequence[str],
) -> Page:
    """Assembles the report.

    Args:
        results: every model in both directions.
        settings: what was run.
        faults: one per fault of the paper's code that the run had a choice in.
        notices: what a reader should know first.

    Raises:
        ValueError: no results.
    """
    if not results:
        raise ValueError("no results")
    models = list(dict.fromkeys(result.model for result in results))
    title = models[0] if len(models) == 1 else f"{len(models)} models"
    return Page(
        title=f"Retrieval: {title}",
        lead="Does an image find a caption of its own among all captions, and a caption its image?",
        notices=tuple(notices),
        sections=(
            Section(
                heading="Recall",
                text="R@k is the share of queries for which what they ask for is among the first "
                "k. An image asks for the best of its captions. Ties count against the query.",
                tables=(_table(results),),
                figures=(
                    Illustration(
                        "recall", "R@k for every k up to 100.", png(recall_figure(results))
                    ),
                ),
            ),
            fault_section(faults),
            settings_section(settings),
        ),
    )


def _table(results: Sequence[RankedQueries]) -> Table:
    columns = (
        Column("model"),
        Column("direction"),
        Column("queries"),
        Column("among"),
        *(Column(f"R@{k} (%)", ".1f") for k in (1, 5, 10)),
        Column("median rank", ".4g"),
        Column("mean rank", ".2f"),
    )
    rows = tuple(
        (
            result.model,
            result.direction,
            summary.queries,
            result.gallery,
            *summary.recall.values(),
            summary.median,
            summary.mean,
        )
        for result in results
        for summary in (result.summary,)
    )
    return Table("Retrieval", columns, rows)


def recall_figure(results: Sequence[RankedQueries]) -> Figure:
    """R@k against k, a panel per direction, a colour per model."""
    directions = list(dict.fromkeys(result.direction for result in results))
    models = list(dict.fromkeys(result.model for result in results))
    figure, axes = panels(len(directions), 2, (4.6, 3.4))
    for direction, panel in zip(directions, axes, strict=True):
        tidy(panel)
        panel.set_title(direction, fontsize=10.5, color=INK)
        for result in results:
            if result.direction != direction:
                continue
            k = np.arange(1, min(_FARTHEST, result.gallery) + 1)
            share = 100 * np.searchsorted(np.sort(result.ranks), k, side="right")
            number = models.index(result.model)
            panel.plot(
                k,
                share / len(result.ranks),
                color=COLOURS[number % len(COLOURS)],
                label=drawable(result.model),
            )
        panel.set_xscale("log")
        panel.set_xticks([1, 2, 5, 10, 20, 50, 100], ["1", "2", "5", "10", "20", "50", "100"])
        panel.minorticks_off()
        panel.set_xlabel("k", fontsize=9)
    axes[0].set_ylabel("R@k (%)", fontsize=9)
    axes[0].set_ylim(0, 100)
    axes[0].legend(frameon=False, fontsize=9, loc="upper left")
    return figure
