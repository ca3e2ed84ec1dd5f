"""What a shift sweep found, in two tables: the changes, and whether they stay below beta."""

from collections.abc import Sequence

import numpy as np

from jclip.probes.scores import ShiftScores
from jclip.report.figures import yaw_degrees, yaw_label
from jclip.report.page import Cell, Column, Section, Table
from jclip.report.provenance import FaultChoice
from jclip.report.shift_tables import written_p
from jclip.statistics.stability import ShiftStatistics


def summary_section(
    results: Sequence[ShiftScores],
    statistics: Sequence[ShiftStatistics],
    faults: Sequence[FaultChoice],
) -> Section:
    """Counts, score changes, and the tests against beta where one was given."""
    sets = list(dict.fromkeys(result.image_set for result in results))
    tables = [_change_table(results, statistics, several_sets=len(sets) > 1)]
    if any(s.corrected for s in statistics):
        tables.append(_stability_table(results, statistics, several_sets=len(sets) > 1))
    repeated = [choice.fault for choice in faults if choice.choice == "reference"]
    text = [
        _counts(results, statistics, sets),
        f"Faults of the papers' code that this run repeats: {'; '.join(repeated) or 'none'}.",
        *_reading(results, statistics),
    ]
    return Section(heading="Summary", text="\n\n".join(text), tables=tuple(tables))


def _counts(
    results: Sequence[ShiftScores], statistics: Sequence[ShiftStatistics], sets: Sequence[str]
) -> str:
    models = len({result.model for result in results})
    fits = list(dict.fromkeys(result.fit for result in results))
    images = {name: {len(r.images) for r in results if r.image_set == name} for name in sets}
    counts = {name: " or ".join(str(n) for n in sorted(found)) for name, found in images.items()}
    panoramas = (
        f"{counts[sets[0]]} panoramas"
        if len(sets) == 1
        else f"{len(sets)} image sets ({', '.join(f'{s}: {n}' for s, n in counts.items())} "
        "panoramas)"
    )
    shifts = " or ".join(str(t) for t in sorted({len(s.shift_index) for s in statistics}))
    return (
        f"{panoramas}, each unshifted and at {shifts} other shifts; {models} "
        f"{'model' if models == 1 else 'models'}; {'fit' if len(fits) == 1 else 'fits'} "
        f"{', '.join(fits)}. Score = 100 x cosine of image and text embedding; |d| = |score - "
        "unshifted score| of the same panorama."
    )


def _reading(results: Sequence[ShiftScores], statistics: Sequence[ShiftStatistics]) -> list[str]:
    levels = sorted({s.corrected.alpha for s in statistics if s.corrected})
    if not levels:
        return ["No stability bound beta was given, so stability was not tested."]
    alpha = " or ".join(f"{level:g}" for level in levels)
    return [
        "The exact sign test counts the panoramas whose |d| lies below beta and asks whether they "
        "are more than half, that is, whether the median |d| lies below beta, whatever the shape "
        "of the distribution; its p values are adjusted by Holm's method over the shifts of a "
        "row. The paper's Wilcoxon signed-rank test also weighs how far |d| lies from beta, which "
        "makes it a test of the median only where |d| is distributed symmetrically; |d| is "
        "skewed, with a long upper tail, so that this test stands here for comparison with the "
        "paper, each shift on its own.",
        f"A shift counts as stable where p < {alpha}. “Stable at all shifts” asks whether the "
        "median lies below beta at every tested shift: its p is the largest p of the sign tests "
        "and needs no adjustment. A larger p is not evidence of instability. No p is corrected "
        "for the number of models, fits and sets. A shift that maps the views onto themselves by "
        "construction is not tested (n/a).",
        "Beta is the largest score change that counts as none; the tests treat it as known."
        + (_CALIBRATION if any(_calibrated(result) for result in results) else ""),
    ]


_CALIBRATION = (
    " Flip calibration takes it from the same panoramas, for each model, fit and set: Q3 + 1.5 IQR "
    "of their score differences under a left-right flip."
)


def _calibrated(result: ShiftScores) -> bool:
    # Mirrored panoramas are scored for nothing but the calibration.
    return bool(np.all(np.isfinite(result.mirrored)))


def _change_table(
    results: Sequence[ShiftScores], statistics: Sequence[ShiftStatistics], *, several_sets: bool
) -> Table:
    columns = (
        *_label_columns(several_sets),
        Column("panoramas"),
        Column("median unshifted score", ".2f"),
        Column(f"median |d| {_half_turn_wording(results, statistics)}", ".3f"),
        Column("largest median |d|", ".3f"),
        Column("at yaw (degrees)", ".4g"),
    )
    rows = []
    for result, summary in zip(results, statistics, strict=True):
        largest = int(np.argmax(summary.median))
        rows.append(
            (
                *_label_cells(result, several_sets),
                len(result.images),
                float(np.median(result.scores[:, 0])),
                float(summary.median[_nearest_half_turn(result, summary)]),
                float(summary.median[largest]),
                float(yaw_degrees(result)[summary.shift_index[largest]]),
            )
        )
    return Table("Score changes over all shifts", columns, tuple(rows))


def _stability_table(
    results: Sequence[ShiftScores], statistics: Sequence[ShiftStatistics], *, several_sets: bool
) -> Table:
    columns = (
        *_label_columns(several_sets),
        Column("beta", ".5g"),
        Column("beta from"),
        Column("stable shifts (sign test, Holm)"),
        Column("p, stable at all shifts", "#.2g"),
        Column("stable shifts (Wilcoxon, the paper's)"),
    )
    rows = tuple(
        (*_label_cells(result, several_sets), *_stability_cells(result, summary))
        for result, summary in zip(results, statistics, strict=True)
    )
    return Table("Stability: is the median |d| below beta?", columns, rows)


def _stability_cells(result: ShiftScores, statistics: ShiftStatistics) -> tuple[Cell, ...]:
    corrected, reference = statistics.corrected, statistics.reference
    if corrected is None or reference is None:
        return (None,) * 5
    tested = corrected.tested.sum()
    return (
        corrected.beta,
        "flip calibration" if _calibrated(result) else "given by value",
        f"{corrected.stable.sum()} of {tested}",
        written_p(corrected.p_all_shifts),
        f"{reference.stable.sum()} of {tested}",
    )


def _label_columns(several_sets: bool) -> tuple[Column, ...]:
    sets = (Column("image set"),) if several_sets else ()
    return (Column("model"), *sets, Column("fit"))


def _label_cells(result: ShiftScores, several_sets: bool) -> tuple[str, ...]:
    return (result.model, *((result.image_set,) if several_sets else ()), result.fit)


def _nearest_half_turn(result: ShiftScores, statistics: ShiftStatistics) -> int:
    return int(np.argmin(np.abs(yaw_degrees(result)[statistics.shift_index] - 180)))


def _half_turn_wording(
    results: Sequence[ShiftScores], statistics: Sequence[ShiftStatistics]
) -> str:
    yaws = {
        yaw_label(yaw_degrees(result)[s.shift_index][_nearest_half_turn(result, s)])
        for result, s in zip(results, statistics, strict=True)
    }
    return f"at yaw {yaws.pop()}" if len(yaws) == 1 else "at the yaw nearest 180"
