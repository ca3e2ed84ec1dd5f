"""The page of a circular-shift sweep."""

import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from jclip.probes.scores import ShiftScores
from jclip.report.examples import PanoramaExample, example_figure
from jclip.report.figures import change_figure, yaw_degrees, yaw_figure, yaw_label
from jclip.report.page import Cell, Column, Illustration, Page, Section, Table
from jclip.report.provenance import FaultChoice, fault_section, settings_section
from jclip.report.style import png
from jclip.statistics.stability import ShiftStatistics

__all__ = ["shift_page"]

# Longer tables are for statistics.csv; the page shows shifts evenly spaced among them.
_MOST_ROWS = 64


def shift_page(
    results: Sequence[ShiftScores],
    statistics: Sequence[ShiftStatistics],
    *,
    settings: Mapping[str, object],
    faults: Sequence[FaultChoice],
    notices: Sequence[str],
    examples: Sequence[PanoramaExample],
) -> Page:
    """Assembles the report of a shift sweep.

    Args:
        results: one per model and fit.
        statistics: those of each result, in the same order.
        settings: what was run; a mapping inside becomes a table of its own.
        faults: one per fault of the papers' code that the run had a choice in.
        notices: warnings that precede everything else.
        examples: panoramas shown with their views, in the order given.

    Raises:
        ValueError: no results, or not one statistics per result.
    """
    if not results or len(results) != len(statistics):
        raise ValueError(f"{len(results)} results with {len(statistics)} statistics")
    pairs = list(zip(results, statistics, strict=True))
    betas = [s.reference.beta if s.reference else None for s in statistics]
    models = list(dict.fromkeys(result.model for result in results))
    title = models[0] if len(models) == 1 else f"{len(models)} models"
    return Page(
        title=f"Circular-shift sweep: {title}",
        lead="How much does a CLIP score change when a panorama is turned around its vertical "
        "axis, which changes nothing in what it shows?",
        notices=tuple(notices),
        sections=(
            _summary(pairs, models, faults),
            *_figures(results, betas),
            *_examples(
                examples, {(r.model, r.fit): b for r, b in zip(results, betas, strict=True)}
            ),
            _per_shift(pairs, models),
            fault_section(faults),
            settings_section(settings),
        ),
    )


def _summary(
    pairs: Sequence[tuple[ShiftScores, ShiftStatistics]],
    models: Sequence[str],
    faults: Sequence[FaultChoice],
) -> Section:
    fits = list(dict.fromkeys(result.fit for result, _ in pairs))
    images = " or ".join(str(n) for n in sorted({len(result.images) for result, _ in pairs}))
    shifts = " or ".join(str(t) for t in sorted({len(s.shift_index) for _, s in pairs}))
    repeated = [choice.fault for choice in faults if choice.choice == "reference"]
    text = [
        f"{images} panoramas, each unshifted and at {shifts} other shifts; {len(models)} "
        f"{'model' if len(models) == 1 else 'models'}; {'fit' if len(fits) == 1 else 'fits'} "
        f"{', '.join(fits)}. Score = 100 x cosine of image and text embedding; |d| = |score - "
        "unshifted score| of the same panorama.",
        f"Faults of the papers' code that this run repeats: {'; '.join(repeated) or 'none'}.",
        _reading([s for _, s in pairs]),
    ]
    columns = [
        Column("model"),
        Column("fit"),
        Column("panoramas"),
        Column("median unshifted score", ".2f"),
        Column(f"median |d| {_half_turn_wording(pairs)}", ".3f"),
        Column("largest median |d|", ".3f"),
        Column("at yaw (degrees)", ".4g"),
    ]
    if any(s.reference for _, s in pairs):
        columns += [Column("beta", ".5g"), Column("stable shifts")]
    rows = tuple(_summary_row(result, s)[: len(columns)] for result, s in pairs)
    return Section(
        heading="Summary",
        text="\n\n".join(text),
        tables=(Table("Score changes over all shifts", tuple(columns), rows),),
    )


def _reading(statistics: Sequence[ShiftStatistics]) -> str:
    levels = sorted({s.reference.alpha for s in statistics if s.reference})
    if not levels:
        return "No stability bound beta was given, so stability was not tested."
    alpha = " or ".join(f"{level:g}" for level in levels)
    return (
        "A shift counts as stable where the one-sided Wilcoxon signed-rank test finds |d| below "
        f"beta, p < {alpha}. A larger p is not evidence of instability. The p values are not "
        "corrected for the number of shifts, fits and models. A shift that maps the views onto "
        "themselves by construction is not tested (n/a)."
    )


def _summary_row(result: ShiftScores, statistics: ShiftStatistics) -> tuple[Cell, ...]:
    yaw = yaw_degrees(result)[statistics.shift_index]
    largest = int(np.argmax(statistics.median))
    test = statistics.reference
    return (
        result.model,
        result.fit,
        len(result.images),
        float(np.median(result.scores[:, 0])),
        float(statistics.median[_nearest_half_turn(result, statistics)]),
        float(statistics.median[largest]),
        float(yaw[largest]),
        test.beta if test else None,
        f"{test.stable.sum()} of {test.tested.sum()}" if test else None,
    )


