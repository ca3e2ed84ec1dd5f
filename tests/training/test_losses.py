import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp

from jclip.training.losses import charbonnier, info_nce, stability_loss


def unit_rows(rng, n, width):
    rows = rng.normal(size=(n, width)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 4), st.floats(-1, 4), st.integers(0, 99))
def test_info_nce_is_the_mean_cross_entropy_both_ways(n, logit_scale, seed):
    rng = np.random.default_rng(seed)
    images, texts = unit_rows(rng, n, 5), unit_rows(rng, n, 5)
    logits = np.exp(logit_scale) * images.astype(float) @ texts.T.astype(float)
    by_image = logsumexp(logits, axis=1) - np.diag(logits)
    by_text = logsumexp(logits, axis=0) - np.diag(logits)
    expected = (by_image.mean() + by_text.mean()) / 2
    loss = info_nce(jnp.asarray(images), jnp.asarray(texts), jnp.float32(logit_scale))
    assert float(loss) == pytest.approx(expected, rel=1e-5, abs=1e-4)


def test_info_nce_of_orthogonal_pairs():
    loss = info_nce(jnp.eye(4), jnp.eye(4), jnp.log(jnp.float32(10)))
    assert float(loss) == pytest.approx(np.log(1 + 3 * np.exp(-10)), rel=1e-3)


def test_charbonnier_is_nearly_the_absolute_difference():
    a, b = jnp.array([3.0, -1.0]), jnp.array([0.0, 0.0])
    assert float(charbonnier(a, b)) == pytest.approx(2, rel=1e-6)
    assert float(charbonnier(a, a, epsilon=0.25)) == 0.5


def test_charbonnier_has_a_gradient_at_zero():
    gradient = jax.grad(lambda a: charbonnier(a, jnp.zeros(3)))(jnp.zeros(3))
    np.testing.assert_array_equal(gradient, np.zeros(3))


def scores(*values):
    return jnp.array(values, jnp.float32)


@pytest.mark.parametrize("lam", [0.0, 0.6, 1.0])
def test_stability_loss_weighs_invariance_against_the_anchor(lam):
    loss = stability_loss(scores(20, 25), scores(21, 28), scores(15, 25), lam)
    assert float(loss) == pytest.approx(lam * 2 + (1 - lam) * 2.5, abs=1e-3)


def test_what_is_not_present_counts_for_nothing():
    present = jnp.array([True, False, True])
    given = scores(20, 9, 25), scores(21, 7, 28), scores(15, 8, 25)
    loss = stability_loss(*given, 0.6, present)
    fewer = stability_loss(*(values[present] for values in given), 0.6)
    assert float(loss) == pytest.approx(float(fewer), rel=1e-6)
    gradient = jax.grad(stability_loss)(*given, 0.6, present)
    assert gradient[1] == 0 and (gradient != 0).sum() == 2


def test_stability_loss_moves_both_views_but_not_the_anchor():
    arguments = scores(20, 25), scores(21, 28), scores(15, 26)
    gradient = jax.grad(stability_loss, argnums=(0, 1, 2))(*arguments, 0.6)
    np.testing.assert_allclose(gradient[0], [-0.1, -0.5], atol=1e-5)
    np.testing.assert_allclose(gradient[1], [0.3, 0.3], atol=1e-5)
    np.testing.assert_array_equal(gradient[2], np.zeros(2))
