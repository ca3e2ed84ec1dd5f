"""Images that could not be decoded: listed in the run's folder, left out of its results."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import pyarrow as pa

from jclip.data.image_sets import ImageSet
from jclip.data.pipeline import Failure
from jclip.files.tables import write_csv
from jclip.runs.folder import exchange


def of_all_processes(
    folder: Path, failures: Mapping[str, Sequence[Failure]]
) -> dict[str, list[Failure]]:
    """Join what every process could not decode, by name of the set; returns when all are here."""
    if jax.process_count() == 1:
        return {name: list(own) for name, own in failures.items()}
    own = {name: [dataclasses.asdict(one) for one in some] for name, some in failures.items()}
    every = exchange(folder, "failures", own)
    return {
        name: sorted(
            (Failure(**one) for some in every for one in some[name]), key=lambda one: one.index
        )
        for name in failures
    }


def without_failures(
    folder: Path, sets: Sequence[ImageSet], failures: Mapping[str, Sequence[Failure]]
) -> tuple[dict[str, list[int]], list[str]]:
    """Write `failures.csv` if there are any.

    Args:
        folder: of the run.
        sets: the sets of images.
        failures: those of each set, by its name.

    Returns:
        The rows to keep of each set, by name; and a notice if any are left out.
    """
    kept, rows = {}, []
    for opened in sets:
        lost = {failure.index for failure in failures[opened.name]}
        kept[opened.name] = [row for row in range(len(opened.images)) if row not in lost]
        rows += [
            {"image_set": opened.name, "image": opened.images[f.index].name, "reason": f.reason}
            for f in failures[opened.name]
        ]
    if not rows:
        return kept, []
    write_csv(folder / "failures.csv", pa.Table.from_pylist(rows))
    notice = f"{len(rows)} images could not be decoded and are left out: failures.csv."
    return kept, [notice]
