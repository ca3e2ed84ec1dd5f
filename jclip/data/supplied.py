"""A model of which only its embeddings are here, or its scores: it stands where a checkpoint does.

The folder's layout is `jclip.data.supplied_files`'s: `embeddings.safetensors`, `.npy` or
clip-retrieval's, with `images` and `texts` that say what each row is; or `scores`. The two indices
may lie in the folder above, so that an exported folder can hold a folder for each model.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jclip.checkpoints import CheckpointDescription
from jclip.checkpoints.description import Identity
from jclip.data.supplied_files import EMBEDDINGS_FILE, Tower, read_towers
from jclip.data.supplied_index import Index, find_index, read_index
from jclip.data.view_plan import PLAN_FILE
from jclip.errors import InputError
from jclip.files.digests import sha256
from jclip.files.json_files import read_json
from jclip.images.fits import SUPPLIED
from jclip.models.unit_norm import unit_rows

# Above this a pair of pictures is one, to the encoder.
_CONSTANT = 0.99
# Of embeddings looked at for it, evenly spread.
_COMPARED = 500
_HALVES = ("float16", "bfloat16")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Supplied:
    """What a folder supplies, checked but for its names, which only a plan of views knows.

    Attributes:
        identity: the model's name and the digests of all that was read; its activation is
            `supplied`, as it is unknown.
        folder: where it is.
        images: embeddings of views; None where scores are supplied.
        texts: embeddings of texts; None where scores are supplied.
        scores: a row per view and text.
        planned: the digests of the plan that the folder and the embeddings name, by file.
    """

    identity: Identity
    folder: Path
    images: Tower | None = None
    texts: Tower | None = None
    scores: Index | None = None
    planned: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def description(self) -> "Supplied":
        """Itself: there is nothing to load."""
        return self

    @property
    def image_config(self) -> None:
        """How the encoder prepares images is not known."""
        return None


type Probed = CheckpointDescription | Supplied
"""A model that a probe asks: a checkpoint of ours, or what another program made."""


def unknown_settings(models: Sequence[Probed]) -> dict[str, str]:
    """The settings of checkpoints that mean nothing in a run whose models are all supplied."""
    alone = bool(models) and all(isinstance(model, Supplied) for model in models)
    return dict.fromkeys(("precision", "fits"), SUPPLIED) if alone else {}


def read_supplied(folder: Path) -> Supplied:
    """Read a folder of embeddings, or of scores.

    Raises:
        InputError: naming file and row: see `read_towers` and `read_index`; or two folders hold
            what one is meant to.
    """
    # A folder for each model may lie in the exported one.
    places = (folder, folder.resolve().parent)
    plan = next((place / PLAN_FILE for place in places if (place / PLAN_FILE).is_file()), None)
    if plan is None:
        places = places[:1]
    planned = {} if plan is None else {str(plan): _text(plan, read_json(plan), "digest")}
    if (path := find_index([folder], "scores")) is not None:
        if (other := folder / EMBEDDINGS_FILE).is_file():
            raise InputError(f"{path} and {other.name}: one of them is meant; remove the other")
        index = read_index([path])
        own: dict[str, Any] = {"scores": index}
        files, name, notices = index.files, folder.resolve().name, []
        what = "scores, which need be no cosine, were supplied"
    else:
        images, texts, metadata = read_towers(folder, places)
        own = {"images": images, "texts": texts}
        files = {*images.files, *texts.files, *images.index.files, *texts.index.files}
        name = metadata.get("model") or folder.resolve().name
        if "plan" in metadata:
            planned[images.where] = metadata["plan"]
        notices = [*_constant(images, "image"), *_constant(texts, "text"), *_halves(images, texts)]
        what = "embeddings were supplied"
    told = (
        f"Its {what} by another program: fit, resolution, activation, text cleaning and precision "
        "are not known here (supplied)."
    )
    identity = Identity(
        name=name,
        source=str(folder.resolve()),
        layout=SUPPLIED,
        activation=SUPPLIED,
        own_activation=SUPPLIED,
        sha256={file.name: sha256(file) for file in sorted(files)},
        notices=(told, *notices),
    )
    return Supplied(identity=identity, folder=folder, planned=planned, **own)


def _text(path: Path, values: dict[str, Any], field: str) -> str:
    if not isinstance(values.get(field), str):
        raise InputError(f"{path}: field {field!r} is missing or no text")
    return values[field]


def _constant(tower: Tower, kind: str) -> list[str]:
    """A notice if an encoder seems to say the same of everything."""
    rows = np.unique(np.linspace(0, len(tower.values) - 1, _COMPARED).astype(int))
    if len(rows) < 2:
        return []
    some = unit_rows(tower.values[rows])
    if (least := float((some @ some.T).min())) <= _CONSTANT:
        return []
    return [
        f"Every two {kind} embeddings have a cosine above {_CONSTANT} (the least is {least:.4f}): "
        "the encoder tells next to nothing apart. Pixels rescaled twice do that."
    ]


def _halves(images: Tower, texts: Tower) -> list[str]:
    """A notice of embeddings of 16 bits, with how many of them cannot be told apart."""
    if not {images.stored, texts.stored} & {*_HALVES}:
        return []
    counted = [
        f"{_repeated(tower)} of {len(tower.values)} {kind} embeddings ({tower.stored})"
        for kind, tower in (("image", images), ("text", texts))
    ]
    return [
        f"Embeddings of 16 bits tie more often: {' and '.join(counted)} equal another one exactly. "
        "Scores are computed in float32."
    ]


def _repeated(tower: Tower) -> int:
    """How many rows equal another row."""
    _, counts = np.unique([hash(row.tobytes()) for row in tower.values], return_counts=True)
    return int(counts[counts > 1].sum())
