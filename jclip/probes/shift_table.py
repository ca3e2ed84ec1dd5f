"""Shift scores as a table of one row per model, fit, image and shift, and back."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from jclip.probes.scores import ShiftScores
from jclip.statistics.stability import ShiftStatistics

__all__ = [
    "fill_from_table",
    "reference_file_name",
    "scores_table",
    "select_images",
    "statistics_table",
    "write_reference_text_files",
]


def scores_table(results: Sequence[ShiftScores]) -> pa.Table:
    """Columns model, fit, image, caption, shift_index, shift (pixels), yaw (degrees), score."""
    return pa.concat_tables([_rows(result) for result in results])


def _rows(result: ShiftScores) -> pa.Table:
    n, s = result.scores.shape

    def per_image(values):
        return pa.array(values, pa.string()).take(pa.array(np.repeat(np.arange(n), s)))

    return pa.table(
        {
            "model": pa.array(np.full(n * s, result.model)),
            "fit": pa.array(np.full(n * s, result.fit)),
            "image": per_image(result.images),
            "caption": per_image(result.captions),
            "shift_index": np.tile(np.arange(s, dtype=np.int32), n),
            "shift": result.shifts.ravel().astype(np.int32),
            "yaw": (360.0 * result.shifts / result.widths[:, None]).ravel(),
            "score": result.scores.ravel().astype(np.float32),
        }
    )


def select_images(result: ShiftScores, rows: Sequence[int]) -> ShiftScores:
    """The same result for some of its images, by row."""
    index = np.asarray(rows, int)
    return ShiftScores(
        model=result.model,
        fit=result.fit,
        images=tuple(result.images[i] for i in rows),
        captions=tuple(result.captions[i] for i in rows),
        widths=result.widths[index],
        shifts=result.shifts[index],
        scores=result.scores[index],
    )


def fill_from_table(results: Sequence[ShiftScores], tables: Iterable[pa.Table]) -> None:
    """Write the scores that earlier runs computed into `results`, in place, by name."""
    places = {(r.model, r.fit): r.scores for r in results}
    rows = {name: row for row, name in enumerate(results[0].images)}
    for table in tables:
        for (model, fit), scores in places.items():
            mask = np.logical_and(
                table["model"].to_numpy() == model, table["fit"].to_numpy() == fit
            )
            part = table.filter(pa.array(mask))
            image = [rows[name] for name in part["image"].to_pylist()]
            scores[image, part["shift_index"].to_numpy()] = part["score"].to_numpy()


def statistics_table(
    results: Sequence[ShiftScores], statistics: Sequence[ShiftStatistics]
) -> pa.Table:
    """One row per model, fit and shift other than 0; test columns are empty without beta.

    `shift` is in pixels where all panoramas have one width, and empty otherwise; `yaw` in degrees.
    """
    rows = []
    for result, summary in zip(results, statistics, strict=True):
        test = summary.reference
        for t, index in enumerate(summary.shift_index):
            shifts = np.unique(result.shifts[:, index])
            rows.append(
                {
                    "model": result.model,
                    "fit": result.fit,
                    "shift_index": int(index),
                    "shift": int(shifts[0]) if len(shifts) == 1 else None,
                    "yaw": float(np.median(360.0 * result.shifts[:, index] / result.widths)),
                    "n": int(summary.n[t]),
                    "median_abs_d": float(summary.median[t]),
                    "mean_abs_d": float(summary.mean[t]),
                    "beta": test.beta if test else None,
                    "alpha": test.alpha if test else None,
                    "wilcoxon_statistic": float(test.statistic[t]) if test else None,
                    "wilcoxon_p": float(test.p[t]) if test else None,
                    "stable": bool(test.stable[t]) if test and test.tested[t] else None,
                }
            )
    return pa.Table.from_pylist(rows)


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
