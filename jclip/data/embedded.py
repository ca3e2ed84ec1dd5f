"""Embeddings of pictures and texts by one model as one file, and rows of hard negatives as another.

What a probe needs to be scored again, by another head for instance, without the model.
"""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float32

from jclip.data.boxes import padded_rows
from jclip.data.foils import FoilSet
from jclip.errors import InputError
from jclip.files.atomic import replacing
from jclip.files.digests import write_tensors
from jclip.files.tables import read_table, write_parquet
from jclip.files.tensors import SafetensorsTensors

EMBEDDED = "embeddings"
"""Folder of a run that holds a file of embeddings for each model."""
FOIL_SETS = "foil_sets.parquet"
_BASE = "jclip.base"


@dataclasses.dataclass(frozen=True)
class Embedded:
    """Embeddings, not normalised, by one model.

    Attributes:
        model: its name.
        pictures: `[P, D]`.
        texts: `[M, D]`.
        base: model, preprocessing and fit, as `Features.base` has them: what a head belongs to.
    """

    model: str
    pictures: Float32[np.ndarray, "p d"]
    texts: Float32[np.ndarray, "m d"]
    base: dict[str, Any]


def embedded_file(folder: Path, model: str) -> Path:
    """Where a run's folder holds a model's embeddings."""
    return folder / EMBEDDED / f"{model.replace('/', '_')}.safetensors"


def write_embedded(folder: Path, embedded: Embedded) -> None:
    """Write a model's embeddings into a run's folder, with their digests.

    Raises:
        InputError: an embedding is not finite.
    """
    tensors = {"pictures": embedded.pictures, "texts": embedded.texts}
    for name, values in tensors.items():
        if not np.isfinite(values).all():
            row = int(np.argmin(np.isfinite(values).all(axis=1)))
            raise InputError(f"{embedded.model}: the embedding of {name} {row} is not finite")
    path = embedded_file(folder, embedded.model)
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {"model": embedded.model, "base": embedded.base}
    with replacing(path) as partial:
        write_tensors(partial, tensors, metadata={_BASE: json.dumps(about)})


def read_embedded(path: Path) -> Embedded:
    """A model's embeddings.

    Raises:
        InputError: the file is missing or damaged.
    """
    tensors = SafetensorsTensors([path])
    try:
        about = json.loads(tensors.metadata[_BASE])
        pictures, texts = tensors.read("pictures"), tensors.read("texts")
    except (KeyError, ValueError):
        raise InputError(f"{path}: holds no embeddings of pictures and texts") from None
    return Embedded(about["model"], pictures, texts, about["base"])


def write_foil_sets(folder: Path, sets: Sequence[FoilSet]) -> None:
    """Write the rows of sets of hard negatives into a run's folder."""
    tables = []
    for foils in sets:
        n = len(foils.records)
        tables.append(
            pa.table(
                {
                    "set": pa.repeat(foils.name, n),
                    "benchmark": pa.repeat(foils.benchmark, n),
                    "record": list(foils.records),
                    "group": list(foils.groups),
                    "cluster": foils.clusters,
                    "pictures": foils.pictures.tolist(),
                    "texts": foils.texts.tolist(),
                    "right": foils.right.reshape(n, -1).tolist(),
                }
            )
        )
    write_parquet(folder / FOIL_SETS, pa.concat_tables(tables))


def read_foil_sets(folder: Path) -> tuple[FoilSet, ...]:
    """The sets of hard negatives of a run.

    Raises:
        InputError: the folder holds none.
    """
    if not (folder / FOIL_SETS).is_file():
        raise InputError(f"{folder}: no {FOIL_SETS}; experiments.hard_negatives writes it")
    table, sets = read_table(folder / FOIL_SETS), []
    names = table["set"].to_numpy(zero_copy_only=False)
    for name in dict.fromkeys(names.tolist()):
        rows = np.flatnonzero(names == name)
        own = table.take(rows)
        pictures = np.array(own["pictures"].to_pylist(), np.int64)
        texts = padded_rows(own["texts"].to_pylist())
        right = np.array(own["right"].to_pylist(), bool)
        sets.append(
            FoilSet(
                name=name,
                benchmark=own["benchmark"][0].as_py(),
                records=tuple(own["record"].to_pylist()),
                groups=tuple(own["group"].to_pylist()),
                pictures=pictures,
                texts=texts,
                right=right.reshape(len(rows), pictures.shape[1], texts.shape[1]),
                clusters=own["cluster"].to_numpy(),
            )
        )
    return tuple(sets)
