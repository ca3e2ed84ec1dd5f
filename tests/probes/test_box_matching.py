"""Which prediction speaks for an annotated box."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jclip.probes.box_matching import (
    caption_scores,
    intersection_over_union,
    most_overlapping,
    removed_by_nms,
)

SQUARE = [0.0, 0.0, 10.0, 10.0]


def overlap(one, other):
    return float(intersection_over_union(jnp.array(one), jnp.array(other)))


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (SQUARE, 1.0),
        ([5.0, 0.0, 15.0, 10.0], 50 / 150),
        ([10.0, 0.0, 20.0, 10.0], 0.0),
        ([20.0, 20.0, 30.0, 30.0], 0.0),
        ([2.0, 2.0, 4.0, 4.0], 0.04),
        ([3.0, 3.0, 3.0, 3.0], 0.0),
    ],
)
def test_intersection_over_union(other, expected):
    assert overlap(SQUARE, other) == pytest.approx(expected)
    assert overlap(other, SQUARE) == pytest.approx(expected)


def test_two_empty_boxes_do_not_overlap():
    assert overlap([1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]) == 0.0


def greedy_nms(boxes, scores):
    """Textbook NMS: indices of the survivors, best first."""
    order, kept = list(np.argsort(-scores, kind="stable")), []
    while order:
        kept.append(order.pop(0))
        order = [i for i in order if overlap_in_python(boxes[kept[-1]], boxes[i]) <= 0.5]
    return kept


def overlap_in_python(one, other):
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
    shared = np.prod(np.maximum(high - low, 0))
    joint = np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2]) - shared
    return shared / joint


def paper_rule(boxes, scores, annotated):
    """The rule as paper 2 words it: two runs of NMS, the second with the annotated box."""
    survivors = greedy_nms(boxes, scores)
    again = np.concatenate([boxes[survivors], annotated[None]])
    kept = greedy_nms(again, np.append(scores[survivors], 1.0))
    removed = [survivors[i] for i in range(len(survivors)) if i not in kept]
    return max(removed, key=lambda i: scores[i], default=-1)


@functools.cache
def jitted():
    return jax.jit(removed_by_nms)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.sampled_from([2.0, 6.0, 20.0]))
def test_the_paper_s_rule(seed, spread):
    rng = np.random.default_rng(seed)
    # Whole numbers: no overlap is a rounding error away from one half.
    corner = np.round(rng.uniform(0, spread, (44, 2)))
    boxes = np.concatenate([corner, corner + rng.integers(3, 9, (44, 2))], axis=1)
    predicted, annotated = boxes[:40], boxes[40:]
    scores = rng.permutation(4 * 40).reshape(4, 40) / 200
    expected = [paper_rule(predicted, *pair) for pair in zip(scores, annotated, strict=True)]
    found = jitted()(*(jnp.asarray(x, jnp.float32) for x in (predicted, scores, annotated)))
    assert found.tolist() == expected


def test_a_suppressed_prediction_does_not_speak():
    # The second overlaps the annotated box, but loses to the first, which does not.
    predicted = jnp.array([[0.0, 0.0, 10.0, 10.0], [3.0, 0.0, 13.0, 10.0]])
    annotated = jnp.array([[6.0, 0.0, 16.0, 10.0]] * 2)
    scores = jnp.array([[0.9, 0.8], [0.7, 0.8]])
    assert removed_by_nms(predicted, scores, annotated).tolist() == [-1, 1]
    assert most_overlapping(predicted, annotated).tolist() == [1, 1]


def test_scores_of_each_box_s_own_captions():
    predicted = jnp.array([SQUARE, [20.0, 20.0, 30.0, 30.0], [21.0, 20.0, 31.0, 30.0]])
    annotated = jnp.array(
        [[1.0, 0.0, 11.0, 10.0], [20.0, 20.0, 30.0, 30.0], [50.0, 0.0, 60.0, 9.0]]
    )
    scores = jnp.array([[0.5, 0.4, 0.1], [0.2, 0.3, 0.1], [0.1, 0.1, 0.8]])
    captions = jnp.array([[1, 0, -1], [0, 1, 2], [2, 0, 1]])
    corrected = np.asarray(caption_scores(predicted, scores, annotated, captions, "corrected"))
    reference = np.asarray(caption_scores(predicted, scores, annotated, captions, "reference"))
    nan = np.nan
    np.testing.assert_allclose(corrected[:2], [[0.4, 0.5, nan], [0.2, 0.3, 0.1]])
    # The third prediction is the more confident one of caption 2, and wins the suppression.
    np.testing.assert_allclose(reference, [[0.4, 0.5, nan], [0.1, 0.1, 0.8], [0, 0, 0]])


def test_the_padding_of_a_row_is_no_caption():
    """The best caption of a box is one of its own: -1 is not the last column."""
    predicted = jnp.array([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 9.0]])
    annotated, captions = jnp.array([[0.0, 0.0, 10.0, 10.0]]), jnp.array([[0, 1, -1]])
    scores = jnp.array([[0.5, 0.4, 0.1], [0.2, 0.3, 0.9]])
    for rule in ("corrected", "reference"):
        found = np.asarray(caption_scores(predicted, scores, annotated, captions, rule))
        np.testing.assert_allclose(found, [[0.5, 0.4, np.nan]], rtol=1e-6)


def test_an_overlap_of_exactly_one_half_is_none():
    """The halves of a square share half of it with the whole: no suppression, no speaker."""
    half, whole = [0.0, 0.0, 5.0, 10.0], SQUARE
    assert overlap(half, whole) == 0.5
    scores = jnp.array([[0.9, 0.8]])
    # The half that scores higher leaves the whole alone, and does not speak for it.
    found = removed_by_nms(jnp.array([half, whole]), scores, jnp.array([whole]))
    assert found.tolist() == [1]
    assert removed_by_nms(jnp.array([half]), scores[:, :1], jnp.array([whole])).tolist() == [-1]
