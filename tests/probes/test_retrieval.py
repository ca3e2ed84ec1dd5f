"""Right captions in groups, and retrieval in both directions."""

import jax.numpy as jnp
import numpy as np
import pytest

from jclip.errors import InputError
from jclip.probes import retrieval
from jclip.probes.retrieval import (
    RankedQueries,
    cosine_retrieval,
    first_twice,
    rank_captions,
    rank_images,
    recall_at,
    retrieval_table,
    right_caption_share,
    settle_ties,
)

# Of 3 images and 5 captions, the scores themselves as embeddings: similarity is a look-up.
SCORES = np.array(
    [[0.9, 0.1, 0.8, 0.2, 0.95], [0.5, 0.6, 0.7, 0.7, 0.1], [0.3, 0.9, 0.1, 0.8, 0.2]], np.float32
)
OWN = np.array([0, 0, 1, 2, 2])


def look_up(images, texts):
    return jnp.matmul(images, texts.T, precision="highest")


def ranks_of_scores(rank):
    return rank(np.eye(3, dtype=np.float32), SCORES.T.copy(), OWN, look_up)


def test_ranks_by_hand():
    # Image 1's own 0.7 ties with a caption of image 2; image 2's best is 0.8.
    np.testing.assert_array_equal(ranks_of_scores(rank_captions), [2, 2, 2])
    np.testing.assert_array_equal(ranks_of_scores(rank_images), [1, 3, 2, 1, 2])


def test_the_first_image_and_its_captions_can_count_twice():
    # As in the paper's code, where of equal scores the later comes first.
    images, captions, own = first_twice(np.eye(3, dtype=np.float32), SCORES.T.copy(), OWN)
    assert own.tolist() == [0, 0, 1, 1, 2, 3, 3]
    scores = look_up(images, captions)
    np.testing.assert_array_equal(scores, SCORES[[0, 0, 1, 2]][:, [0, 1, 0, 1, 2, 3, 4]])
    i2t = settle_ties(rank_captions(images, captions, own, look_up), 1)
    t2i = settle_ties(rank_images(images, captions, own, look_up), 2)
    # The first image's 0.9 is second to 0.95, third where its copy comes first.
    np.testing.assert_array_equal(i2t, [3, 2, 2, 3])
    np.testing.assert_array_equal(t2i, [2, 4, 1, 3, 3, 1, 3])
    for found, right, rank in zip(np.asarray(scores).T, own, t2i, strict=True):
        order = np.argsort(found, kind="stable")[::-1]
        assert order.tolist().index(right) == rank - 1


@pytest.mark.parametrize("size", [4, 4 * 6, 4 * 5 * 2])
def test_blocks_change_nothing(monkeypatch, size):
    monkeypatch.setattr(retrieval, "_BLOCK_BYTES", size)
    test_ranks_by_hand()


def noise(*shape):
    return np.random.default_rng(shape).standard_normal(shape, np.float32)


def sorted_ranks(queries, gallery, right):
    """Rank of the best right answer by sorting: `right` [Q, G] says which are."""
    scores = queries @ gallery.T
    order = np.argsort(-scores, axis=1)
    return 1 + np.argmax(np.take_along_axis(right, order, axis=1), axis=1)


def norm(values, axis):
    return values / np.linalg.norm(values, axis=axis, keepdims=True)


def test_cosine_retrieval_equals_sorting():
    images, captions = noise(20, 8), noise(70, 8)
    own = np.sort(np.concatenate([np.arange(20), np.random.default_rng(0).integers(20, size=50)]))
    right = own == np.arange(20)[:, None]
    found = cosine_retrieval(images, captions, own)
    np.testing.assert_array_equal(found[0], sorted_ranks(norm(images, 1), norm(captions, 1), right))
    np.testing.assert_array_equal(
        found[1], sorted_ranks(norm(captions, 1), norm(images, 1), right.T)
    )


def test_reference_normalises_over_samples():
    images, captions = noise(12, 6), noise(36, 6)
    own = np.repeat(np.arange(12), 3)
    right = own == np.arange(12)[:, None]
    found = cosine_retrieval(images, captions, own, "reference")
    # An image is asked alone, so that its norm over samples leaves signs.
    expected = sorted_ranks(np.sign(images), norm(captions, 0), right)
    np.testing.assert_array_equal(found[0], expected)
    # The captions of one image are asked together.
    asked = norm(captions.reshape(12, 3, 6), 1).reshape(36, 6)
    expected = sorted_ranks(asked, norm(images, 0), right.T)
    np.testing.assert_array_equal(found[1], expected)
    assert np.any(found[0] != cosine_retrieval(images, captions, own)[0])


def test_captions_in_any_order():
    images, captions = noise(12, 6), noise(36, 6)
    own = np.repeat(np.arange(12), 3)
    order = np.random.default_rng(1).permutation(36)
    for way in ("corrected", "reference"):
        first = cosine_retrieval(images, captions, own, way)
        second = cosine_retrieval(images, captions[order], own[order], way)
        np.testing.assert_array_equal(second[0], first[0])
        np.testing.assert_array_equal(second[1], first[1][order])


def test_summary():
    ranks = np.array([1, 2, 5, 6, 11, 1])
    result = RankedQueries("m", "image to text", 30, ranks)
    assert recall_at(ranks) == pytest.approx({1: 100 / 3, 5: 200 / 3, 10: 500 / 6})
    (row,) = retrieval_table([result]).to_pylist()
    assert (row["median_rank"], row["mean_rank"]) == (3.5, pytest.approx(26 / 6))
    assert (row["queries"], row["among"]) == (6, 30)


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (np.array([0, 0, 1]), r"image 2 \(from 0\) has no caption"),
        (np.array([0, 1, 3]), "a caption belongs to image 3 of 3"),
        (np.empty(0, int), "there are none"),
    ],
)
def test_pairs_that_do_not_fit_are_named(own, message):
    with pytest.raises(InputError, match=message):
        cosine_retrieval(noise(3, 4), noise(len(own), 4), own)


def test_a_score_that_is_not_finite_is_named():
    captions = noise(3, 4)
    captions[1] = np.inf
    with pytest.raises(InputError, match="not finite"):
        rank_images(noise(3, 4), captions, np.arange(3), look_up)


def test_shares_are_counted_within_groups():
    images = jnp.eye(4)
    assert right_caption_share(images, images, 4) == 1.0
    swapped = images[jnp.array([1, 0, 2, 3])]
    assert right_caption_share(images, swapped, 2) == 0.5
    assert right_caption_share(images, swapped, 3) == pytest.approx(1 / 3)


def test_ties_count_against():
    assert right_caption_share(jnp.eye(2), jnp.ones((2, 2)), 2) == 0.0


def test_too_few_pairs():
    with pytest.raises(ValueError, match="2 pairs make no group of 3"):
        right_caption_share(jnp.eye(2), jnp.eye(2), 3)
