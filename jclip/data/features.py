"""Embeddings of images and captions as files, with what they were made from and by which model.

A feature folder holds `features.safetensors` (`images` [I, D] and `captions` [C, D], float32, as
`encode_image` and `encode_text` give them, *not* normalised) with the digests of everything,
`index.parquet` and `captions.parquet` (which row is what), and `features.json` (model,
preprocessing, data).
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from jaxtyping import Float32, Int64

from jclip.data.boxes import AnnotatedImage, BoxTable, padded_rows
from jclip.errors import InputError
from jclip.files.atomic import replacing
from jclip.files.digests import json_digest, sha256, write_tensors
from jclip.files.json_files import as_json, read_json, write_json
from jclip.files.tables import read_table, write_parquet
from jclip.files.tensors import SafetensorsTensors

Kind = Literal["fg_ovd", "coco"]

FEATURES_TENSORS = "features.safetensors"
"""Written last: a feature folder that has it is whole."""
FEATURES_FILE = "features.json"
_INDEX, _CAPTIONS = "index.parquet", "captions.parquet"


def no_rows() -> Int64[np.ndarray, " 0"]:
    """Of what there is none."""
    return np.empty(0, np.int64)


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
class Features:
    """Embeddings, not normalised, and which of them belong together.

    Attributes:
        images: of I boxes (kind `fg_ovd`) or whole images (`coco`).
        captions: of C captions; for `fg_ovd` those of `boxes.texts`.
        image_names: `[I]`, files relative to the folder of images, boxes with their sides.
        texts: `[C]`.
        origin: what they were made from.
        boxes: of kind `fg_ovd`, the N boxes of all sets.
        box_images: the row of `images` that each box is; boxes that sets share are one row.
        caption_images: of kind `coco`, the row of `images` that each caption is about; else empty.
        splits: of kind `coco`, `[I]`, such as train, restval, val or test; else empty.
    """

    images: Float32[np.ndarray, "i d"]
    captions: Float32[np.ndarray, "c d"]
    image_names: tuple[str, ...]
    texts: tuple[str, ...]
    origin: Origin
    boxes: BoxTable | None = None
    box_images: Int64[np.ndarray, " n"] = dataclasses.field(default_factory=no_rows)
    caption_images: Int64[np.ndarray, " m"] = dataclasses.field(default_factory=no_rows)
    splits: tuple[str, ...] = ()

    @property
    def kind(self) -> Kind:
        """Boxes with hard negatives, or whole images with captions."""
        return "coco" if self.boxes is None else "fg_ovd"

    @property
    def counts(self) -> dict[str, int]:
        """How many rows there are of everything."""
        own = {} if self.boxes is None else self.boxes.counts
        return {"images": len(self.images), "captions": len(self.captions), **own}

    @property
    def base(self) -> dict[str, Any]:
        """What a head that is trained on these belongs to, as its file records it."""
        origin = dataclasses.asdict(self.origin)
        return {name: origin[name] for name in ("model", "preprocessing", "fit")}


def write_features(folder: Path, features: Features) -> None:
    """Write a feature folder; a folder with `features.safetensors`, which comes last, is whole.

    Raises:
        InputError: an embedding is not finite.
    """
    tensors = {"images": features.images, "captions": features.captions}
    for name, values in tensors.items():
        if len(bad := np.flatnonzero(~np.isfinite(values).all(axis=1))):
            names = features.image_names if name == "images" else features.texts
            raise InputError(f"{names[bad[0]]!r}: its embedding is not finite ({len(bad)} in all)")
    folder.mkdir(parents=True, exist_ok=True)
    write_parquet(folder / _INDEX, _index(features))
    caption_columns: dict[str, Any] = {"text": list(features.texts)}
    if features.boxes is None:
        caption_columns["image"] = features.caption_images
    write_parquet(folder / _CAPTIONS, pa.table(caption_columns))
    origin = dataclasses.asdict(features.origin)
    write_json(folder / FEATURES_FILE, {"kind": features.kind, **origin, "counts": features.counts})
    beside = {name: sha256(folder / name) for name in (_INDEX, _CAPTIONS, FEATURES_FILE)}
    with replacing(folder / FEATURES_TENSORS) as partial:
        write_tensors(partial, tensors, beside=beside)


def _index(features: Features) -> pa.Table:
    """A row per image, or per box of every set."""
    if (table := features.boxes) is None:
        return pa.table({"file": list(features.image_names), "split": list(features.splits)})
    images = [table.images[row] for row in table.image_rows]
    captions = [[row for row in own if row >= 0] for own in table.caption_rows.tolist()]
    return pa.table(
        {
            "set": table.sets.tolist(),
            "annotation": table.annotations,
            **dict(zip(AnnotatedImage._fields, zip(*images, strict=True), strict=True)),
            **{side: table.boxes[:, number] for number, side in enumerate("xywh")},
            "image": features.box_images,
            "positive": [own[0] for own in captions],
            "negatives": [own[1:] for own in captions],
        }
    )


def features_digest(folder: Path) -> str:
    """What tells feature folders apart: the digest of the digests of all that is in them.

    Raises:
        InputError: a file beside the tensors is not as it was written.
    """
    return json_digest(SafetensorsTensors([folder / FEATURES_TENSORS]).metadata)


def read_features(folder: Path, *, repeated: bool = False) -> Features:
    """Read a feature folder.

    Args:
        folder: that `write_features` wrote.
        repeated: whether a box's right caption stays among its wrong ones, where files have it so.

    Raises:
        InputError: there is none, or a file is damaged: every digest is checked.
    """
    if not (folder / FEATURES_FILE).is_file():
        raise InputError(f"{folder}: no {FEATURES_FILE}; experiments.extract_features writes it")
    record = read_json(folder / FEATURES_FILE)
    try:
        kind: Kind = record["kind"]
        origin = Origin(**{f.name: record[f.name] for f in dataclasses.fields(Origin)})
    except KeyError as error:
        raise InputError(f"{folder / FEATURES_FILE}: field {error} is missing") from None
    tensors = SafetensorsTensors([folder / FEATURES_TENSORS])
    if absent := {"images", "captions"} - tensors.shapes.keys():
        raise InputError(f"{folder / FEATURES_TENSORS}: no tensor {sorted(absent)[0]!r}")
    images, captions = tensors.read("images"), tensors.read("captions")
    caption_table = read_table(folder / _CAPTIONS)
    texts = tuple(caption_table["text"].to_pylist())
    more: dict[str, Any]
    if kind == "coco":
        index = read_table(folder / _INDEX)
        more = {"caption_images": caption_table["image"].to_numpy()}
        more["splits"], names = (tuple(index[name].to_pylist()) for name in ("split", "file"))
    else:
        boxes, rows = _read_boxes(folder / _INDEX, texts, origin)
        of_image = dict(zip(rows.tolist(), range(len(rows)), strict=True))
        names = tuple(boxes.name(of_image[row]) for row in range(len(images)))
        boxes = boxes if repeated else boxes.without_repeated()
        more = {"boxes": boxes, "box_images": rows}
    return Features(images, captions, names, texts, origin, **more)


def _read_boxes(
    path: Path, texts: tuple[str, ...], origin: Origin
) -> tuple[BoxTable, Int64[np.ndarray, " n"]]:
    """The boxes of an index, and the row of each one's embedding."""
    index = read_table(path)
    if absent := [name for name in ("width", *"xywh") if name not in index.column_names]:
        raise InputError(f"{path}: no column {absent[0]!r}; extract the features again")
    images: dict[AnnotatedImage, int] = {}
    shown = map(AnnotatedImage, *(index[name].to_pylist() for name in AnnotatedImage._fields))
    image_rows = [images.setdefault(image, len(images)) for image in shown]
    captions = zip(index["positive"].to_pylist(), index["negatives"].to_pylist(), strict=True)
    sets = np.array(index["set"].to_pylist(), str)
    table = BoxTable(
        sets=sets,
        annotations=index["annotation"].to_numpy(),
        boxes=np.stack([index[side].to_numpy() for side in "xywh"], axis=1),
        image_rows=np.array(image_rows, np.int64),
        caption_rows=padded_rows([[right, *wrong] for right, wrong in captions]),
        images=tuple(images),
        texts=texts,
        digests={name: origin.data[name] for name in sets.tolist() if name in origin.data},
    )
    return table, index["image"].to_numpy()


def require_same_model(first: Features, second: Features) -> None:
    """Refuse to mix features of different models, or of images prepared in different ways.

    Weights count, not names: the same checkpoint in two folders is one model.

    Raises:
        InputError: naming both and the first difference.
    """
    made = zip(("model", "preprocessing", "fit"), _made_by(first), _made_by(second), strict=True)
    for what, a, b in made:
        if a != b:
            names = [f.origin.model.get("name") for f in (first, second)]
            raise InputError(
                f"features of {names[0]} and of {names[1]} cannot be mixed: {what} is {a} and {b}"
            )


def _made_by(features: Features) -> tuple[Any, ...]:
    origin, model = features.origin, features.origin.model
    weights = model.get("weights") or model.get("source")
    # As JSON has it, so that what was just made equals what was read.
    preprocessing = as_json(dict(origin.preprocessing))
    return (weights, model.get("activation")), preprocessing, origin.fit
