"""The page of fine-tuning for shift invariance: what was gained, and at what price."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from jclip.report.page import Cell, Column, Illustration, Page, Section, Table
from jclip.report.provenance import FaultChoice, fault_section, settings_section
from jclip.report.style import COLOURS, INK, MUTED, panels, png, tidy

Row = Mapping[str, Any]
_PRICES = {
    "right_caption": "right caption among 16 (share)",
    "spearman": "Spearman: score before, after",
    "keyword_effect": "keyword effect (score)",
}


def trade_off_page(
    rows: Sequence[Row],
    baseline: Mapping[str, float],
    *,
    settings: Mapping[str, object],
    faults: Sequence[FaultChoice],
    notices: Sequence[str],
    learning_curve: Sequence[tuple[str, Sequence[int], Sequence[float]]],
) -> Page:
    """Assembles the report of a fine-tuning run.

    Args:
        rows: one per lambda and seed, with the columns of `trade_off.csv`: lambda, seed, targets,
            trainable, median_change, score_change, spearman, right_caption, keyword_effect,
            stable_shifts, tested_shifts. All but the first four are of test panoramas.
        baseline: the same of the network before tuning, where that means something.
        settings: what was run; a mapping inside becomes a table of its own.
        faults: one per fault of the papers' code that the run had a choice in.
        notices: warnings that precede everything else.
        learning_curve: a name, steps and losses of each row.

    Raises:
        ValueError: no rows.
    """
    if not rows:
        raise ValueError("nothing was tuned")
    return Page(
        title="Fine-tuning for shift invariance",
        lead="Can LoRA make scores survive circular shifts, and what else does that change?",
        notices=tuple(notices),
        sections=(
            _summary(rows, baseline, faults),
            Section(
                heading="Trade-off",
                text="To the left is more stable. A constant score would be perfectly stable too: "
                "a point is worth something only as high as the untuned network, the cross.",
                figures=(
                    Illustration(
                        "trade-off",
                        "Each point is one lambda and seed, measured on test panoramas; diamonds "
                        "are means over seeds, joined in the order of lambda; the cross is the "
                        "network before tuning.",
                        png(trade_off_figure(rows, baseline)),
                    ),
                ),
            ),
            _runs(rows),
            Section(
                heading="Learning curves",
                figures=(
                    Illustration(
                        "learning-curves",
                        "Training loss (Charbonnier, score units) against steps.",
                        png(_curves(learning_curve)),
                    ),
                ),
            ),
            fault_section(faults),
            settings_section(settings),
        ),
    )


def _lambdas(rows: Sequence[Row]) -> list[float]:
    return list(dict.fromkeys(row["lambda"] for row in rows))


def _values(rows: Sequence[Row], lam: float, name: str) -> np.ndarray:
    return np.array([row[name] for row in rows if row["lambda"] == lam], float)


def _summary(
    rows: Sequence[Row], baseline: Mapping[str, float], faults: Sequence[FaultChoice]
) -> Section:
    seeds = len({row["seed"] for row in rows})
    repeated = [choice.fault for choice in faults if choice.choice == "reference"]
    lambdas = len(_lambdas(rows))
    text = [
        f"{lambdas} {'lambda' if lambdas == 1 else 'lambdas'}, {seeds} "
        f"{'seed' if seeds == 1 else 'seeds'}, targets {rows[0]['targets']}: "
        f"{rows[0]['trainable']:,} trained parameters. Everything below is "
        "measured on test panoramas. |d| is the change of score under seven shifts by eighths of "
        "a turn; a shift is stable where the exact sign test with Holm's correction finds the "
        "median |d| below the flip bound of the untuned network. Lambda weighs the shifted against "
        "the original score, 1 - lambda anchors it to the untuned score.",
        f"Faults of the papers' code that this run repeats: {'; '.join(repeated) or 'none'}.",
    ]
    columns = (
        Column("lambda"),
        Column("median |d|"),
        Column("of before", ".0%"),
        Column("stable shifts"),
        Column("change of original score"),
        Column("Spearman before, after"),
        Column("right caption among 16"),
        Column("keyword effect"),
    )
    before: tuple[Cell, ...] = (
        "before tuning",
        f"{baseline['median_change']:.3f}",
        1.0,
        f"{baseline['stable_shifts']:g} of {baseline['tested_shifts']:g}",
        None,
        None,
        f"{baseline['right_caption']:.1%}",
        f"{baseline['keyword_effect']:+.3f}",
    )
    table = Table(
        "Mean and standard deviation over seeds",
        columns,
        (before, *(_mean_row(rows, baseline, lam) for lam in _lambdas(rows))),
    )
    return Section(heading="Summary", text="\n\n".join(text), tables=(table,))


def _mean_row(rows: Sequence[Row], baseline: Mapping[str, float], lam: float) -> tuple[Cell, ...]:
    def written(name: str, form: str) -> str:
        values = _values(rows, lam, name)
        mean = format(values.mean(), form)
        deviation = format(values.std(ddof=1), form.lstrip("+")) if len(values) > 1 else ""
        return f"{mean} ± {deviation}" if deviation else mean

    tested = _values(rows, lam, "tested_shifts")[0]
    return (
        f"{lam:g}",
        written("median_change", ".3f"),
        float(_values(rows, lam, "median_change").mean() / baseline["median_change"]),
        f"{_values(rows, lam, 'stable_shifts').mean():.3g} of {tested:g}",
        written("score_change", "+.3f"),
        written("spearman", ".3f"),
        written("right_caption", ".1%"),
        written("keyword_effect", "+.3f"),
    )


def trade_off_figure(rows: Sequence[Row], baseline: Mapping[str, float]) -> Figure:
    """Small multiples: a price against the median |d| left, points per lambda and seed."""
    figure, axes = panels(len(_PRICES), 3, (4.2, 3.4), share_y=False)
    lambdas = _lambdas(rows)
    for panel, (name, label) in zip(axes, _PRICES.items(), strict=True):
        tidy(panel)
        means = []
        for number, lam in enumerate(lambdas):
            left = _values(rows, lam, "median_change") / baseline["median_change"]
            price = _values(rows, lam, name)
            colour = COLOURS[number % len(COLOURS)]
            panel.plot(left, price, "o", color=colour, markersize=5, alpha=0.6)
            means.append((left.mean(), price.mean()))
            panel.annotate(
                f"λ {lam:g}",
                means[-1],
                xytext=(6, 5),
                textcoords="offset points",
                fontsize=9,
                color=colour,
            )
        panel.plot(*zip(*means, strict=True), "D-", color=MUTED, markersize=4, linewidth=0.9)
        panel.plot(1.0, baseline.get(name, 1.0), "x", color=INK, markersize=9, markeredgewidth=2)
        panel.margins(0.16)
        panel.set_xlabel("median |d| after / before tuning", fontsize=9)
        panel.set_ylabel(label, fontsize=9)
    return figure


def _runs(rows: Sequence[Row]) -> Section:
    formats = {
        "median_change": ".3f",
        "score_change": "+.3f",
        "spearman": ".3f",
        "right_caption": ".1%",
        "keyword_effect": "+.3f",
    }
    columns = tuple(Column(name.replace("_", " "), formats.get(name, "")) for name in rows[0])
    cells = tuple(tuple(row.values()) for row in rows)
    return Section(heading="Every run", tables=(Table("Test panoramas", columns, cells),))


def _curves(curves: Sequence[tuple[str, Sequence[int], Sequence[float]]]) -> Figure:
    figure, (panel,) = panels(1, 1, (7.2, 3.4))
    tidy(panel)
    for number, (name, steps, losses) in enumerate(curves):
        repeats, colour = divmod(number, len(COLOURS))
        style = ("-", "--", ":")[repeats % 3]
        panel.plot(steps, losses, style, color=COLOURS[colour], linewidth=1.2, label=name)
    panel.set_xlabel("step", fontsize=9)
    panel.set_ylabel("loss", fontsize=9)
    if len(curves) <= 2 * len(COLOURS):
        figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    return figure
