"""The tables of a shift sweep with a row per shift: what |d| is, and how it tests against beta."""

from collections.abc import Sequence

from jclip.probes.scores import ShiftScores
from jclip.report.figures import panel_names, yaw_degrees
from jclip.report.page import Cell, Column, Section, Table
from jclip.statistics.intervals import Interval
from jclip.statistics.stability import CorrectedTest, ShiftStatistics, StabilityTest

# Longer tables are for the run's own files; the page shows shifts evenly spaced among them.
_MOST_ROWS = 64


def listed_shifts(count: int) -> list[int]:
    """Which of `count` shifts a table lists: all of few, 64 of many, evenly spaced."""
    rows = min(count, _MOST_ROWS)
    return [row * count // rows for row in range(rows)]


def written_p(p: float) -> Cell:
    """A p value for a table: thousands of panoramas take it below the smallest float, not to 0."""
    return "< 1e-300" if p == 0 else float(p)


def per_shift_section(
    results: Sequence[ShiftScores], statistics: Sequence[ShiftStatistics]
) -> Section:
    """Two tables per result, grouped and folded by model (and set)."""
    names = panel_names(results)
    groups: dict[str, list[Table]] = {name: [] for name in names}
    for name, result, summary in zip(names, results, statistics, strict=True):
        groups[name].append(_description_table(result, summary))
        if summary.corrected and summary.reference:
            groups[name].append(_test_table(result, summary, summary.corrected, summary.reference))
    parts = tuple(
        Section(heading=name, tables=tuple(tables), folded=len(groups) > 1)
        for name, tables in groups.items()
    )
    return Section(heading="Statistics per shift", text=_explanation(statistics), parts=parts)


def _explanation(statistics: Sequence[ShiftStatistics]) -> str:
    text = [
        "Intervals have a level of 95 % and hold for one shift at a time. That of the median |d| "
        "lies between two of the observed |d|, counted from either end by the binomial "
        "distribution, and is n/a below 6 panoramas. The Shapiro-Wilk test asks whether |d| is "
        "normally distributed: a small p says that it is not."
    ]
    if any(s.corrected for s in statistics):
        text[0] += (
            " That of the share of panoramas with |d| > beta is Clopper and Pearson's exact one."
        )
    if any(s.corrected and s.corrected.median_excess for s in statistics):
        text[0] += (
            " That of the median |d| - beta is a bootstrap over panoramas which estimates beta "
            "anew in every resample, because beta comes from the same panoramas: below zero means "
            "stable."
        )
    most = max(len(s.shift_index) for s in statistics)
    if most > _MOST_ROWS:
        text.append(
            f"{_MOST_ROWS} of {most} shifts are listed, evenly spaced; the run's statistics file "
            "has them all."
        )
    return "\n\n".join(text)


def _description_table(result: ShiftScores, statistics: ShiftStatistics) -> Table:
    columns = (
        Column("shift index"),
        Column("yaw (degrees)", ".4g"),
        Column("shift (pixels)"),
        Column("panoramas"),
        Column("median |d|", ".3f"),
        Column("95 % interval", ".3f"),
        Column("mean |d|", ".3f"),
        Column("Shapiro-Wilk W", ".4f"),
        Column("Shapiro-Wilk p", "#.2g"),
    )
    rows = []
    for i in listed_shifts(len(statistics.shift_index)):
        index = int(statistics.shift_index[i])
        least, most = int(result.shifts[:, index].min()), int(result.shifts[:, index].max())
        rows.append(
            (
                index,
                float(yaw_degrees(result)[index]),
                least if least == most else f"{least} to {most}",
                int(statistics.n[i]),
                float(statistics.median[i]),
                _limits(statistics.median_interval, i),
                float(statistics.mean[i]),
                float(statistics.shapiro_statistic[i]),
                written_p(statistics.shapiro_p[i]),
            )
        )
    return Table(f"Fit {result.fit}: |d|", columns, tuple(rows))


def _test_table(
    result: ShiftScores,
    statistics: ShiftStatistics,
    corrected: CorrectedTest,
    reference: StabilityTest,
) -> Table:
    excess = corrected.median_excess
    columns = (
        Column("shift index"),
        Column("yaw (degrees)", ".4g"),
        Column("median |d| - beta", ".3f"),
        *((Column(f"{excess.confidence:.0%} interval", ".3f"),) if excess else ()),
        Column("share with |d| > beta", ".3f"),
        Column(f"{corrected.confidence:.0%} interval", ".3f"),
        Column("sign test p", "#.2g"),
        Column("Holm p", "#.2g"),
        Column("stable"),
        Column("Wilcoxon statistic", ".10g"),
        Column("Wilcoxon p", "#.2g"),
        Column("stable (Wilcoxon)"),
    )
    yaw = yaw_degrees(result)[statistics.shift_index]
    rows = tuple(
        (
            int(statistics.shift_index[i]),
            float(yaw[i]),
            float(statistics.median[i] - corrected.beta),
            *((_limits(excess.interval, i),) if excess else ()),
            *_test_cells(corrected, reference, i),
        )
        for i in listed_shifts(len(statistics.shift_index))
    )
    return Table(f"Fit {result.fit}: tests against beta = {corrected.beta:.5g}", columns, rows)


def _test_cells(corrected: CorrectedTest, reference: StabilityTest, i: int) -> tuple[Cell, ...]:
    tested = bool(corrected.tested[i])
    return (
        float(corrected.share_above[i]),
        _limits(corrected.share_above_interval, i),
        written_p(corrected.p[i]),
        written_p(corrected.adjusted_p[i]),
        bool(corrected.stable[i]) if tested else None,
        float(reference.statistic[i]),
        written_p(reference.p[i]),
        bool(reference.stable[i]) if tested else None,
    )


def _limits(interval: Interval, i: int) -> tuple[float, float]:
    return float(interval.low[i]), float(interval.high[i])
