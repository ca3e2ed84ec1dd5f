"""Heads trained together: each as if alone, the best epoch kept, killed and resumed."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jclip.errors import InputError, RunStopped
from jclip.heads import HeadConfig, create_head
from jclip.training import head_training
from jclip.training.head_batches import (
    RECIPES,
    BoxCaptions,
    CaptionPairs,
    HeadRecipe,
    batches_of,
    loss_of_batch,
)
from jclip.training.head_training import HeadRun, train_heads

SIZE = 6
CONFIG = HeadConfig("linear", SIZE, "cosine")
RECIPE = HeadRecipe("warm-up", epochs=3, batch_size=8)
RUNS = (HeadRun(0, 1e-2, 0.2), HeadRun(1, 1e-2, 0.2), HeadRun(0, 1e-3, 0.1))


def pairs(count=30, held_out=8):
    """Captions that are their images with the features in another order, and some noise."""
    rng = np.random.default_rng(0)
    images = rng.normal(size=(count, SIZE)).astype(np.float32)
    captions = np.roll(images, 1, axis=1) + 0.1 * rng.normal(size=images.shape).astype(np.float32)
    rows = jnp.arange(count)
    whole = CaptionPairs(jnp.asarray(images), jnp.asarray(captions), rows, rows[:-held_out])
    return whole, whole._replace(examples=rows[-held_out:])


def boxes(count=30, held_out=8):
    data, validation = pairs(count, held_out)
    rng = np.random.default_rng(1)
    rows = jnp.arange(count)
    negatives = (np.arange(count)[:, None] + rng.integers(1, count, (count, 3))) % count
    negatives[::2, 2] = -1
    placed = (data.images, data.captions, rows, rows, jnp.asarray(negatives, jnp.int32))
    return BoxCaptions(*placed, data.examples), BoxCaptions(*placed, validation.examples)


def parameters(head):
    return jax.tree.leaves(nnx.state(head))


def loss_and_gradients(recipe, head, data):
    """Of all examples as one batch."""
    graph, state = nnx.split(head)

    @jax.jit
    def program(state, data):
        def loss(state):
            rows, key = data.examples, jax.random.key(0)
            return loss_of_batch(recipe, nnx.merge(graph, state), data, rows, 0.2, key)

        return jax.value_and_grad(loss)(state)

    value, gradients = program(state, data)
    return float(value), gradients


def test_each_run_is_as_if_it_were_alone():
    together = train_heads(CONFIG, RECIPE, RUNS, *pairs())
    for run, one in zip(RUNS, together, strict=True):
        (alone,) = train_heads(CONFIG, RECIPE, [run], *pairs())
        for a, b in zip(parameters(one.head), parameters(alone.head), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5)
        np.testing.assert_allclose(one.validation_losses, alone.validation_losses, rtol=1e-4)
    first = [parameters(one.head)[0] for one in together]
    assert not np.allclose(first[0], first[1]) and not np.allclose(first[0], first[2])


def test_an_epoch_is_adam_over_shuffled_batches():
    """One batch holds all examples, whose order then does not count."""
    data, validation = pairs()
    recipe = HeadRecipe("warm-up", epochs=2, batch_size=32)
    (trained,) = train_heads(CONFIG, recipe, [RUNS[0]], data, validation)
    key = jax.random.key(0)
    graph, state = nnx.split(create_head(CONFIG, nnx.Rngs(key)))
    optimizer = optax.adam(1e-2)
    adam = optimizer.init(state)

    for epoch in range(2):
        value, gradients = loss_and_gradients(recipe, nnx.merge(graph, state), data)
        assert value == pytest.approx(trained.training_losses[epoch], rel=1e-4)
        updates, adam = optimizer.update(gradients, adam)
        state = optax.apply_updates(state, updates)
    value, _ = loss_and_gradients(recipe, nnx.merge(graph, state), validation)
    assert value == pytest.approx(trained.validation_losses[2], rel=1e-4)
    for a, b in zip(parameters(trained.head), jax.tree.leaves(state), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


@pytest.mark.parametrize("kind", ["mlp", "attention"])
def test_hard_negatives_are_learned_to_be_told_apart(kind):
    config = HeadConfig(kind, SIZE, attention_heads=2)
    recipe = HeadRecipe("hard-negatives", epochs=10, batch_size=8)
    data, _ = boxes()
    (trained,) = train_heads(config, recipe, [HeadRun(0, 1e-2, 0.05)], data, data)
    assert trained.validation_loss < 0.7 * trained.validation_losses[0]


def test_the_best_epoch_is_kept_and_patience_ends_a_run():
    data, validation = pairs()
    # Validated on captions of other images, the loss rises as training goes on.
    wrong = validation._replace(caption_images=jnp.roll(validation.caption_images, 3))
    recipe = HeadRecipe("warm-up", epochs=6, batch_size=8, patience=2)
    runs = [HeadRun(0, 3e-2, 0.2), HeadRun(0, 1e-7, 0.2)]
    stopped, other = train_heads(CONFIG, recipe, runs, data, wrong)
    losses = stopped.validation_losses
    assert stopped.best_epoch == 1 + int(np.argmin(losses[1:]))
    assert len(losses) == 1 + stopped.best_epoch + 2 < 7
    assert len(other.validation_losses) >= len(losses)
    kept, _ = loss_and_gradients(recipe, stopped.head, wrong)
    assert kept == pytest.approx(losses[stopped.best_epoch], rel=1e-4)


def test_a_killed_training_ends_with_the_same_bits(tmp_path, monkeypatch):
    whole = train_heads(CONFIG, RECIPE, RUNS, *pairs(), tmp_path / "whole")
    real, epochs = head_training.epoch_of_all, []

    def killed(*arguments):
        if len(epochs) == 2:
            raise KeyboardInterrupt
        epochs.append(1)
        return real(*arguments)

    monkeypatch.setattr(head_training, "epoch_of_all", killed)
    with pytest.raises(KeyboardInterrupt):
        train_heads(CONFIG, RECIPE, RUNS, *pairs(), tmp_path / "killed")
    epochs.pop()
    resumed = train_heads(CONFIG, RECIPE, RUNS, *pairs(), tmp_path / "killed")
    assert len(epochs) == 2
    for one, other in zip(whole, resumed, strict=True):
        for a, b in zip(parameters(one.head), parameters(other.head), strict=True):
            np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(one.validation_losses, other.validation_losses)
        np.testing.assert_array_equal(one.training_losses, other.training_losses)


def test_a_stage_begins_where_another_ended():
    first = train_heads(CONFIG, RECIPE, RUNS, *pairs())
    recipe = HeadRecipe("hard-negatives", epochs=1, batch_size=8)
    runs = [HeadRun(one.run.seed, 1e-9, 0.05) for one in first]
    second = train_heads(CONFIG, recipe, runs, *boxes(), initial=[one.head for one in first])
    for one, other in zip(first, second, strict=True):
        for a, b in zip(parameters(one.head), parameters(other.head), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize(
    "loss", ["triplet_hardest", "info_nce", "bce_random", "bce_hardest", "self_distillation"]
)
def test_every_loss_falls_along_its_gradient(loss):
    head = create_head(HeadConfig("linear", SIZE), nnx.Rngs(0))
    recipe, (data, _) = dataclasses.replace(RECIPE, loss=loss), pairs()
    before, gradients = loss_and_gradients(recipe, head, data)
    graph, state = nnx.split(head)
    step = 1e-3 / optax.tree.norm(gradients)
    state = jax.tree.map(lambda p, g: p - step * g, state, gradients)
    after, _ = loss_and_gradients(recipe, nnx.merge(graph, state), data)
    assert 0 < after < before


@pytest.mark.parametrize(("learned", "temperature"), [(True, 1.0), (False, 0.07)])
def test_info_nce_divides_by_the_temperature_unless_the_scale_is_learned(learned, temperature):
    head = create_head(HeadConfig("linear", SIZE, "cosine", learned), nnx.Rngs(0))
    if learned:
        head.log_scale[...] = jnp.log(3.0)
    data, _ = pairs()
    found, _ = loss_and_gradients(dataclasses.replace(RECIPE, loss="info_nce"), head, data)
    rows = np.asarray(data.examples)
    scores = np.asarray(head.similarity(data.images[rows], data.captions[rows]), np.float64)
    assert np.abs(scores).max() < 1 or learned
    scores /= temperature
    losses = [
        np.mean([np.log(np.exp(row).sum()) - row[i] for i, row in enumerate(way)])
        for way in (scores, scores.T)
    ]
    assert found == pytest.approx(np.mean(losses), rel=1e-4)


def test_each_epoch_and_seed_has_an_order_of_its_own():
    """Parameters that do not move: only which examples share a batch changes the mean loss."""
    runs = [HeadRun(seed, 1e-12, 0.2) for seed in (0, 1)]
    first, second = train_heads(CONFIG, RECIPE, runs, *pairs(), initial=[
        create_head(CONFIG, nnx.Rngs(0)) for _ in runs
    ])  # fmt: skip
    losses = np.array([first.training_losses, second.training_losses])
    assert len(np.unique(losses)) == 6
    assert np.ptp(first.validation_losses) == 0
    # An epoch that is as good as an earlier one is not better.
    assert first.best_epoch == second.best_epoch == 1


def test_constants_are_the_papers():
    assert RECIPES == {"warm-up": (5e-5, 0.2), "hard-negatives": (1e-5, 0.05)}
    recipe = HeadRecipe("warm-up")
    assert (recipe.loss, recipe.epochs, recipe.batch_size) == ("triplet", 10, 256)
    assert (recipe.patience, recipe.same_image, recipe.text_axis) == (None, "masked", "features")


@pytest.mark.parametrize("setting", ["same_image", "text_axis"])
def test_reference_and_corrected_differ(setting):
    if setting == "same_image":
        data, _ = pairs()
        data = data._replace(caption_images=data.caption_images // 2)
        recipes = [RECIPE, dataclasses.replace(RECIPE, same_image="negatives")]
    else:
        data, _ = boxes()
        recipe = HeadRecipe("hard-negatives")
        recipes = [recipe, dataclasses.replace(recipe, text_axis="captions")]
    head = create_head(CONFIG, nnx.Rngs(0))
    losses = [loss_and_gradients(recipe, head, data)[0] for recipe in recipes]
    assert losses[0] != pytest.approx(losses[1], rel=1e-3)


def test_a_loss_that_is_not_finite_names_the_run():
    data, validation = pairs()
    broken = data._replace(images=data.images.at[3].set(jnp.inf))
    with pytest.raises(RunStopped, match=r"seed-0_lr-0.01_margin-0.2: the training loss of epoch"):
        train_heads(CONFIG, RECIPE, RUNS, broken, validation)


@pytest.mark.parametrize(
    ("config", "recipe", "message"),
    [
        (HeadConfig("linear", 5), RECIPE, "training embeddings of 6, for a head of 5"),
        (CONFIG, dataclasses.replace(RECIPE, loss="bce_random"), "bce_random needs scores between"),
    ],
)
def test_what_does_not_fit_is_refused(config, recipe, message):
    with pytest.raises(InputError, match=message):
        train_heads(config, recipe, RUNS, *pairs())
    data, validation = pairs()
    with pytest.raises(InputError, match="1 validation examples: at least 2"):
        empty = validation._replace(examples=validation.examples[:1])
        train_heads(CONFIG, RECIPE, RUNS, data, empty)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs 0"),
        ({"patience": 0}, "patience 0"),
        ({"batch_size": 1}, "batch size 1"),
        ({"stage": "hard-negatives", "loss": "info_nce"}, "triplet or triplet_hardest"),
    ],
)
def test_recipes_that_make_no_sense_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        HeadRecipe(**{"stage": "warm-up", **options})


def test_batches_are_filled_up_with_none():
    found = batches_of(jnp.array([7, 5, 3, 1, 9]), 2)
    assert found.tolist() == [[7, 5], [3, 1], [9, -1]]
    # Examples that fill the batches exactly need no more.
    assert batches_of(jnp.array([7, 5, 3, 1]), 2).tolist() == [[7, 5], [3, 1]]
    assert batches_of(jnp.array([7]), 3).tolist() == [[7, -1, -1]]


@pytest.mark.parametrize("make", [pairs, boxes])
def test_rows_that_fill_a_batch_up_cost_nothing(make):
    """-1 is no example: neither the last one nor the first."""
    data, _ = make()
    recipe = HeadRecipe("warm-up" if make is pairs else "hard-negatives")
    head, key = create_head(CONFIG, nnx.Rngs(0)), jax.random.key(0)
    some = [3, 8, 12]
    alone, filled = (
        float(loss_of_batch(recipe, head, data, jnp.array(rows), 0.2, key))
        for rows in (some, [*some, -1, -1])
    )
    more = float(loss_of_batch(recipe, head, data, jnp.array([*some, 0, 29]), 0.2, key))
    assert filled == pytest.approx(alone, rel=1e-5)
    assert more != pytest.approx(alone, rel=1e-2)
