"""The page of hard-negative sets: who is right how often, without the picture too, and who wins."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from matplotlib.figure import Figure

from jclip.report.page import Column, Illustration, Page, Section, page_title
from jclip.report.style import COLOURS, MUTED, drawable, legend_below, panels, png
from jclip.report.tables import page_table

ALPHA = 0.01
_SETS_NAMED = 8
_SHARE = ".1f"
_EXPECTED = (
    " Expected are published figures that were seen in their source, of the model beside them."
)
_RIGHT: Mapping[Any, Column | None] = {
    **dict.fromkeys(("set", "metric", "model", "records")),
    "accuracy": Column("right (%)", _SHARE),
    ("low", "high"): Column("95 % interval", _SHARE),
    "chance": Column("chance", _SHARE),
    "shuffled": Column("other pictures", _SHARE),
    "macro": Column("macro", _SHARE),
    "published": Column("expected", _SHARE),
    "published_model": Column("of"),
}
_TIES: Mapping[Any, Column | None] = {
    **dict.fromkeys(("set", "metric", "model", "pictures")),
    "ties_for": Column("ties for", _SHARE),
    "ties_half": Column("half", _SHARE),
    "ties_against": Column("ties against", _SHARE),
    "decided_by_ties": Column("records that ties decide"),
}
TESTS: Mapping[Any, Column | None] = {
    **dict.fromkeys(("set", "metric", "first", "second")),
    "only_first": Column("only first right"),
    "only_second": Column("only second right"),
    "difference": Column("difference (points)", "+.1f"),
    ("low", "high"): Column("95 % interval", "+.1f"),
    "p": Column("McNemar p", "#.2g"),
    "mid_p": Column("mid-p", "#.2g"),
    "picture_p": Column("p by picture", "#.2g"),
    "holm_p": None,
    "holm_picture_p": Column("Holm p by picture", "#.2g"),
}
"""How tests between two models are headed, as of `comparison_table`."""
_CLASSES: Mapping[Any, Column | None] = {
    **dict.fromkeys(("set", "metric", "model", "group", "records")),
    "ties_against": Column("right (%)", _SHARE),
}


def foil_page(summary: pa.Table, comparisons: pa.Table, classes: pa.Table) -> Page:
    """The page of every set by every model; tables as of `jclip.probes.foil_tables`.

    Raises:
        ValueError: no results.
    """
    if len(summary) == 0:
        raise ValueError("no results")
    models = list(dict.fromkeys(summary["model"].to_pylist()))
    figure = Illustration(
        "right-answers",
        "Share of records that are right, ties against; bars are 95 % intervals over pictures, "
        "grey lines chance, hollow marks the same texts with pictures of other records.",
        png(right_figure(summary)),
    )
    shown = {name: column for name, column in _RIGHT.items() if _holds(summary, name)}
    right = Section(
        "Right answers",
        "Does a picture score higher with a right text than with texts that are wrong in a detail? "
        "Two by two records are right by text where each picture prefers its own text, by image "
        "where each text prefers its own picture, and as a group where both hold.\n\n"
        "With the pictures of other records a model that looks is at chance; what it has above "
        "that, the texts alone decide.",
        figure,
        page_table("By the benchmarks' own rules for ties", summary, shown),
        method="Intervals resample whole pictures, since records of one picture depend."
        + (_EXPECTED if "published" in shown else ""),
    )
    ties = Section(
        "Ties",
        "Public tools count ties for the right text or against it. Half is what a coin would give "
        "on the average. Tests count ties against.",
        page_table("Three ways to count ties (%)", summary, _TIES),
        folded=not any(summary["decided_by_ties"].to_pylist()),
    )
    sections = [right, *([_tests(comparisons)] if len(comparisons) else []), ties]
    if len(classes):
        text = (
            "Ties against. ARO's macro average is over its groups, each weighing the same, without "
            "the relations of --left-out and pairs of attributes that are seen less than 25 times."
        )
        table = page_table("Share of right records by group", classes, _CLASSES)
        sections.append(Section("By group", text, table, folded=True))
    title = page_title("Hard negatives", models)
    return Page(title, foil_finding(summary, comparisons), tuple(sections))


def _holds(table: pa.Table, name: Any) -> bool:
    """Whether a column has a value in any row."""
    return isinstance(name, tuple) or table[name].null_count < len(table)


def _tests(comparisons: pa.Table) -> Section:
    return Section(
        "Models compared",
        "The same records by two models; above zero the first is right more often.",
        page_table("Exact tests, two-sided", comparisons, TESTS),
        method="McNemar's exact test and its mid-p take records as independent. The test by "
        "picture turns all records of a picture around together, over all ways to do so; it is "
        "what the finding above is told by. Holm's method adjusts over all rows of the table.",
    )


def leading(table: pa.Table) -> pa.Table:
    """The rows of the metric that stands for each set: the first one."""
    return table.filter(pc.field("metric").isin(["accuracy", "group", "image-text"]))


def foil_finding(summary: pa.Table, comparisons: pa.Table) -> str:
    """The finding in a sentence or two."""
    rows = leading(summary).to_pylist()
    model = rows[0]["model"]
    lead = _above_chance(model, [row for row in rows if row["model"] == model])
    tested = leading(comparisons).to_pylist()
    pairs = dict.fromkeys((row["first"], row["second"]) for row in tested)
    if len(pairs) != 1:
        return lead + _all_pairs(tested, len(pairs))
    return f"{separated_by(tested)} {lead}"


def separated_by(rows: Sequence[Mapping[str, Any]]) -> str:
    """On which sets a second model is better or worse than the first one, and on which neither."""
    first, second = rows[0]["first"], rows[0]["second"]
    found: dict[str, list[str]] = {"better": [], "worse": [], "neither": []}
    for row in rows:
        clear = row["holm_picture_p"] < ALPHA
        kind = "neither" if not clear else "worse" if row["difference"] > 0 else "better"
        change = f" ({-row['difference']:+.1f})" if clear else ""
        found[kind].append(f"{row['set']}{change}")
    parts = [f"is {k} on {', '.join(found[k])}" for k in ("better", "worse") if found[k]]
    if found["neither"]:
        parts.append(f"is not told apart on {', '.join(found['neither'])}")
    test = f"points right, Holm p < {ALPHA:g} by picture"
    return f"Against {first}, {second} {'; it '.join(parts)} ({test})."


def _all_pairs(rows: Sequence[Mapping[str, Any]], pairs: int) -> str:
    if not rows:
        return ""
    clear = sum(row["holm_picture_p"] < ALPHA for row in rows)
    return f" {pairs} pairs of models differ in {clear} of {len(rows)} tests (Holm p < {ALPHA:g})."


def _above_chance(model: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """On which sets a model is right more often than chance, told by the intervals."""
    above = [row for row in rows if row["low"] > row["chance"]]
    others = [row for row in rows if row not in above]
    if len(rows) > _SETS_NAMED:
        best, worst = (pick(rows, key=_way_to_all) for pick in (max, min))
        return (
            f"{model} is above chance on {len(above)} of {len(rows)} sets, most on {_said(best)}, "
            f"least on {_said(worst)}."
        )
    if not above:
        return f"{model} is above chance on no set: {', '.join(map(_said, others))}."
    lead = f"{model} is above chance on {', '.join(map(_said, above))}"
    return f"{lead}, not on {', '.join(map(_said, others))}." if others else f"{lead}."


def _way_to_all(row: Mapping[str, Any]) -> float:
    return (row["ties_against"] - row["chance"]) / (100 - row["chance"])


def _said(row: Mapping[str, Any]) -> str:
    return f"{row['set']} ({row['ties_against']:.1f} %, chance {row['chance']:.1f})"


def right_figure(summary: pa.Table) -> Figure:
    """The metric of every set as points with intervals, a colour per model."""
    rows = leading(summary).to_pylist()
    sets = list(dict.fromkeys(row["set"] for row in rows))
    models = list(dict.fromkeys(row["model"] for row in rows))
    height = 1.2 + 0.28 * len(sets) * max(1, len(models) / 2)
    figure, (axes,) = panels(1, 1, (7.5, height), x="right (%)")
    offsets = np.linspace(-0.25, 0.25, len(models)) if len(models) > 1 else np.zeros(1)
    for number, (model, offset) in enumerate(zip(models, offsets, strict=True)):
        own = {row["set"]: row for row in rows if row["model"] == model}
        colour = COLOURS[number % len(COLOURS)]
        y = np.array([sets.index(name) for name in own]) + offset
        x = np.array([row["ties_against"] for row in own.values()])
        low, high = (np.array([row[end] for row in own.values()]) for end in ("low", "high"))
        bars = np.maximum([x - low, high - x], 0)
        axes.errorbar(x, y, xerr=bars, fmt="o", color=colour, markersize=5, label=drawable(model))
        blind = [np.nan if row["shuffled"] is None else row["shuffled"] for row in own.values()]
        axes.plot(blind, y, "o", color=colour, markerfacecolor="white", markersize=5)
    for place, name in enumerate(sets):
        at = next(row["chance"] for row in rows if row["set"] == name)
        axes.plot([at, at], [place - 0.4, place + 0.4], color=MUTED, linewidth=1)
    axes.set_yticks(range(len(sets)), [drawable(name) for name in sets])
    axes.invert_yaxis()
    axes.set_xlim(0, 102)
    axes.grid(axis="x", color="#d0d7de", linewidth=0.6)
    axes.grid(axis="y", visible=False)
    if len(models) > 1:
        legend_below(figure, min(3, len(models)))
    return figure
