"""Heads measured on sets of hard negatives that no training saw, beside the boxes of paper 2."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from jclip.data.embedded import EMBEDDED, Embedded, read_embedded, read_foil_sets
from jclip.data.foils import FoilSet
from jclip.errors import InputError
from jclip.heads import Head
from jclip.probes.foil_tables import comparison_table, right_records
from jclip.probes.foils import FoilScores, metrics_of, score_foils

Key = tuple[str, str, int]
"""Head, stage and seed."""


@dataclasses.dataclass
class UnseenFoils:
    """Sets of hard negatives, embedded by the model of some heads, and what heads scored on them.

    `scored` is filled by `measure`.
    """

    sets: tuple[FoilSet, ...]
    embedded: Embedded
    scored: dict[Key, list[FoilScores]] = dataclasses.field(default_factory=dict)

    @property
    def columns(self) -> tuple[str, ...]:
        """What `measure` calls its numbers: the sets."""
        return tuple(one.name for one in self.sets)

    def measure(self, head: Head | None, key: Key) -> dict[str, float]:
        """The share of right records of each set in per cent, ties against; None: the cosine."""
        label = key[0] if head is None else " ".join(key[:2])
        found = score_foils(self.sets, self.embedded.pictures, self.embedded.texts, label, head)
        self.scored[key] = found
        return {
            one.foils.name: 100 * float(right_records(one, metrics_of(one.foils)[0]).mean())
            for one in found
        }

    def compare(self, first: Key, second: Key) -> pa.Table:
        """The tests of `comparison_table` between two that were measured."""
        return comparison_table([*self.scored[first], *self.scored[second]])


def read_unseen_foils(folder: Path, base: Mapping[str, Any]) -> UnseenFoils:
    """The sets of a run of hard negatives, with the embeddings of the model that heads belong to.

    Weights count, not names: the same checkpoint in two folders is one model.

    Args:
        folder: of the run.
        base: `Features.base` of what the heads are trained on.

    Raises:
        InputError: the folder holds no such run, or none of this model.
    """
    sets, names = read_foil_sets(folder), []
    for path in sorted((folder / EMBEDDED).glob("*.safetensors")):
        embedded = read_embedded(path)
        own = embedded.base["model"]
        if all(own.get(name) == base["model"].get(name) for name in ("weights", "activation")):
            return UnseenFoils(sets, embedded)
        names.append(embedded.model)
    raise InputError(
        f"{folder}: hard negatives embedded by {', '.join(names) or 'nothing'}, and the heads are "
        f"trained on features of {base['model'].get('name')}"
    )


def measured_row(
    key: Key, measured: Mapping[str, float], foils: UnseenFoils | None, head: Head | None
) -> dict[str, Any]:
    """One head at one stage by one seed: what was measured on boxes, and on foils if there are."""
    names = dict(zip(("head", "stage", "seed"), key, strict=True))
    return {**names, **measured, **(foils.measure(head, key) if foils else {})}


def best_key(rows: list[dict[str, Any]]) -> Key:
    """The head and stage of the lowest mean rank over seeds, by its first seed."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["head"], row["stage"]), []).append(row)
    trained = {name: own for name, own in groups.items() if name[1] != "before"}
    means = {name: sum(r["mean_rank"] for r in own) / len(own) for name, own in trained.items()}
    best = min(means, key=means.__getitem__)
    return *best, trained[best][0]["seed"]
