"""What a shift sweep found, in two tables: the changes, and whether they stay below beta."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from jclip.probes.shift import ShiftScores
from jclip.report.page import Column, Section, Table, counted
from jclip.report.shift_figures import yaw_label
from jclip.report.tables import CHANGE, PROBABILITY_METHOD, SCORE, P, page_table
from jclip.statistics.stability import ShiftStatistics

_PROBABILITY = "median_unshifted_probability"
# More cases than these are counted in the first sentence, not listed.
_MOST_NAMED = 4


def finding(summary: pa.Table) -> str:
    """What a sweep found, in a sentence or two; from `summary_table`."""
    rows = summary.to_pylist()
    least, most = (end(rows, key=lambda row: row["largest_median_abs_d"]) for end in (min, max))
    text = (
        f"Turning a panorama changes its score (median {most['median_unshifted_score']:.2f}) by up "
        f"to a median of {most['largest_median_abs_d']:.2f}, at yaw "
        f"{yaw_label(most['largest_at_yaw'])} ({_name(most, rows)})"
    )
    if least is not most:
        text += f", and by up to {least['largest_median_abs_d']:.2f} ({_name(least, rows)})"
    tested = [row for row in rows if row["beta"] is not None]
    if not tested:
        return f"{text}."
    stable = (f"{r['stable_shifts']} of {r['tested_shifts']} ({_name(r, rows)})" for r in tested)
    if len(tested) <= _MOST_NAMED:
        return f"{text}. Within the stability bound beta stay {', '.join(stable)} shifts."
    everywhere = sum(row["stable_shifts"] == row["tested_shifts"] for row in tested)
    return f"{text}. All shifts stay within beta in {everywhere} of {len(tested)} cases."


def _name(row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    """What tells a row from the others; its fit in any case."""
    differing = [key for key in ("image_set", "model") if len({r[key] for r in rows}) > 1]
    return ", ".join(row[key] for key in (*differing, "fit"))


def summary_section(
    results: Sequence[ShiftScores], statistics: Sequence[ShiftStatistics], summary: pa.Table
) -> Section:
    """Counts, score changes, and the tests against beta where one was given."""
    sets = list(dict.fromkeys(result.image_set for result in results))
    labels = ("model", *(("image_set",) if len(sets) > 1 else ()), "fit")
    tested = any(s.corrected for s in statistics)
    probable = f"\n\n{PROBABILITY_METHOD}" * (_PROBABILITY in summary.column_names)
    return Section(
        "Summary",
        _counts(results, statistics, sets),
        _change_table(summary, labels),
        *((_stability_table(summary, labels),) if tested else ()),
        method=_reading(statistics, summary) + probable,
    )


def _counts(
    results: Sequence[ShiftScores], statistics: Sequence[ShiftStatistics], sets: Sequence[str]
) -> str:
    models = len({result.model for result in results})
    fits = list(dict.fromkeys(result.fit for result in results))
    images = {
        name: sorted({len(r.images) for r in results if r.image_set == name}) for name in sets
    }
    counts = {name: " or ".join(map(str, found)) for name, found in images.items()}
    panoramas = f"{counts[sets[0]]} panoramas"
    if len(sets) > 1:
        named = ", ".join(f"{name}: {count}" for name, count in counts.items())
        panoramas = f"{len(sets)} image sets ({named} panoramas)"
    shifts = " or ".join(str(t) for t in sorted({len(s.shift_index) for s in statistics}))
    return (
        f"{panoramas}, each unshifted and at {shifts} other shifts; {counted(models, 'model')}; "
        f"{'fit' if len(fits) == 1 else 'fits'} {', '.join(fits)}. Score = 100 x cosine of image "
        "and text embedding; |d| = |score - unshifted score| of the same panorama."
    )


def _reading(statistics: Sequence[ShiftStatistics], summary: pa.Table) -> str:
    levels = sorted({s.corrected.alpha for s in statistics if s.corrected})
    if not levels:
        return "No stability bound beta was given, so stability was not tested."
    alpha = " or ".join(f"{level:g}" for level in levels)
    text = (
        "The exact sign test counts the panoramas whose |d| lies below beta and asks whether they "
        "are more than half, that is, whether the median |d| lies below beta, whatever the shape "
        "of the distribution; its p values are adjusted by Holm's method over the shifts of a "
        "row. The paper's Wilcoxon signed-rank test also weighs how far |d| lies from beta, which "
        "makes it a test of the median only where |d| is distributed symmetrically; |d| is "
        "skewed, with a long upper tail, so that this test stands here for comparison with the "
        "paper, each shift on its own.\n\n"
        f"A shift counts as stable where p < {alpha}. “Stable at all shifts” asks whether the "
        "median lies below beta at every tested shift: its p is the largest p of the sign tests "
        "and needs no adjustment. A larger p is not evidence of instability. No p is corrected "
        "for the number of models, fits and sets. A shift that maps the views onto themselves by "
        "construction is not tested (n/a).\n\n"
        "Beta is the largest score change that counts as none; the tests treat it as known."
    )
    if "flip calibration" in summary["beta_from"].to_pylist():
        text += (
            " Flip calibration takes it from the same panoramas, for each model, fit and set: Q3 + "
            "1.5 IQR of their score differences under a left-right flip."
        )
    return text


def _change_table(summary: pa.Table, labels: Sequence[str]) -> Table:
    yaws = {yaw_label(yaw) for yaw in summary["half_turn_yaw"].to_pylist()}
    half_turn = f"at yaw {yaws.pop()}" if len(yaws) == 1 else "at the yaw nearest 180"
    columns = {
        **dict.fromkeys(labels),
        "n": Column("panoramas"),
        "median_unshifted_score": Column("median unshifted score", SCORE),
        **dict.fromkeys([_PROBABILITY] * (_PROBABILITY in summary.column_names)),
        "half_turn_median_abs_d": Column(f"median |d| {half_turn}", CHANGE),
        "largest_median_abs_d": Column("largest median |d|", CHANGE),
        "largest_at_yaw": Column("at yaw (degrees)", ".4g"),
    }
    return page_table("Score changes over all shifts", summary, columns)


def _stability_table(summary: pa.Table, labels: Sequence[str]) -> Table:
    for name in ("stable_shifts", "stable_shifts_by_wilcoxon"):
        counts = zip(summary[name].to_pylist(), summary["tested_shifts"].to_pylist(), strict=True)
        written = [None if part is None else f"{part} of {whole}" for part, whole in counts]
        summary = summary.append_column(f"{name}_of", pa.array(written, pa.string()))
    columns = {
        **dict.fromkeys(labels),
        "beta": Column("beta", ".5g"),
        "beta_from": None,
        "stable_shifts_of": Column("stable shifts (sign test, Holm)"),
        "all_shifts_p": Column("p, stable at all shifts", P),
        "stable_shifts_by_wilcoxon_of": Column("stable shifts (Wilcoxon, the paper's)"),
    }
    return page_table("Stability: is the median |d| below beta?", summary, columns)
