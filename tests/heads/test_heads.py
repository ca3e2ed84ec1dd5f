"""The heads, against the formulas in numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jclip.errors import InputError
from jclip.heads import HeadConfig, create_head
from jclip.heads.attention import AttentionHead

SIZE = 8


def head_of(kind, **options):
    return create_head(HeadConfig(kind, SIZE, attention_heads=4, **options), nnx.Rngs(0))


def drawn(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def values(module):
    return [np.asarray(leaf[...], np.float64) for leaf in (module.kernel, module.bias)]


def unit(x, axis=-1):
    return x / np.linalg.norm(x, axis=axis, keepdims=True)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def affine(module, x):
    kernel, bias = values(module)
    return x @ kernel + bias


def two_layers(module, x):
    return np.tanh(affine(module.second, np.tanh(affine(module.first, x))))


PROJECTIONS = {
    "linear": lambda head, v, t: (affine(head.visual, v), affine(head.text, t)),
    "linear_visual": lambda head, v, t: (affine(head.visual, v), t),
    "linear_text": lambda head, v, t: (v, affine(head.text, t)),
    "mlp": lambda head, v, t: (two_layers(head.visual, v), two_layers(head.text, t)),
}


@pytest.mark.parametrize("kind", PROJECTIONS)
def test_the_similarity_is_that_of_the_projections(kind):
    head, images, texts = head_of(kind), drawn(5, SIZE), drawn(3, SIZE, seed=1)
    seen, said = PROJECTIONS[kind](head, images, texts)
    np.testing.assert_allclose(head.embed_images(images), unit(seen), atol=1e-6)
    np.testing.assert_allclose(head.embed_texts(texts), unit(said), atol=1e-6)
    expected = sigmoid(unit(seen) @ unit(said).T)
    np.testing.assert_allclose(head.similarity(images, texts), expected, atol=1e-6)


@pytest.mark.parametrize("learned_scale", [False, True])
@pytest.mark.parametrize("score", ["sigmoid_cosine", "cosine", "sigmoid_dot", "dot"])
def test_score_functions(score, learned_scale):
    head = head_of("linear", score_function=score, learned_scale=learned_scale)
    images, texts = drawn(2, SIZE), drawn(3, SIZE, seed=1)
    seen, said = PROJECTIONS["linear"](head, images, texts)
    if score.endswith("cosine"):
        seen, said = unit(seen), unit(said)
    expected = seen @ said.T * (1 / 0.07 if learned_scale else 1)
    if score.startswith("sigmoid"):
        expected = sigmoid(expected)
    np.testing.assert_allclose(head.similarity(images, texts), expected, atol=1e-4)


@pytest.mark.parametrize("kind", ["linear", "mlp", "attention"])
def test_scores_of_own_texts_are_rows_of_the_similarity(kind):
    head, images, texts = head_of(kind), drawn(4, SIZE), drawn(4, 3, SIZE, seed=1)
    scores = head.scores(images, texts)
    expected = [head.similarity(images[i : i + 1], texts[i])[0] for i in range(4)]
    np.testing.assert_allclose(scores, np.stack(expected), atol=1e-6)


def test_texts_normalised_over_captions():
    head, images, texts = head_of("linear"), drawn(4, SIZE), drawn(4, 3, SIZE, seed=1)
    seen, said = PROJECTIONS["linear"](head, images, texts)
    expected = sigmoid(np.einsum("nd,nkd->nk", unit(seen), unit(said, axis=1)))
    found = head.scores(images, texts, text_axis="captions")
    np.testing.assert_allclose(found, expected, atol=1e-6)
    present = np.array([[True, True, False]] * 4)
    expected = sigmoid(np.einsum("nd,nkd->nk", unit(seen), unit(said[:, :2], axis=1)))
    found = head.scores(images, texts, text_axis="captions", present=jnp.asarray(present))
    np.testing.assert_allclose(found[:, :2], expected, atol=1e-6)
    assert bool(jnp.isfinite(found).all())


def multi_head_attention(head, tokens):
    """What torch.nn.MultiheadAttention computes, token by token: `[T, D]` to the same."""
    projected = np.split(affine(head.in_projection, tokens), 3, axis=1)
    queries, keys, own = (x.reshape(len(tokens), 4, -1).swapaxes(0, 1) for x in projected)
    logits = queries @ keys.swapaxes(1, 2) / np.sqrt(SIZE // 4)
    shares = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    joined = (shares @ own).swapaxes(0, 1).reshape(len(tokens), -1)
    return affine(head.out_projection, joined)


def test_attention_is_the_first_output_at_the_class_token(monkeypatch):
    head, images, texts = head_of("attention"), drawn(5, SIZE), drawn(3, SIZE, seed=1)
    cls = affine(head.cls, np.ones(1))
    expected = [
        [sigmoid(multi_head_attention(head, np.stack([cls, v, t]))[0, 0]) for t in texts]
        for v in images
    ]
    np.testing.assert_allclose(head.similarity(images, texts), expected, atol=1e-6)
    monkeypatch.setattr("jclip.heads.attention.BLOCK", 2 * 3 * 4)
    np.testing.assert_allclose(head.similarity(images, texts), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        ("linear", 525_312),
        ("linear_visual", 262_656),
        ("linear_text", 262_656),
        ("mlp", 1_050_624),
        ("attention", 1_051_648),
    ],
)
def test_parameters_are_as_many_as_in_the_paper(kind, count):
    head = nnx.eval_shape(lambda: create_head(HeadConfig(kind, 512), nnx.Rngs(0)))
    assert sum(leaf.size for leaf in jax.tree.leaves(nnx.state(head, nnx.Param))) == count


def test_initial_values_are_drawn_as_pytorch_draws_them():
    config = HeadConfig("attention", 64)
    attention = create_head(config, nnx.Rngs(0))
    linear = create_head(HeadConfig("linear", 64), nnx.Rngs(0))
    assert isinstance(attention, AttentionHead)
    for module, bound in (
        (linear.visual, 1 / 8),
        (attention.cls, 1.0),
        (attention.in_projection, np.sqrt(6 / 256)),
        (attention.out_projection, 1 / 8),
    ):
        kernel = values(module)[0]
        assert 0.9 * bound < np.abs(kernel).max() <= bound
        assert kernel.std() == pytest.approx(bound / np.sqrt(3), rel=0.15)
    assert np.abs(values(linear.visual)[1]).max() == pytest.approx(1 / 8, rel=0.1)
    for module in (attention.in_projection, attention.out_projection):
        assert not values(module)[1].any()


@pytest.mark.parametrize(
    ("kind", "tolerance"),
    [("linear", 1e-7), ("linear_visual", 1e-7), ("linear_text", 1e-7), ("mlp", 1e-4)],
)
def test_the_identity_scores_as_without_a_head(kind, tolerance):
    config = HeadConfig(kind, SIZE, "cosine")
    head = create_head(config, nnx.Rngs(0), "identity")
    images = np.concatenate([unit(drawn(5, SIZE)), np.eye(SIZE, dtype=np.float32)])
    np.testing.assert_allclose(head.embed_images(images), images, atol=tolerance)
    np.testing.assert_allclose(head.similarity(images, images), images @ images.T, atol=tolerance)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (lambda: HeadConfig("attention", 64), "an attention head cannot start as the identity"),
        (lambda: HeadConfig("mlp", 8, "dot"), "cannot start as the identity"),
        (lambda: HeadConfig("linear", 0), "embedding size 0"),
        (lambda: HeadConfig("attention", 100), "64 attention heads do not divide"),
        (lambda: HeadConfig("attention", 64, "cosine"), "score of its own"),
    ],
)
def test_what_makes_no_head_is_refused(config, message):
    with pytest.raises(InputError, match=message):
        create_head(config(), nnx.Rngs(0), "identity")


def test_zeros_have_a_gradient():
    head = head_of("linear_visual")

    def score(texts):
        return head.scores(jnp.ones((1, SIZE)), texts, text_axis="captions").sum()

    gradient = jax.grad(score)(jnp.zeros((1, 2, SIZE)))
    assert bool(jnp.isfinite(gradient).all())
