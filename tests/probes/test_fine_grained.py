import jax.numpy as jnp
import numpy as np
import pytest
from small_features import box_features

from jclip.data.features import Features, Origin
from jclip.errors import InputError
from jclip.probes.fine_grained import (
    PAPER_SETS,
    rank_features,
    score_boxes,
    table_negatives,
)
from jclip.statistics.ranks import chance_rank

ORIGIN = Origin(model={"name": "small"}, preprocessing={}, fit="crop", box_scale=1.0, data={})

# Unit vectors at these degrees, at lengths that a cosine ignores.
IMAGE_ANGLES = np.array([0.0, 90.0])
CAPTION_ANGLES = np.array([10.0, 60.0, 5.0, 100.0, -10.0])


def at(degrees):
    angles = np.deg2rad(degrees)
    length = 1 + np.arange(len(angles))
    return (length * np.array([np.cos(angles), np.sin(angles)])).T.astype(np.float32)


BOXES = ([11, 12, 13], [0, 1, 0], [[0, 1, 2, 3], [1, 3], [3, 0, 1]])


def features(captions=None, **sets):
    captions = at(CAPTION_ANGLES) if captions is None else captions
    return box_features(at(IMAGE_ANGLES), captions, sets or {"color": BOXES}, ORIGIN)


def test_scores_are_cosines_of_the_own_captions():
    scores = score_boxes(features())
    angles = [[10, 60, 5, 100], [30, 10, np.nan, np.nan], [100, 10, 60, np.nan]]
    np.testing.assert_allclose(scores, np.cos(np.deg2rad(angles)), atol=1e-6)


@pytest.mark.parametrize("block", [1, 2, 3, 100])
def test_blocks_change_nothing(block):
    whole = score_boxes(features())
    parts = score_boxes(features(), block=block)
    np.testing.assert_array_equal(parts, whole)


def test_any_score_can_be_used():
    def negative_distance(images, texts):
        return -jnp.linalg.norm(images[:, None] - texts, axis=-1)

    images, captions = at(IMAGE_ANGLES), at(CAPTION_ANGLES)
    scores = score_boxes(features(), negative_distance)
    expected = -np.linalg.norm(images[0] - captions[[0, 1, 2, 3]], axis=1)
    np.testing.assert_allclose(scores[0], expected, rtol=1e-6)


def test_equal_captions_tie_wherever_they_stand():
    rng = np.random.default_rng(0)
    size, most = 100, 10
    right = rng.standard_normal((size, 48), np.float32)
    captions = np.concatenate([right, right, rng.standard_normal((size, 48), np.float32)])
    place = np.arange(size) % most
    wrong = rng.integers(2 * size, 3 * size, (size, most))
    wrong[np.arange(size), place] = size + np.arange(size)
    rows = np.arange(size)
    sets = {"own": (rows, rows, np.column_stack([rows, wrong]).tolist())}
    images = rng.standard_normal((size, 48), np.float32)
    scores = score_boxes(box_features(images, captions, sets, ORIGIN))
    np.testing.assert_array_equal(scores[np.arange(size), 1 + place], scores[:, 0])


def test_a_score_that_is_not_finite_is_named():
    captions = at(CAPTION_ANGLES)
    captions[3] = np.nan
    with pytest.raises(InputError, match="color, annotation 11: a score is not finite"):
        score_boxes(features(captions))


def test_sets_are_ranked_in_the_papers_order():
    one = ([4], [0], [[2, 0, 4]])
    sets = {"own": one, "transparency": one, "1_attributes": BOXES}
    results = rank_features(features(**sets), "m")
    assert [(r.set, r.name) for r in results] == [
        ("1_attributes", "Hard"),
        ("transparency", "Transparency"),
        ("own", "own"),
    ]
    hard, transparency, own = results
    nan = np.nan
    np.testing.assert_array_equal(hard.reference, [[1, 2, 2], [2, nan, nan], [2, 3, nan]])
    np.testing.assert_array_equal(hard.averaged, hard.reference)
    assert (hard.negatives, transparency.negatives, own.negatives) == (3, 2, 2)
    np.testing.assert_array_equal(own.reference, [[1, 1]])
    np.testing.assert_array_equal(hard.annotations, [11, 12, 13])


def test_a_head_ranks_too():
    results = rank_features(features(), "m + flat", lambda images, texts: 0 * texts[..., 0])
    np.testing.assert_array_equal(results[0].averaged[0], chance_rank(np.arange(1, 4)))


def test_whole_images_are_refused():
    whole = Features(at(IMAGE_ANGLES), at(CAPTION_ANGLES), ("x", "y"), (), ORIGIN)
    with pytest.raises(InputError, match="kind coco"):
        rank_features(whole, "m")


def test_the_papers_sets():
    chance = np.mean(chance_rank(np.array([one.negatives for one in PAPER_SETS.values()])))
    assert round(float(chance), 2) == 5.31
    assert [(stem, one.name, one.negatives) for stem, one in PAPER_SETS.items()] == [
        ("shuffle_negatives", "Trivial", 10),
        ("3_attributes", "Easy", 10),
        ("2_attributes", "Medium", 10),
        ("1_attributes", "Hard", 10),
        ("color", "Color", 10),
        ("material", "Material", 10),
        ("pattern", "Pattern", 7),
        ("transparency", "Transparency", 2),
    ]
    assert table_negatives("pattern", 10) == 7
    assert table_negatives("material", 5) == 5
    assert table_negatives("anything", 6) == 6


def test_an_accelerator_holds_the_tables_itself(monkeypatch):
    expected = score_boxes(features())
    monkeypatch.setattr("jax.default_backend", lambda: "gpu")
    found = score_boxes(features(), block=2)
    np.testing.assert_array_equal(found, expected)
