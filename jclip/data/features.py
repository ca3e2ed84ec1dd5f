"""Embeddings of images and captions as files, with what they were made from and by which model.

A feature folder holds `features.safetensors` (`images` [I, D] and `captions` [C, D], float32, as
`encode_image` and `encode_text` give them, *not* normalised), `index.parquet` and
`captions.parquet` (which row is what), and `features.json` (model, preprocessing, data, digests).
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pa_parquet
import safetensors.numpy
from jaxtyping import Float32, Int64

from jclip.errors import InputError
from jclip.files.atomic import replacing
from jclip.files.digests import sha256
from jclip.files.json_files import read_json
from jclip.files.tables import read_table
from jclip.files.tensors import SafetensorsTensors

Kind = Literal["fg_ovd", "coco"]

_TENSORS = "features.safetensors"
_INDEX, _CAPTIONS = "index.parquet", "captions.parquet"
FEATURES_FILE = "features.json"
"""Says what the others of a feature folder are; written last."""


@dataclasses.dataclass(frozen=True)
class Origin:
    """What a model's features depend on.

    Attributes:
        model: the checkpoint's name and `source`, its `activation`, and `weights`, the digests of
            its files by name (those of an adapter too).
        preprocessing: size, mean, std and interpolation.
        fit: how an image becomes a square.
        box_scale: factor on the sides of a box before it is cut out; 1 for whole images.
        data: the SHA-256 of every annotation file, by its stem, and of all images.
    """

    model: Mapping[str, Any]
    preprocessing: Mapping[str, Any]
    fit: str
    box_scale: float
    data: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class BoxSet:
    """One set of FG-OVD: N boxes with a right caption and up to K wrong ones each, as row numbers.

    `images` are rows of `Features.images`, `positives` and `negatives` rows of `Features.captions`;
    -1 fills the rows of boxes that have fewer negatives than K. Boxes that several sets share are
    one row of `Features.images`. `annotations` are the ids in the set's file.
    """

    annotations: Int64[np.ndarray, " n"]
    images: Int64[np.ndarray, " n"]
    positives: Int64[np.ndarray, " n"]
    negatives: Int64[np.ndarray, "n k"]


@dataclasses.dataclass(frozen=True)
class Features:
    """Embeddings, not normalised, and which of them belong together.

    Attributes:
        images: of I boxes (kind `fg_ovd`) or whole images (`coco`).
        captions: of C captions; for `fg_ovd` no two have the same text.
        image_names: `[I]`, file names, relative to the folder of images.
        texts: `[C]`.
        origin: what they were made from.
        sets: of kind `fg_ovd`, by the stem of the annotation file; else empty.
        caption_images: of kind `coco`, the row of `images` that each caption is about; else empty.
        splits: of kind `coco`, `[I]`, such as train, restval, val or test; else empty.
    """

    kind: Kind
    images: Float32[np.ndarray, "i d"]
    captions: Float32[np.ndarray, "c d"]
    image_names: tuple[str, ...]
    texts: tuple[str, ...]
    origin: Origin
    sets: Mapping[str, BoxSet] = dataclasses.field(default_factory=dict)
    caption_images: Int64[np.ndarray, " m"] = dataclasses.field(
        default_factory=lambda: np.empty(0, np.int64)
    )
    splits: tuple[str, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """How many rows there are of everything."""
        own = {name: len(one.images) for name, one in self.sets.items()}
        return {"images": len(self.images), "captions": len(self.captions), **own}


def padded_negatives(rows: list[list[int]]) -> Int64[np.ndarray, "n k"]:
    """Lists of caption rows as one array, short lists filled with -1."""
    padded = np.full((len(rows), max(map(len, rows), default=0)), -1, np.int64)
    for target, own in zip(padded, rows, strict=True):
        target[: len(own)] = own
    return padded


def write_features(folder: Path, features: Features) -> None:
    """Write a feature folder; `features.json` comes last, so that a folder with it is whole.

    Raises:
        InputError: an embedding is not finite.
    """
    tensors = {"images": features.images, "captions": features.captions}
    for name, values in tensors.items():
        if len(bad := np.flatnonzero(~np.isfinite(values).all(axis=1))):
            names = features.image_names if name == "images" else features.texts
            raise InputError(f"{names[bad[0]]!r}: its embedding is not finite ({len(bad)} in all)")
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / _TENSORS) as partial:
        safetensors.numpy.save_file(tensors, partial)
    _write_table(folder / _INDEX, _index(features))
    caption_columns: dict[str, Any] = {"text": list(features.texts)}
    if features.kind == "coco":
        caption_columns["image"] = features.caption_images
    _write_table(folder / _CAPTIONS, pa.table(caption_columns))
    digests = {name: _digest(values) for name, values in tensors.items()}
    digests |= {name: sha256(folder / name) for name in (_INDEX, _CAPTIONS)}
    record = {
        "kind": features.kind,
        **dataclasses.asdict(features.origin),
        "counts": features.counts,
        "sha256": digests,
    }
    with replacing(folder / FEATURES_FILE) as partial:
        partial.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n")


def _write_table(path: Path, table: pa.Table) -> None:
    with replacing(path) as partial:
        pa_parquet.write_table(table, partial)


def _digest(values: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(values)).hexdigest()


def _index(features: Features) -> pa.Table:
    """A row per image, or per box of every set."""
    if features.kind == "coco":
        return pa.table({"file": list(features.image_names), "split": list(features.splits)})
    parts = [
        pa.table(
            {
                "set": pa.array([name] * len(one.images), pa.string()),
                "annotation": one.annotations,
                "file": pa.array([features.image_names[row] for row in one.images], pa.string()),
                "image": one.images,
                "positive": one.positives,
                "negatives": pa.array(
                    [[row for row in own if row >= 0] for own in one.negatives.tolist()],
                    pa.list_(pa.int64()),
                ),
            }
        )
        for name, one in features.sets.items()
    ]
    return pa.concat_tables(parts)


def read_features(folder: Path) -> Features:
    """Read a feature folder.

    Raises:
        InputError: there is none, or a file is damaged: every digest is checked.
    """
    if not (folder / FEATURES_FILE).is_file():
        raise InputError(f"{folder}: no {FEATURES_FILE}; experiments.extract_features writes it")
    record = read_json(folder / FEATURES_FILE)
    try:
        digests = record["sha256"]
        origin = Origin(**{f.name: record[f.name] for f in dataclasses.fields(Origin)})
        kind: Kind = record["kind"]
    except KeyError as error:
        raise InputError(f"{folder / FEATURES_FILE}: field {error} is missing") from None
    tensors = SafetensorsTensors([folder / _TENSORS])
    images, captions = (_tensor(folder, tensors, digests, n) for n in ("images", "captions"))
    for name in (_INDEX, _CAPTIONS):
        if not (folder / name).is_file() or sha256(folder / name) != digests.get(name):
            raise InputError(f"{folder / name}: missing, or not what was written (its SHA-256)")
    index, text_table = (read_table(folder / name) for name in (_INDEX, _CAPTIONS))
    texts = tuple(text_table["text"].to_pylist())
    if kind == "coco":
        return Features(
            kind=kind,
            images=images,
            captions=captions,
            image_names=tuple(index["file"].to_pylist()),
            texts=texts,
            origin=origin,
            caption_images=text_table["image"].to_numpy(),
            splits=tuple(index["split"].to_pylist()),
        )
    names: list[str] = [""] * len(images)
    for row, file in zip(index["image"].to_pylist(), index["file"].to_pylist(), strict=True):
        names[row] = file
    return Features(
        kind=kind,
        images=images,
        captions=captions,
        image_names=tuple(names),
        texts=texts,
        origin=origin,
        sets=_sets(index),
    )


def _tensor(folder: Path, tensors: SafetensorsTensors, digests: Mapping[str, str], name: str):
    if name not in tensors.shapes:
        raise InputError(f"{folder / _TENSORS}: no tensor {name!r}")
    values = tensors.read(name)
    if _digest(values) != digests.get(name):
        raise InputError(f"{folder / _TENSORS}: tensor {name!r} is not what was written (SHA-256)")
    return values


def _sets(index: pa.Table) -> dict[str, BoxSet]:
    column = index["set"].to_numpy()
    sets = {}
    for name in dict.fromkeys(column.tolist()):
        own = index.filter(pa.array(column == name))
        sets[name] = BoxSet(
            annotations=own["annotation"].to_numpy(),
            images=own["image"].to_numpy(),
            positives=own["positive"].to_numpy(),
            negatives=padded_negatives(own["negatives"].to_pylist()),
        )
    return sets


def require_same_model(first: Features, second: Features) -> None:
    """Refuse to mix features of different models, or of images prepared in different ways.

    Weights count, not names: the same checkpoint in two folders is one model.

    Raises:
        InputError: naming both and the first difference.
    """
    for what, a, b in zip(("model", "preprocessing", "fit"), *map(_made_by, (first, second)),
                          strict=True):  # fmt: skip
        if a != b:
            names = [f.origin.model.get("name") for f in (first, second)]
            raise InputError(
                f"features of {names[0]} and of {names[1]} cannot be mixed: {what} is {a} and {b}"
            )


def _made_by(features: Features) -> tuple[Any, ...]:
    origin, model = features.origin, features.origin.model
    weights = model.get("weights") or model.get("source")
    # As JSON has it, so that what was just made equals what was read.
    preprocessing = json.loads(json.dumps(dict(origin.preprocessing)))
    return (weights, model.get("activation")), preprocessing, origin.fit
