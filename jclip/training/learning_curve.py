"""Reading back what a training run logged."""

import csv
from pathlib import Path


def read_learning_curve(path: Path, metric: str) -> tuple[list[int], list[float]]:
    """Steps and values of one metric out of `metrics.csv`; empty if nothing was logged."""
    if not path.exists():
        return [], []
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [int(row["step"]) for row in rows], [float(row[metric]) for row in rows]
