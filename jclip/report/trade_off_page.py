"""The page of tuning for shift invariance: what was gained, and at what price."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from matplotlib.figure import Figure

from jclip.report.page import Cell, Column, Illustration, Page, Section, counted
from jclip.report.style import COLOURS, INK, MUTED, panels, png
from jclip.report.tables import MeanColumn, page_table

Row = Mapping[str, Any]
_PRICES = {
    "right_caption": "right caption among 16 (share)",
    "spearman": "Spearman: score before, after",
    "keyword_effect": "keyword effect (score)",
}
_MEASURES = {
    "median_change": MeanColumn("median |d|", ".3f"),
    "score_change": MeanColumn("change of original score", "+.3f"),
    "spearman": MeanColumn("Spearman before, after", ".3f"),
    "right_caption": MeanColumn("right caption among 16", ".1%"),
    "keyword_effect": MeanColumn("keyword effect", "+.3f"),
}


class _CountColumn(Column):
    """How many of how many."""

    def write(self, cell: Cell) -> str:
        return " of ".join(map(super().write, cell)) if isinstance(cell, tuple) else "n/a"


def mean_table(rows: pa.Table, before: Row) -> pa.Table:
    """The network before tuning, and the mean over seeds for every lambda, and on an orbit if any.

    Columns lambda (a text, see `row_name`), seeds, share_of_before (of the median change),
    stable_shifts, tested_shifts; and each measure, with its standard deviation as NAME_deviation,
    null with one seed.

    Args:
        rows: one per lambda and seed, with the columns of `trade_off.csv`.
        before: the same measures of the network before tuning.
    """
    groups = {"before tuning": [{**before, "score_change": None, "spearman": None}]}
    for row in rows.to_pylist():
        groups.setdefault(row_name(row), []).append(row)
    return pa.Table.from_pylist([_mean_row(name, own, before) for name, own in groups.items()])


def row_name(row: Row) -> str:
    """What the seeds of one lambda, or the untuned network, share: `0.5`, `0.5, orbit 8`."""
    tuned = "not tuned" if row["lambda"] is None else f"{row['lambda']:g}"
    return f"{tuned}, orbit {row['orbit']}" if row.get("orbit", 1) > 1 else tuned


def _in_words(name: str) -> str:
    tuned, _, orbit = name.partition(", orbit ")
    if tuned == "not tuned":
        return f"An orbit of {orbit} yaws, nothing tuned,"
    return f"Lambda {tuned} on an orbit of {orbit} yaws" if orbit else f"Lambda {tuned}"


def _mean_row(name: str, rows: Sequence[Row], before: Row) -> dict[str, Any]:
    means: dict[str, Any] = {"lambda": name, "seeds": len(rows)}
    for measure in (*_MEASURES, "stable_shifts"):
        values = [row[measure] for row in rows]
        known = None not in values
        several = known and len(values) > 1
        means[measure] = float(np.mean(values)) if known else None
        means[f"{measure}_deviation"] = float(np.std(values, ddof=1)) if several else None
    untuned = before["median_change"]
    means["share_of_before"] = means["median_change"] / untuned if untuned else None
    return {**means, "tested_shifts": rows[0]["tested_shifts"]}


def trade_off_page(
    rows: pa.Table,
    means: pa.Table,
    fit: str,
    learning_curves: Mapping[str, tuple[Sequence[int], Sequence[float]]],
) -> Page:
    """Assembles the report of a tuning run.

    Args:
        rows: one per lambda and seed, with the columns of `trade_off.csv`.
        means: their `mean_table`.
        fit: how a panorama became a square.
        learning_curves: steps and losses by name of the run.

    Raises:
        ValueError: no rows.
    """
    if not len(rows):
        raise ValueError("nothing was tuned")
    trade_off = Illustration(
        "trade-off",
        "Each point is one lambda and seed, measured on test panoramas; diamonds are means over "
        "seeds, joined in the order of lambda; the cross is the network before tuning; squares are "
        "scores of an orbit, if one was asked for.",
        png(trade_off_figure(rows, means)),
    )
    curves = Illustration(
        "learning-curves",
        "Training loss (Charbonnier, score units) against steps.",
        png(_curves(learning_curves)),
    )
    columns = {
        name: Column(name.replace("_", " "), _MEASURES[name].format if name in _MEASURES else "")
        for name in rows.column_names
    }
    sections = (
        _summary(rows, means, fit),
        Section(
            "Trade-off",
            "To the left is more stable. A constant score would be perfectly stable too: a point "
            "is worth something only as high as the untuned network, the cross.",
            trade_off,
        ),
        Section("Every run", "", page_table("Test panoramas", rows, columns)),
        Section("Learning curves", "", curves),
    )
    return Page("Tuning for shift invariance", _finding(means), sections)


def _finding(means: pa.Table) -> str:
    """Which lambda halves the change of score, and at which price."""
    before, *tuned = means.to_pylist()
    halving = [row for row in tuned if 2 * row["median_change"] <= before["median_change"]]
    if halving:
        best = max(halving, key=lambda row: (row["right_caption"] or 0, row["spearman"] or 0))
        begin = f"{_in_words(best['lambda'])} at least halves the change of score under shifts"
    else:
        best = min(tuned, key=lambda row: row["median_change"])
        begin = (
            "No lambda halves the change of score under shifts; the nearest is "
            f"{_in_words(best['lambda'])[:1].lower()}{_in_words(best['lambda'])[1:]}"
        )

    def from_to(name: str) -> str:
        ends = (_MEASURES[name].write(row[name]) for row in (before, best))
        return f"from {' to '.join(ends)}"

    return (
        f"{begin}: the median |d| of unseen panoramas goes {from_to('median_change')}, the share "
        f"of right captions among 16 {from_to('right_caption')}, and the rank correlation of "
        f"their scores before and after is {_MEASURES['spearman'].write(best['spearman'])}."
    )


def _summary(rows: pa.Table, means: pa.Table, fit: str) -> Section:
    lambdas, seeds = (len(rows[name].drop_null().unique()) for name in ("lambda", "seed"))
    first = rows.slice(0, 1).to_pylist()[0]
    columns = {
        "lambda": None,
        "median_change": _MEASURES["median_change"],
        "share_of_before": Column("of before", ".0%"),
        ("stable_shifts", "tested_shifts"): _CountColumn("stable shifts", ".3g"),
        **{name: column for name, column in _MEASURES.items() if name != "median_change"},
    }
    return Section(
        "Summary",
        f"{counted(lambdas, 'lambda')}, {counted(seeds, 'seed')}, targets {first['targets']}: "
        f"{first['trainable']:,} trained parameters; fit {fit}. Everything is measured on test "
        "panoramas.",
        page_table("Mean and standard deviation over seeds", means, columns),
        method="|d| is the change of score under seven shifts by eighths of a turn; a shift is "
        "stable where the exact sign test with Holm's correction finds the median |d| below the "
        "flip bound of the untuned network. On an orbit the shifts lie between two of its yaws, "
        "which change nothing by construction. Lambda weighs the shifted against the original "
        "score, 1 - lambda anchors it to the untuned score.",
    )


def trade_off_figure(rows: pa.Table, means: pa.Table) -> Figure:
    """Small multiples: a price against the median |d| left, points per lambda and seed."""
    before, *tuned = means.to_pylist()
    before["spearman"] = 1.0
    prices = [name for name in _PRICES if all(row[name] is not None for row in (before, *tuned))]
    figure, axes = panels(len(prices), 3, (4.2, 3.4), share_y=False)
    for panel, price in zip(axes, prices, strict=True):
        for number, mean in enumerate(tuned):
            colour = COLOURS[number % len(COLOURS)]
            own = [row for row in rows.to_pylist() if row_name(row) == mean["lambda"]]
            orbit = "orbit" in mean["lambda"]
            left = [row["median_change"] / before["median_change"] for row in own]
            prices_paid = [row[price] for row in own]
            marker = "s" if orbit else "o"
            panel.plot(left, prices_paid, marker, color=colour, markersize=5, alpha=0.6)
            panel.annotate(
                mean["lambda"] if mean["lambda"].startswith("not") else f"λ {mean['lambda']}",
                (mean["share_of_before"], mean[price]),
                xytext=(6, 5),
                textcoords="offset points",
                fontsize=9,
                color=colour,
            )
        alone = [row for row in tuned if "orbit" not in row["lambda"]]
        joined = [[row[name] for row in alone] for name in ("share_of_before", price)]
        panel.plot(*joined, "D-", color=MUTED, markersize=4, linewidth=0.9)
        panel.plot(1.0, before[price], "x", color=INK, markersize=9, markeredgewidth=2)
        panel.margins(0.16)
        panel.set(xlabel="median |d| after / before tuning", ylabel=_PRICES[price])
    return figure


def _curves(curves: Mapping[str, tuple[Sequence[int], Sequence[float]]]) -> Figure:
    figure, (panel,) = panels(1, 1, (7.2, 3.4), x="step", y="loss")
    for number, (name, (steps, losses)) in enumerate(curves.items()):
        repeats, colour = divmod(number, len(COLOURS))
        style = ("-", "--", ":")[repeats % 3]
        panel.plot(steps, losses, style, color=COLOURS[colour], linewidth=1.2, label=name)
    if len(curves) <= 2 * len(COLOURS):
        figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    return figure
