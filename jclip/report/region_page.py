"""The page of boxes judged as crops and as regions of their pictures."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from matplotlib.figure import Figure

from jclip.report.page import Column, Illustration, Page, Section, page_title
from jclip.report.published_regions import published_first_places, published_mean_rank
from jclip.report.style import COLOURS, MUTED, drawable, legend_below, panels, png
from jclip.report.tables import page_table, written_p

_WHO = {"name": Column("set"), "model": None, "protocol": None}
_TOP = {
    "top1": Column("first, ties shared (%)", ".1f"),
    ("top1_low", "top1_high"): Column("95 % interval", ".1f"),
}
_RANK = {
    "mean_rank": Column("mean rank", ".2f"),
    ("mean_rank_low", "mean_rank_high"): Column("95 % interval", ".2f"),
}
_RESULTS = {
    **_WHO,
    "boxes": None,
    **_TOP,
    "top1_ties_for": Column("ties for it", ".1f"),
    "top1_ties_against": Column("ties against it", ".1f"),
    "decided_by_ties": Column("boxes that ties decide"),
    "chance_top1": Column("chance", ".1f"),
    "published_top1": Column("published", ".1f"),
    **_RANK,
    "published_mean_rank": Column("published", ".2f"),
}
_SHORT = {
    **_WHO,
    "negatives": Column("wrong captions wanted"),
    "short_lists": Column("boxes with fewer"),
    "top1_short_lists": Column("first among these, ties shared (%)", ".1f"),
}
_SIZES = {
    **_WHO,
    "size": None,
    "boxes": None,
    **_TOP,
    "decided_by_ties": Column("boxes that ties decide"),
    **_RANK,
}
_TESTS = {
    "name": Column("set"),
    **dict.fromkeys(("first", "second", "boxes")),
    "difference": Column("first places, difference (points)", "+.1f"),
    ("difference_low", "difference_high"): Column("95 % interval", "+.1f"),
    "p": Column("p", "#.2g"),
    "holm_p": None,
    "only_first": None,
    "only_second": None,
    "mcnemar_p": Column("McNemar p", "#.2g"),
    "mcnemar_mid_p": Column("McNemar mid-p", "#.2g"),
    "rank_difference": Column("mean rank, difference", "+.3f"),
    "rank_holm_p": Column("Holm p of ranks", "#.2g"),
}


def with_published(results: pa.Table) -> pa.Table:
    """The results with what was published of the same model, set and protocol, null elsewhere."""
    rows = results.select(["model", "name", "protocol"]).to_pylist()
    first, ranks = [], []
    for row in rows:
        roi, who = row["protocol"] == "roi", (row["model"], row["name"])
        first.append(published_first_places(*who) if roi else None)
        ranks.append(None if roi else published_mean_rank(*who))
    results = results.append_column("published_top1", pa.array(first, pa.float64()))
    return results.append_column("published_mean_rank", pa.array(ranks, pa.float64()))


def region_page(results: pa.Table, sizes: pa.Table, tests: pa.Table) -> Page:
    """The page of `result_table` (with what was published), `size_table` and the tests.

    Raises:
        ValueError: no results.
    """
    if not len(results):
        raise ValueError("no results")
    models = list(dict.fromkeys(results["model"].to_pylist()))
    protocols = list(dict.fromkeys(results["protocol"].to_pylist()))
    unknown = {c for c in results.column_names if results[c].null_count == len(results)}
    shown = {name: column for name, column in _RESULTS.items() if name not in unknown}
    caption = "Right captions in first place, ties shared, with 95 % intervals; grey marks chance."
    first = Section(
        "First places and ranks",
        "The same boxes and captions twice: crop makes a picture of every box (paper 2), roi takes "
        "the box out of the map of the whole picture (FG-CLIP). A right caption is first if no "
        "wrong one of its box scores higher; a tie for the first place is shared, that is 1 of "
        "those who tie, or counts for it (FG-CLIP's rule) or against it (paper 2's). Ranks are "
        "among as many captions for every box, ties against the right one; 1 is best.",
        Illustration("first-places", caption, png(first_place_figure(results))),
        page_table("By set, model and protocol", results, shown),
        method="Intervals are bootstraps that resample pictures: boxes of one picture share what "
        "is hard about it. “Published” are figures of this model from paper 2 (mean rank, crop) "
        "and from FG-CLIP's project page (first places with ties for it, roi) on the published "
        "files of FG-OVD and COCO's pictures.",
    )
    compared = Section(
        "Compared on the same boxes",
        "Protocols by one model, and models by one protocol: first minus second. p flips the signs "
        "of whole pictures, and Holm's method adjusts it over the table. McNemar's exact test and "
        "its mid-p, of first places with ties against the right caption, count boxes as "
        "independent.",
        page_table("Differences", tests, _TESTS),
    )
    size = Section(
        "By the size of boxes",
        "Area of the box in patches of the whole picture, whatever the protocol: a region below "
        "one patch is a patch that shows mostly something else.",
        page_table("First places and ranks by size", sizes, _SIZES),
        folded=True,
    )
    short = [row["short_lists"] > 0 for row in results.to_pylist()]
    few = Section(
        "Boxes with few wrong captions",
        "They have other odds than the rest, and no rank among as many captions.",
        page_table("Boxes with fewer wrong captions", results.filter(pa.array(short)), _SHORT),
    )
    return Page(
        page_title(f"Boxes by {' and '.join(protocols)}", models),
        region_finding(results, tests),
        (first, *((compared,) if len(tests) else ()), size, *((few,) if any(short) else ())),
    )


def region_finding(results: pa.Table, tests: pa.Table) -> str:
    """What the set Hard, or the first, says: each protocol, and the difference with its test."""
    rows = results.to_pylist()
    where = next((row for row in rows if row["name"] == "Hard"), rows[0])
    model = where["model"]
    own = [row for row in rows if (row["set"], row["model"]) == (where["set"], model)]
    shares = " and ".join(
        f"{row['top1']:.1f} % by {row['protocol']}"
        + f" ({row['top1_ties_against']:.1f} to {row['top1_ties_for']:.1f} by how ties count)"
        * (row["decided_by_ties"] > 0)
        for row in own
    )
    said = (
        f"{model} puts the right caption of a box first among its hard negatives for {shares}, "
        f"where a guess would be right for {own[0]['chance_top1']:.1f} % (set {where['name']})"
    )
    pair = {f"{model} · {row['protocol']}" for row in own}
    for test in tests.to_pylist():
        if test["set"] == where["set"] and {test["first"], test["second"]} == pair:
            return (
                f"{said}; the difference is {test['difference']:+.1f} points "
                f"({test['difference_low']:+.1f} to {test['difference_high']:+.1f}, "
                f"Holm p {_p(test['holm_p'])})."
            )
    return f"{said}."


def _p(p: float) -> str:
    written: Any = written_p(p)
    return written if isinstance(written, str) else f"{p:#.2g}"


def first_place_figure(results: pa.Table) -> Figure:
    """Share of first places per set: a colour per model, a mark per protocol."""
    rows: Sequence[dict[str, Any]] = results.to_pylist()
    sets = list(dict.fromkeys(row["set"] for row in rows))
    subjects = list(dict.fromkeys((row["model"], row["protocol"]) for row in rows))
    models = list(dict.fromkeys(model for model, _ in subjects))
    size = (max(6.0, 1.15 * len(sets)), 3.6)
    figure, (axes,) = panels(1, 1, size, y="right caption first (%)")
    step = 0.7 / len(subjects)
    for number, (model, protocol) in enumerate(subjects):
        own = [row for row in rows if (row["model"], row["protocol"]) == (model, protocol)]
        middle = np.array([row["top1"] for row in own])
        low, high = (np.array([row[f"top1_{end}"] for row in own]) for end in ("low", "high"))
        places = np.array([sets.index(row["set"]) for row in own])
        axes.errorbar(
            places + (number - (len(subjects) - 1) / 2) * step,
            middle,
            yerr=np.stack([middle - low, high - middle]),
            fmt="o" if protocol == "crop" else "s",
            markerfacecolor="white" if protocol == "roi" else None,
            markersize=6,
            capsize=3,
            color=COLOURS[models.index(model) % len(COLOURS)],
            label=drawable(f"{model} · {protocol}"),
        )
    for row in rows:
        at = sets.index(row["set"])
        axes.hlines(row["chance_top1"], at - 0.42, at + 0.42, color=MUTED, linewidth=1.4)
    names = {row["set"]: row["name"] for row in rows}
    axes.set_xticks(range(len(sets)), [drawable(names[name]) for name in sets])
    axes.set_ylim(0, 102)
    legend_below(figure, min(3, len(subjects)))
    return figure
