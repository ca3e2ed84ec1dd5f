"""The page of retrieval: recall, median and mean rank, both directions."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from jclip.probes.retrieval import RankedQueries, recall_at, retrieval_table
from jclip.report.page import Column, Illustration, Page, Section, page_title
from jclip.report.style import COLOURS, drawable, panels, png
from jclip.report.tables import page_table

_FARTHEST = 100
_TICKS = (1, 2, 5, 10, 20, 50, 100)
_COLUMNS = {
    **dict.fromkeys(("model", "direction", "queries", "among")),
    **{f"recall_at_{k}": Column(f"R@{k} (%)", ".1f") for k in (1, 5, 10)},
    "median_rank": Column("median rank", ".4g"),
    "mean_rank": Column("mean rank", ".2f"),
}


def retrieval_page(results: Sequence[RankedQueries]) -> Page:
    """The page of every model in both directions.

    Raises:
        ValueError: no results.
    """
    if not results:
        raise ValueError("no results")
    models = list(dict.fromkeys(result.model for result in results))
    recall = Section(
        "Recall",
        "Does an image find a caption of its own among all captions, and a caption its image? R@k "
        "is the share of queries for which what they ask for is among the first k. An image asks "
        "for the best of its captions. Ties count against the query.",
        page_table("Retrieval", retrieval_table(results), _COLUMNS),
        Illustration("recall", "R@k for every k up to 100.", png(recall_figure(results))),
    )
    lead = " ".join(_finding(model, results) for model in models)
    return Page(page_title("Retrieval", models), lead, (recall,))


def _finding(model: str, results: Sequence[RankedQueries]) -> str:
    asked = {"image to text": "images find a caption", "text to image": "captions find their image"}
    found = [
        f"{recall_at(result.ranks)[1]:.1f} % of {len(result.ranks)} {asked[result.direction]} "
        f"first among {result.gallery}"
        for result in results
        if result.model == model
    ]
    return f"By {model}, {', and '.join(found)}."


def recall_figure(results: Sequence[RankedQueries]) -> Figure:
    """R@k against k, a panel per direction, a colour per model."""
    directions = list(dict.fromkeys(result.direction for result in results))
    models = list(dict.fromkeys(result.model for result in results))
    figure, axes = panels(len(directions), 2, (4.6, 3.4), directions, x="k", y="R@k (%)")
    for result in results:
        k = np.arange(1, min(_FARTHEST, result.gallery) + 1)
        share = 100 * np.searchsorted(np.sort(result.ranks), k, side="right") / len(result.ranks)
        colour = COLOURS[models.index(result.model) % len(COLOURS)]
        panel = axes[directions.index(result.direction)]
        panel.plot(k, share, color=colour, label=drawable(result.model))
    for panel in axes:
        panel.set_xscale("log")
        panel.set_xticks(_TICKS, map(str, _TICKS))
        panel.minorticks_off()
    axes[0].set_ylim(0, 100)
    axes[0].legend(frameon=False, fontsize=9, loc="upper left")
    return figure