def _nearest_half_turn(result: ShiftScores, statistics: ShiftStatistics) -> int:
    return int(np.argmin(np.abs(yaw_degrees(result)[statistics.shift_index] - 180)))


def _half_turn_wording(pairs: Sequence[tuple[ShiftScores, ShiftStatistics]]) -> str:
    yaws = {
        yaw_label(yaw_degrees(result)[s.shift_index][_nearest_half_turn(result, s)])
        for result, s in pairs
    }
    return f"at yaw {yaws.pop()}" if len(yaws) == 1 else "at the yaw nearest 180"


def _figures(results: Sequence[ShiftScores], betas: Sequence[float | None]) -> Iterator[Section]:
    between = [np.ptp(360.0 * r.shifts / r.widths[:, None], axis=0).max() for r in results]
    note = (
        f"\n\nThe panoramas differ in width, so one shift is a different yaw in each, by up to "
        f"{max(between):.3g} degrees; the median yaw is drawn."
        if max(between) > 1
        else ""
    )
    yield Section(
        heading="Score change per shift",
        text="How |d| is distributed over panoramas. Lower is more stable." + note,
        figures=(
            Illustration(
                "score-change",
                "Distribution of |d| over panoramas at each shift; a dashed line marks beta "
                "where it was given.",
                png(change_figure(results, betas)),
            ),
        ),
    )
    yield Section(
        heading="Score against yaw",
        text="A model that does not care where a panorama is cut open stays on the ring." + note,
        figures=(
            Illustration(
                "score-against-yaw",
                "Score minus unshifted score of the same panorama: median and quartiles.",
                png(yaw_figure(results, betas)),
            ),
        ),
    )


def _examples(
    examples: Sequence[PanoramaExample], betas: Mapping[tuple[str, str], float | None]
) -> Iterator[Section]:
    groups: dict[tuple[str, str], list[Illustration]] = {}
    for number, example in enumerate(examples, 1):
        key = example.model, example.fit
        name = re.sub(r"[^a-z0-9]+", "-", f"{' '.join(key)} {example.label}".lower()).strip("-")
        groups.setdefault(key, []).append(
            Illustration(
                f"example-{number:02d}-{name}",
                f"{example.image}, {example.label}: “{example.caption}”",
                png(example_figure(example, betas.get(key))),
            )
        )
    if groups:
        yield Section(
            heading="Most and least stable panoramas",
            text="Ordered by the largest |d| over all shifts. Below each panorama: what the model "
            "sees at yaw 0 and at up to seven other shifts, with the score.",
            parts=tuple(
                Section(f"{model} · {fit}", figures=tuple(figures), folded=number > 0)
                for number, ((model, fit), figures) in enumerate(groups.items())
            ),
        )


def _per_shift(
    pairs: Sequence[tuple[ShiftScores, ShiftStatistics]], models: Sequence[str]
) -> Section:
    parts = [
        Section(
            heading=model,
            tables=tuple(_shift_table(r, s) for r, s in pairs if r.model == model),
            folded=len(models) > 1,
        )
        for model in models
    ]
    most = max(len(s.shift_index) for _, s in pairs)
    text = (
        f"{_MOST_ROWS} of {most} shifts are listed, evenly spaced; the run's statistics file has "
        "them all."
        if most > _MOST_ROWS
        else ""
    )
    return Section(heading="Statistics per shift", text=text, parts=tuple(parts))


def _shift_table(result: ShiftScores, statistics: ShiftStatistics) -> Table:
    columns = [
        Column("shift index"),
        Column("yaw (degrees)", ".4g"),
        Column("shift (pixels)"),
        Column("panoramas"),
        Column("median |d|", ".3f"),
        Column("mean |d|", ".3f"),
    ]
    if statistics.reference:
        columns += [Column("Wilcoxon statistic", ".10g"), Column("p", "#.2g"), Column("stable")]
    count = len(statistics.shift_index)
    shown = np.arange(min(count, _MOST_ROWS)) * count // min(count, _MOST_ROWS)
    rows = tuple(_shift_row(result, statistics, int(i)) for i in shown)
    return Table(f"Fit {result.fit}", tuple(columns), rows)


def _shift_row(result: ShiftScores, statistics: ShiftStatistics, i: int) -> tuple[Cell, ...]:
    index = int(statistics.shift_index[i])
    low, high = int(result.shifts[:, index].min()), int(result.shifts[:, index].max())
    row = (
        index,
        float(yaw_degrees(result)[index]),
        low if low == high else f"{low} to {high}",
        int(statistics.n[i]),
        float(statistics.median[i]),
        float(statistics.mean[i]),
    )
    test = statistics.reference
    if test is None:
        return row
    stable = bool(test.stable[i]) if test.tested[i] else None
    # Thousands of panoramas take p below the smallest float: that is not a zero.
    p = "< 1e-300" if test.p[i] == 0 else float(test.p[i])
    return (*row, float(test.statistic[i]), p, stable)
