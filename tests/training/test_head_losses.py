"""The losses of heads, against loops in numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jclip.training.head_losses import (
    binary_cross_entropy,
    hard_negative_triplet_loss,
    hardest_wrong_image,
    random_wrong_image,
    score_info_nce,
    self_distillation_loss,
    triplet_loss,
    wrong_pairs,
)
from jclip.training.losses import info_nce, pair_log_likelihoods

N = 5
ALL = jnp.ones(N, bool)


def drawn(*shape, seed=0):
    return np.random.default_rng(seed).uniform(0.1, 0.9, shape).astype(np.float32)


def test_pairs_of_one_image_and_absent_rows_are_not_wrong():
    present = jnp.array([True, True, True, False])
    every = np.asarray(wrong_pairs(present))
    expected = np.ones((4, 4), bool)
    expected[3], expected[:, 3] = False, False
    np.fill_diagonal(expected, False)
    np.testing.assert_array_equal(every, expected)
    expected[0, 2] = expected[2, 0] = False
    masked = wrong_pairs(present, jnp.array([7, 1, 7, 0]))
    np.testing.assert_array_equal(masked, expected)


@pytest.mark.parametrize("hardest", [False, True])
def test_triplets_both_ways(hardest):
    scores = drawn(N, N)
    wrong = np.array(wrong_pairs(ALL))
    wrong[1, 2] = wrong[2, 1] = False
    rows, columns = [[] for _ in range(N)], [[] for _ in range(N)]
    for i in range(N):
        for j in range(N):
            if wrong[i, j]:
                rows[i].append(max(0.0, 0.3 + scores[i, j] - scores[i, i]))
                columns[j].append(max(0.0, 0.3 + scores[i, j] - scores[j, j]))
    reduce = max if hardest else sum
    expected = sum(reduce(row) for row in rows) + sum(reduce(column) for column in columns)
    loss = triplet_loss(jnp.asarray(scores), jnp.asarray(wrong), 0.3, hardest=hardest)
    assert float(loss) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("hardest", "expected"), [(False, 0.15 + 0.05 + 0.25), (True, 0.4)])
def test_triplets_of_a_box_and_its_negatives(hardest, expected):
    scores = jnp.array([[0.5, 0.6, 0.5, 0.9], [0.5, 0.7, 0.2, 0.1]])
    wrong = jnp.array([[True, True, False], [True, True, True]])
    loss = hard_negative_triplet_loss(scores, wrong, 0.05, hardest=hardest)
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_absent_rows_have_no_gradient():
    wrong = wrong_pairs(jnp.array([True, True, False]))
    gradient = jax.grad(triplet_loss)(jnp.full((3, 3), 0.5), wrong, 0.2)
    assert np.asarray(gradient)[:2, :2].all()
    assert not np.asarray(gradient)[2].any() and not np.asarray(gradient)[:, 2].any()


def test_info_nce_of_cosines_is_info_nce():
    a, b = (drawn(N, 3, seed=s) - 0.5 for s in (0, 1))
    a, b = (jnp.asarray(x / np.linalg.norm(x, axis=1, keepdims=True)) for x in (a, b))
    together = jnp.zeros((N, N), bool).at[0, 1].set(True)
    wrong = wrong_pairs(ALL)
    expected = info_nce(a, b, jnp.log(jnp.float32(1 / 0.07)))
    found = score_info_nce(a @ b.T, wrong, ALL, 0.07)
    assert float(found) == pytest.approx(float(expected), rel=1e-4)
    expected = -pair_log_likelihoods(jnp.where(together, -jnp.inf, a @ b.T / 0.07)).mean()
    found = score_info_nce(a @ b.T, wrong & ~together, ALL, 0.07)
    assert float(found) == pytest.approx(float(expected), rel=1e-4)


def test_info_nce_of_a_batch_that_is_not_full_is_that_of_its_rows():
    scores, present = jnp.asarray(drawn(N, N)), jnp.arange(N) < 3
    expected = score_info_nce(scores[:3, :3], wrong_pairs(present[:3]), present[:3], 0.5)
    loss = score_info_nce(scores, wrong_pairs(present), present, 0.5)
    assert float(loss) == pytest.approx(float(expected), rel=1e-6)
    gradient = jax.grad(score_info_nce)(scores, wrong_pairs(present), present, 0.5)
    assert bool(jnp.isfinite(gradient).all())


def test_binary_cross_entropy():
    scores, chosen = drawn(N, N), np.array([1, 2, 3, 4, 0])
    right = np.log(np.diag(scores))
    wrong = np.log(1 - scores[chosen, np.arange(N)])
    loss = binary_cross_entropy(jnp.asarray(scores), jnp.asarray(chosen), ALL)
    assert float(loss) == pytest.approx(-(right + wrong).mean() / 2, rel=1e-5)
    few = binary_cross_entropy(jnp.asarray(scores), jnp.asarray(chosen), jnp.arange(N) < 2)
    assert float(few) == pytest.approx(-(right + wrong)[:2].mean() / 2, rel=1e-5)
    saturated = binary_cross_entropy(jnp.eye(N)[::-1], jnp.asarray(chosen), ALL)
    assert np.isfinite(float(saturated))


def test_wrong_images():
    wrong = np.array(wrong_pairs(ALL, jnp.array([0, 0, 1, 2, 3])))
    images, texts = drawn(N, 3), drawn(N, 3, seed=1)
    products = np.where(wrong, images @ texts.T, -np.inf)
    found = hardest_wrong_image(jnp.asarray(images), jnp.asarray(texts), jnp.asarray(wrong))
    np.testing.assert_array_equal(found, products.argmax(axis=0))
    keys = jax.random.split(jax.random.key(0), 200)
    chosen = np.asarray(jax.vmap(lambda key: random_wrong_image(key, jnp.asarray(wrong)))(keys))
    for text in range(N):
        assert set(chosen[:, text]) == set(np.flatnonzero(wrong[:, text]))


def test_self_distillation():
    scores, targets = drawn(N, N), drawn(N, N, seed=1)
    loss = self_distillation_loss(jnp.asarray(scores), jnp.asarray(targets), jnp.arange(N) < 2)
    expected = ((scores - targets)[:2, :2] ** 2).mean()
    assert float(loss) == pytest.approx(expected, rel=1e-5)
