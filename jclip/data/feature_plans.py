"""Boxes and captioned images for an encoder elsewhere, and features made of what it supplied.

Beside the views lies a feature folder, `plan`, whose embeddings have no numbers yet: it says which
of them belong together.
"""

import dataclasses
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int64

from jclip.data.feature_inputs import FeatureInputs
from jclip.data.features import Features, Origin, features_digest, read_features, write_features
from jclip.data.supplied import Supplied, read_supplied
from jclip.data.supplied_rows import Scored, match
from jclip.data.view_plan import Plan, View, make_plan, single_pictures, view_file, write_plan
from jclip.errors import InputError
from jclip.files.digests import json_digest
from jclip.images.fits import SUPPLIED

_STRUCTURE = "plan"


@dataclasses.dataclass(frozen=True, eq=False)
class GivenScores:
    """Supplied scores `[I, T]` of every image, or box, with every text; NaN where none is needed.

    Embeddings are then rows and columns of it, `[N, 1]`, and these methods stand for a head's.
    """

    values: Float32[np.ndarray, "i t"]

    def scores(self, images: Float[Array, "n 1"], texts: Float[Array, "n k 1"]) -> Array:
        """Each image against K texts of its own, `[N, K]`."""
        return jnp.asarray(self.values)[_whole(images), _whole(texts)[..., 0]]

    def similarity(self, images: Float[Array, "n 1"], captions: Float[Array, "m 1"]) -> Array:
        """Every image against every caption, `[N, M]`."""
        return jnp.asarray(self.values)[_whole(images), _whole(captions)[:, 0]]


def _whole(rows: Float[Array, "..."]) -> Array:
    return jnp.asarray(rows).astype(jnp.int32)


class SuppliedFeatures(NamedTuple):
    """Features of supplied embeddings; `given` are scores that were supplied in their place."""

    model: Supplied
    features: Features
    given: GivenScores | None

    @property
    def digest(self) -> str:
        """Of the plan, and of all that was supplied."""
        return json_digest([self.model.planned, self.model.identity.sha256])


def write_feature_plan(folder: Path, probe: str, inputs: FeatureInputs) -> Plan:
    """Write the views and texts of boxes or captioned images for an encoder elsewhere.

    Raises:
        InputError: an image cannot be decoded.
    """
    origin = Origin({}, {}, SUPPLIED, inputs.box_scale, inputs.data)
    nothing = np.zeros((len(inputs.squares), 0), np.float32)
    no_texts = np.zeros((len(inputs.texts), 0), np.float32)
    structure = folder / _STRUCTURE
    structure.mkdir(exist_ok=True)
    write_features(structure, features := inputs.features(nothing, no_texts, [], origin))
    plan = _plan(features, features_digest(structure))
    write_plan(folder, probe, plan, single_pictures(inputs.squares))
    return plan


def _plan(features: Features, digest: str) -> Plan:
    """What has to be embedded of some features."""
    if (boxes := features.boxes) is None:
        views = [
            View(view_file(row, name), "", name) for row, name in enumerate(features.image_names)
        ]
    else:
        first = {
            image: row for row, image in reversed(list(enumerate(features.box_images.tolist())))
        }
        views = []
        for image, row in sorted(first.items()):
            name = boxes.images[boxes.image_rows[row]].file
            box = tuple(boxes.boxes[row].tolist())
            views.append(View(view_file(image, name), "", name, box=box))
    return make_plan(views, features.texts, [])._replace(digest=digest)


def supplied_features(folder: Path, *, repeated: bool = False) -> SuppliedFeatures:
    """Features of a folder that was exported, or of a folder in it, with what was embedded.

    Args:
        folder: with embeddings or scores.
        repeated: see `read_features`.

    Raises:
        InputError: it was exported for another kind of probe or not at all, or see `read_supplied`
            and `match`.
    """
    places = (folder, folder.resolve().parent)
    structure = next((p / _STRUCTURE for p in places if (p / _STRUCTURE).is_dir()), None)
    if structure is None:
        raise InputError(
            f"{folder}: holds no plan of boxes or captions; experiments.export_views writes it for "
            "fine_grained_eval and retrieval_eval"
        )
    model, features = read_supplied(folder), read_features(structure, repeated=repeated)
    plan = _plan(features, features_digest(structure))
    matched = match(model, plan)
    identity = model.identity
    names = ("name", "source", "activation", "own_activation")
    made = {**{name: getattr(identity, name) for name in names}, "weights": identity.sha256}
    origin = dataclasses.replace(features.origin, model=made)
    at = {text: row for row, text in enumerate(plan.texts)}
    texts = np.array([at[text] for text in features.texts], np.int64)
    if isinstance(matched, Scored):
        given = GivenScores(_matrix(matched, features, texts))
        images, captions = _column(np.arange(len(features.images))), _column(texts)
    else:
        given, images, captions = None, matched.views, matched.texts[texts]
    filled = dataclasses.replace(features, images=images, captions=captions, origin=origin)
    return SuppliedFeatures(model, filled, given)


def _column(rows: Int64[np.ndarray, " n"]) -> Float32[np.ndarray, "n 1"]:
    """Numbers of rows as embeddings; exact below 2^24."""
    return rows[:, None].astype(np.float32)


def _matrix(
    scored: Scored, features: Features, texts: Int64[np.ndarray, " c"]
) -> Float32[np.ndarray, "i t"]:
    """The scores of every image, or box, with the texts that it is compared with; NaN elsewhere.

    Raises:
        InputError: one is missing.
    """
    found = np.full((len(features.images), len(scored.plan.texts)), np.nan, np.float32)
    views = np.arange(len(features.images), dtype=np.int64)[:, None]
    if features.boxes is None:
        distinct = np.arange(found.shape[1], dtype=np.int64)
        found[:] = scored.scores(views, np.broadcast_to(distinct, found.shape))
        return found
    for row, captions in zip(features.box_images, features.boxes.caption_rows, strict=True):
        own = texts[captions[captions >= 0]]
        found[row, own] = scored.scores(views[row : row + 1], own[None])
    return found
