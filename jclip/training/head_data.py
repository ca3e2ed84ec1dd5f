"""Feature folders as what re-projection heads are trained on (paper 2, training)."""

import dataclasses
from collections.abc import Collection

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool

from jclip.data.features import Features
from jclip.errors import InputError
from jclip.training.head_batches import BoxCaptions, CaptionPairs

TRAINING_SET = "1_attributes"
"""The set of FG-OVD that the paper trains on: Hard."""

HELD_OUT = 0.1


def caption_pairs(
    training: Features, validation: Features | None
) -> tuple[CaptionPairs, CaptionPairs]:
    """Pairs to train on, and pairs to validate with.

    Args:
        training: of kind `coco`; its splits train and restval are used.
        validation: of kind `coco`; all of it is used. None: the split val of `training`.

    Raises:
        InputError: features are of another kind, or a split is empty.
    """
    placed = _place_pairs(training)
    own = placed._replace(examples=_rows(_of_splits(training, "train", "restval")))
    if validation is not None:
        return own, _place_pairs(validation)
    return own, placed._replace(examples=_rows(_of_splits(training, "val", "validation")))


def retrieval_pairs(features: Features) -> Features:
    """Features of the images of split test only, and of their captions.

    Raises:
        InputError: features are of another kind, or the split is empty.
    """
    _check_kind(features, "coco", "retrieval")
    captions = _of_splits(features, "test")
    images = np.unique(features.caption_images[captions])
    return dataclasses.replace(
        features,
        images=features.images[images],
        captions=features.captions[captions],
        image_names=tuple(features.image_names[row] for row in images),
        texts=tuple(features.texts[row] for row in np.flatnonzero(captions)),
        caption_images=np.searchsorted(images, features.caption_images[captions]),
        splits=tuple(features.splits[row] for row in images),
    )


def box_captions(
    training: Features,
    validation: Features | None,
    name: str = TRAINING_SET,
    least_negatives: int = 0,
) -> tuple[BoxCaptions, BoxCaptions]:
    """Boxes with hard negatives to train on, and boxes to validate with.

    Args:
        training: of kind `fg_ovd`.
        validation: of kind `fg_ovd`. None: a tenth of the images of `training` is held out.
        name: the set that is used of both.
        least_negatives: boxes with fewer are dropped; otherwise the missing ones are masked.

    Raises:
        InputError: features are of another kind or have no such set, or no box has so many
            negatives.
    """
    placed = _place_boxes(training, name)
    if validation is not None:
        parts = placed, _place_boxes(validation, name)
        return _with_negatives(parts[0], least_negatives), _with_negatives(
            parts[1], least_negatives
        )
    assert training.boxes is not None
    own = training.boxes.image_rows[training.boxes.sets == name]
    out = hold_out([training.boxes.images[row].file for row in own])
    return (
        _with_negatives(placed._replace(examples=_rows(~out)), least_negatives),
        _with_negatives(placed._replace(examples=_rows(out)), least_negatives),
    )


def _with_negatives(boxes: BoxCaptions, least: int) -> BoxCaptions:
    """The same without the examples that have fewer negatives."""
    counts = np.sum(np.asarray(boxes.negatives) >= 0, axis=1)
    examples = np.asarray(boxes.examples)
    kept = examples[counts[examples] >= least]
    if not len(kept):
        raise InputError(f"none of {len(examples)} boxes has {least} negatives or more")
    return boxes._replace(examples=_int32(kept))


def hold_out(files: Collection[str]) -> Bool[np.ndarray, " n"]:
    """Which rows are of the tenth of the files that is held out; always the same ones."""
    distinct = sorted(set(files))
    count = max(1, round(HELD_OUT * len(distinct)))
    chosen = np.random.default_rng(0).choice(len(distinct), count, replace=False)
    out = {distinct[index] for index in chosen}
    return np.array([file in out for file in files])


def _place_pairs(features: Features) -> CaptionPairs:
    _check_kind(features, "coco", "the warm-up")
    return CaptionPairs(
        images=jax.device_put(features.images),
        captions=jax.device_put(features.captions),
        caption_images=_int32(features.caption_images),
        examples=_int32(np.arange(len(features.captions))),
    )


def _of_splits(features: Features, *splits: str) -> Bool[np.ndarray, " c"]:
    """Which captions are of images in these splits."""
    chosen = np.isin(features.splits, splits)
    if not chosen.any():
        there = ", ".join(sorted(set(features.splits)))
        name = features.origin.model.get("name")
        raise InputError(
            f"features of {name}: no image is in split {' or '.join(splits)}; there are {there}"
        )
    return chosen[features.caption_images]


def _place_boxes(features: Features, name: str) -> BoxCaptions:
    _check_kind(features, "fg_ovd", "training with hard negatives")
    assert features.boxes is not None
    if name not in features.boxes.set_names:
        raise InputError(f"the features hold no set {name}: {', '.join(features.boxes.set_names)}")
    own = features.boxes.sets == name
    captions = features.boxes.caption_rows[own]
    # Other sets may have more negatives; columns of -1 alone would be scored for nothing.
    captions = captions[:, : (captions >= 0).sum(axis=1).max()]
    return BoxCaptions(
        images=jax.device_put(features.images),
        captions=jax.device_put(features.captions),
        boxes=_int32(features.box_images[own]),
        positives=_int32(captions[:, 0]),
        negatives=_int32(captions[:, 1:]),
        examples=_int32(np.arange(len(captions))),
    )


def _check_kind(features: Features, kind: str, purpose: str) -> None:
    if features.kind != kind:
        raise InputError(f"{purpose} needs features of kind {kind}, and these are {features.kind}")


def _rows(chosen: np.ndarray) -> jax.Array:
    return _int32(np.flatnonzero(chosen))


def _int32(values: np.ndarray) -> jax.Array:
    return jnp.asarray(values, jnp.int32)
