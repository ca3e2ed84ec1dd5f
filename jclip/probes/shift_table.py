"""Shift scores as a table of one row per model, fit, image and shift, and back."""

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from jclip.probes.scores import ShiftScores
from jclip.statistics.stability import ShiftStatistics


def scores_table(results: Sequence[ShiftScores]) -> pa.Table:
    """One row per set, model, fit, image and shift.

    Columns image_set, model, fit, image, caption, shift_index, shift (pixels), yaw (degrees),
    score; and mirrored_score, of the flipped panorama, where that was scored and the shift is 0.
    """
    return pa.concat_tables([_rows(result) for result in results])


def _rows(result: ShiftScores) -> pa.Table:
    n, s = result.scores.shape

    def per_image(values):
        return pa.array(values, pa.string()).take(pa.array(np.repeat(np.arange(n), s)))

    mirrored = np.full((n, s), np.nan, np.float32)
    mirrored[:, 0] = result.mirrored
    return pa.table(
        {
            "image_set": pa.array(np.full(n * s, result.image_set)),
            "model": pa.array(np.full(n * s, result.model)),
            "fit": pa.array(np.full(n * s, result.fit)),
            "image": per_image(result.images),
            "caption": per_image(result.captions),
            "shift_index": np.tile(np.arange(s, dtype=np.int32), n),
            "shift": result.shifts.ravel().astype(np.int32),
            "yaw": (360.0 * result.shifts / result.widths[:, None]).ravel(),
            "score": result.scores.ravel().astype(np.float32),
            "mirrored_score": pa.array(mirrored.ravel(), mask=np.isnan(mirrored.ravel())),
        }
    )


def select_images(result: ShiftScores, rows: Sequence[int]) -> ShiftScores:
    """The same result for some of its images, by row."""
    index = np.asarray(rows, int)
    return dataclasses.replace(
        result,
        images=tuple(result.images[i] for i in rows),
        captions=tuple(result.captions[i] for i in rows),
        heights=result.heights[index],
        widths=result.widths[index],
        shifts=result.shifts[index],
        scores=result.scores[index],
        mirrored=result.mirrored[index],
    )


def fill_from_table(results: Sequence[ShiftScores], tables: Iterable[pa.Table]) -> None:
    """Write the scores that earlier runs computed into `results`, in place, by name."""
    rows = {r.image_set: {name: row for row, name in enumerate(r.images)} for r in results}
    for table in tables:
        labels = [table[name].to_numpy() for name in ("image_set", "model", "fit")]
        for result in results:
            matches = [column == own for column, own in zip(labels, result.label, strict=True)]
            part = table.filter(pa.array(np.all(matches, axis=0)))
            image = np.array(
                [rows[result.image_set][name] for name in part["image"].to_pylist()], int
            )
            shift = part["shift_index"].to_numpy()
            result.scores[image, shift] = part["score"].to_numpy()
            result.mirrored[image[shift == 0]] = part["mirrored_score"].to_numpy()[shift == 0]


def statistics_table(
    results: Sequence[ShiftScores], statistics: Sequence[ShiftStatistics]
) -> pa.Table:
    """One row per set, model, fit and shift other than 0; test columns are empty without beta.

    `shift` is in pixels where all panoramas have one width, and empty otherwise; `yaw` in degrees.
    """
    rows = []
    for result, summary in zip(results, statistics, strict=True):
        for t, index in enumerate(summary.shift_index):
            shifts = np.unique(result.shifts[:, index])
            rows.append(
                {
                    "image_set": result.image_set,
                    "model": result.model,
                    "fit": result.fit,
                    "shift_index": int(index),
                    "shift": int(shifts[0]) if len(shifts) == 1 else None,
                    "yaw": float(np.median(360.0 * result.shifts[:, index] / result.widths)),
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
    return pa.Table.from_pylist(rows)


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
    }
    if excess is not None:
        columns["median_excess_low"] = float(excess.interval.low[t])
        columns["median_excess_high"] = float(excess.interval.high[t])
        columns["median_excess_share_below"] = float(excess.share_below[t])
    return columns


def reference_file_name(model: str) -> str:
    """`mixed_scores_ViT_B_32.txt` for `ViT-B-32/openai`: the paper's scripts know no more."""
    architecture = model.split("/")[0].removeprefix("random:")
    return f"mixed_scores_{architecture.replace('-', '_')}.txt"


def write_reference_text_files(folder: Path, result: ShiftScores) -> None:
    """Write `shift_{pixels}_imgs_scores/mixed_scores_{MODEL}.txt`, a "%.4f" per line, per shift.

    The layout that the scripts of paper 1 read. All panoramas need to have one width.
    """
    for column, pixels in enumerate(result.shifts[0]):
        target = folder / f"shift_{pixels}_imgs_scores"
        target.mkdir(exist_ok=True)
        lines = "".join(f"{score:.4f}\n" for score in result.scores[:, column])
        (target / reference_file_name(result.model)).write_text(lines)
