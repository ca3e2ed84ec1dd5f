"""From a detector's predictions to scores of the captions of a known box.

A detector predicts boxes of its own. Which of them speaks for a box that was annotated is a matter
of matching:

- `corrected`: the prediction that overlaps it most.
- `reference`: paper 2's. Non-maximum suppression (NMS) over all predictions, scored by the best
  caption of the box's own set and whatever that caption is; NMS again with the annotated box added
  at score 1; of those it removes, the one that scores highest. If it removes none, every caption
  scores 0, so that the right one ranks last.
"""

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

Matching = Literal["corrected", "reference"]
"""Which prediction speaks for an annotated box."""

NMS_OVERLAP = 0.5


def intersection_over_union(
    boxes: Float[Array, "*#shape 4"], others: Float[Array, "*#shape 4"]
) -> Float[Array, "*shape"]:
    """Shared area over joint area of boxes x1, y1, x2, y2; 0 where both have no area."""
    low = jnp.maximum(boxes[..., :2], others[..., :2])
    high = jnp.minimum(boxes[..., 2:], others[..., 2:])
    shared = jnp.prod(jnp.maximum(high - low, 0), axis=-1)
    joint = _area(boxes) + _area(others) - shared
    return jnp.where(joint > 0, shared / jnp.where(joint > 0, joint, 1), 0)


def _area(boxes: Float[Array, "*shape 4"]) -> Float[Array, "*shape"]:
    return jnp.prod(boxes[..., 2:] - boxes[..., :2], axis=-1)


def most_overlapping(
    predicted: Float[Array, "p 4"], annotated: Float[Array, "b 4"]
) -> Int[Array, " b"]:
    """For each annotated box the prediction with the highest overlap, the first among equals."""
    return jnp.argmax(intersection_over_union(annotated[:, None], predicted), axis=-1)


def removed_by_nms(
    predicted: Float[Array, "p 4"], scores: Float[Array, "b p"], annotated: Float[Array, "b 4"]
) -> Int[Array, " b"]:
    """For each annotated box the best-scoring prediction that its NMS removes, -1 if there is none.

    Boxes are x1, y1, x2, y2 in the same units; scores may differ from one annotated box to another.
    """
    # The second NMS begins with the annotated box and finds no two survivors of the first that
    # overlap: what it removes are the survivors that overlap the annotated box. So it is enough to
    # run the first one, best prediction first, until such a survivor is met.
    overlapping = intersection_over_union(annotated[:, None], predicted) > NMS_OVERLAP

    def candidates_left(state: tuple[Array, Array]) -> Bool[Array, ""]:
        left, _ = state
        return jnp.any(left & overlapping)

    def keep_next(state: tuple[Array, Array]) -> tuple[Array, Array]:
        left, found = state
        best = jnp.argmax(jnp.where(left, scores, -jnp.inf), axis=-1)
        met = jnp.take_along_axis(left & overlapping, best[:, None], axis=-1)[:, 0]
        found = jnp.where(met, best, found)
        near = intersection_over_union(predicted[best][:, None], predicted) > NMS_OVERLAP
        itself = jnp.arange(len(predicted)) == best[:, None]
        return left & ~near & ~itself & ~met[:, None], found

    # A box that no prediction overlaps has nothing to look for.
    left = jnp.broadcast_to(overlapping.any(axis=-1, keepdims=True), scores.shape)
    none = jnp.full(len(annotated), -1)
    return jax.lax.while_loop(candidates_left, keep_next, (left, none))[1]


def caption_scores(
    predicted: Float[Array, "p 4"],
    scores: Float[Array, "p q"],
    annotated: Float[Array, "b 4"],
    captions: Int[Array, "b k"],
    matching: Matching,
) -> Float[Array, "b k"]:
    """Scores of the captions of every annotated box of one image.

    Args:
        predicted: boxes x1, y1, x2, y2.
        scores: of every prediction for every caption, in 0 .. 1.
        annotated: boxes in the same units.
        captions: for each box, columns of `scores`; -1 fills up rows.
        matching: which prediction speaks for a box.

    Returns:
        NaN where there is no caption.
    """
    there = captions >= 0
    if matching == "corrected":
        chosen = most_overlapping(predicted, annotated)
    else:
        of_sets = jnp.where(there, scores[:, captions], -jnp.inf).max(axis=-1)
        chosen = removed_by_nms(predicted, of_sets.T, annotated)
    # Row -1 is the last one: any will do where no prediction speaks.
    found = jnp.where(chosen[:, None] < 0, 0, scores[chosen[:, None], captions])
    return jnp.where(there, found, jnp.nan)
