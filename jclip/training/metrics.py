"""What a training run logs: CSV files with a row per logged step, written and read back."""

import csv
from collections.abc import Mapping
from pathlib import Path

import jax

from jclip.files.atomic import replacing


class MetricsFile:
    """A CSV with one row per logged step; opening it drops the rows of steps to be done again.

    Only process 0 writes.

    Args:
        path: of the file.
        done: how many steps need not be done again.
    """

    def __init__(self, path: Path, done: int):
        self._path = path
        self._writes = jax.process_index() == 0
        if not self._writes or not path.exists():
            return
        header, *rows = path.read_text(encoding="utf-8").splitlines(keepends=True) or [""]
        kept = [row for row in rows if row.endswith("\n") and int(row.split(",")[0]) <= done]
        with replacing(path) as partial:
            partial.write_text("".join([header, *kept] if kept else []), encoding="utf-8")

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Add the row of a step."""
        if not self._writes:
            return
        with self._path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            if file.tell() == 0:
                writer.writerow(["step", *metrics])
            writer.writerow([step, *(f"{float(value):.9g}" for value in metrics.values())])


def read_metric(path: Path, name: str) -> tuple[list[int], list[float]]:
    """Steps and values of one metric; empty if nothing was logged."""
    if not path.exists():
        return [], []
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [int(row["step"]) for row in rows], [float(row[name]) for row in rows]
