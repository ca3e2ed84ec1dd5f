"""What came of heads that were trained together, as tables."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from jclip.training.head_training import TrainedHead


def deviation(values: Sequence[float]) -> float:
    """Standard deviation of a sample; NaN for a single value."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")


def run_table(trained: Sequence[TrainedHead]) -> pa.Table:
    """One row per run: its constants, its best epoch, how many it took, and its best loss."""
    return pa.Table.from_pylist(
        [
            {
                "run": one.run.name,
                "seed": one.run.seed,
                "learning_rate": one.run.learning_rate,
                "margin": one.run.margin,
                "best_epoch": one.best_epoch,
                "epochs": len(one.training_losses),
                "validation_loss": one.validation_loss,
            }
            for one in trained
        ]
    )


def by_setting(trained: Sequence[TrainedHead]) -> dict[tuple[float, float], list[TrainedHead]]:
    """Runs by learning rate and margin."""
    settings: dict[tuple[float, float], list[TrainedHead]] = {}
    for one in trained:
        settings.setdefault((one.run.learning_rate, one.run.margin), []).append(one)
    return settings


def setting_table(trained: Sequence[TrainedHead]) -> pa.Table:
    """One row per learning rate and margin: mean and deviation over seeds."""
    rows = []
    for (learning_rate, margin), own in by_setting(trained).items():
        losses = [one.validation_loss for one in own]
        rows.append(
            {
                "learning_rate": learning_rate,
                "margin": margin,
                "seeds": len(own),
                "validation_loss": float(np.mean(losses)),
                "validation_loss_deviation": deviation(losses),
                "best_epoch": float(np.mean([one.best_epoch for one in own])),
            }
        )
    return pa.Table.from_pylist(rows)


def curve_table(trained: Sequence[TrainedHead]) -> pa.Table:
    """One row per run and epoch, from epoch 0, before training, which has no training loss."""
    rows = [
        {"run": one.run.name, "epoch": epoch, "training_loss": training, "validation_loss": loss}
        for one in trained
        for epoch, (training, loss) in enumerate(
            zip([None, *one.training_losses.tolist()], one.validation_losses.tolist(), strict=True)
        )
    ]
    return pa.Table.from_pylist(rows)


def heads_table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Mean and deviation over seeds of every number, one row per head and stage.

    Args:
        rows: one per head, stage and seed: `head`, `stage`, `seed`, and numbers.
    """
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["head"], row["stage"]), []).append(row)
    table = []
    for (head, stage), own in groups.items():
        summary: dict[str, Any] = {"head": head, "stage": stage, "seeds": len(own)}
        for name in own[0]:
            if name in ("head", "stage", "seed"):
                continue
            values = [float(row[name]) for row in own]
            summary |= {name: float(np.mean(values)), f"{name}_deviation": deviation(values)}
        table.append(summary)
    return pa.Table.from_pylist(table)
