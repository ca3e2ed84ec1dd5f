"""What a shift sweep found as tables: a row per shift, and a row per set, model and fit."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from jclip.probes.scores import with_probabilities
from jclip.probes.shift import ShiftScores
from jclip.statistics.stability import ShiftStatistics


def median_yaws(result: ShiftScores) -> Float[np.ndarray, " s"]:
    """Yaw in degrees of each shift index: the median over panoramas, whose widths may differ."""
    return np.median(result.yaws, axis=0)


def statistics_table(
    results: Sequence[ShiftScores], statistics: Sequence[ShiftStatistics]
) -> pa.Table:
    """One row per set, model, fit and shift other than 0; test columns are empty without beta.

    `shift` is in pixels where all panoramas have one width, and empty otherwise; `shift_least` and
    `shift_most` are over all panoramas. `yaw` is in degrees, the median over panoramas.
    """
    rows = []
    for result, summary in zip(results, statistics, strict=True):
        yaws = median_yaws(result)
        for t, index in enumerate(summary.shift_index):
            shifts = np.unique(result.shifts[:, index])
            rows.append(
                {
                    **result.named,
                    "shift_index": int(index),
                    "shift": int(shifts[0]) if len(shifts) == 1 else None,
                    "shift_least": int(shifts[0]),
                    "shift_most": int(shifts[-1]),
                    "yaw": float(yaws[index]),
                    "n": int(summary.n[t]),
                    "median_abs_d": float(summary.median[t]),
                    "median_low": float(summary.median_interval.low[t]),
                    "median_high": float(summary.median_interval.high[t]),
                    "mean_abs_d": float(summary.mean[t]),
                    "shapiro_statistic": float(summary.shapiro_statistic[t]),
                    "shapiro_p": float(summary.shapiro_p[t]),
                    **_test_columns(summary, t),
                }
            )
    # Results without tests lack columns that others have.
    names = dict.fromkeys(name for row in rows for name in row)
    return pa.table({name: [row.get(name) for row in rows] for name in names})


def _test_columns(summary: ShiftStatistics, t: int) -> dict[str, float | bool | None]:
    wilcoxon, sign = summary.reference, summary.corrected
    if wilcoxon is None or sign is None:
        return {}
    tested, excess = bool(wilcoxon.tested[t]), sign.median_excess
    columns = {
        "beta": wilcoxon.beta,
        "alpha": wilcoxon.alpha,
        "wilcoxon_statistic": float(wilcoxon.statistic[t]),
        "wilcoxon_p": float(wilcoxon.p[t]),
        "stable_by_wilcoxon": bool(wilcoxon.stable[t]) if tested else None,
        "sign_test_p": float(sign.p[t]),
        "sign_test_holm_p": float(sign.adjusted_p[t]),
        "stable": bool(sign.stable[t]) if tested else None,
        "all_shifts_p": sign.p_all_shifts,
        "share_above_beta": float(sign.share_above[t]),
        "share_above_low": float(sign.share_above_interval.low[t]),
        "share_above_high": float(sign.share_above_interval.high[t]),
        "median_excess": float(summary.median[t] - wilcoxon.beta),
    }
    if excess is not None:
        columns["median_excess_low"] = float(excess.interval.low[t])
        columns["median_excess_high"] = float(excess.interval.high[t])
        columns["median_excess_share_below"] = float(excess.share_below[t])
    return columns


def summary_table(
    results: Sequence[ShiftScores], statistics: Sequence[ShiftStatistics]
) -> pa.Table:
    """One row per set, model and fit: the changes over all shifts, and how many are stable.

    Where a model has a sigmoid, the median unshifted probability stands last.
    """
    rows = [_summary(result, own) for result, own in zip(results, statistics, strict=True)]
    unshifted = {"median_unshifted_probability": [result.scores[:, 0] for result in results]}
    return pa.Table.from_pylist(with_probabilities(rows, results, unshifted))


def _summary(result: ShiftScores, summary: ShiftStatistics) -> dict[str, Any]:
    yaws = median_yaws(result)[summary.shift_index]
    half_turn, largest = (
        int(np.argmin(np.abs(yaws - 180 / result.orbit))),
        int(np.argmax(summary.median)),
    )
    sign, wilcoxon = summary.corrected, summary.reference
    # Mirrored panoramas are scored for nothing but the calibration.
    calibrated = bool(np.all(np.isfinite(result.mirrored)))
    return {
        **result.named,
        "n": len(result.images),
        "median_unshifted_score": float(np.median(result.scores[:, 0])),
        "half_turn_yaw": float(yaws[half_turn]),
        "half_turn_median_abs_d": float(summary.median[half_turn]),
        "largest_median_abs_d": float(summary.median[largest]),
        "largest_at_yaw": float(yaws[largest]),
        "largest_at_shift_index": int(summary.shift_index[largest]),
        "beta": wilcoxon and wilcoxon.beta,
        "beta_from": wilcoxon and ("flip calibration" if calibrated else "given by value"),
        "stable_shifts": sign and int(sign.stable.sum()),
        "tested_shifts": sign and int(sign.tested.sum()),
        "all_shifts_p": sign and sign.p_all_shifts,
        "stable_shifts_by_wilcoxon": wilcoxon and int(wilcoxon.stable.sum()),
    }


def summary_line(row: dict) -> str:
    """A row of the summary in words."""
    line = (
        "{image_set}, {model}, {fit}: largest median |d| {largest_median_abs_d:.3f} at yaw "
        "{largest_at_yaw:.4g} (shift index {largest_at_shift_index}), {n} panoramas"
    )
    if row["beta"] is not None:
        line += "; beta {beta:.3f}, stable at {stable_shifts} of {tested_shifts} shifts"
    return line.format(**row)
