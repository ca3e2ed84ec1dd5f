"""The loss of shift-invariance tuning: what it compares, what it trains, where it is anchored."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jclip.adapters.lora import LoRAConfig, add_adapter
from jclip.checkpoints import ImageConfig
from jclip.errors import InputError
from jclip.images import circular_shift, plan_views, preprocess
from jclip.models import CLIP, CLIPConfig, TextConfig, VisionConfig
from jclip.models.unit_norm import normalised
from jclip.training.loop import init_state, make_train_step
from jclip.training.lora import (
    LORA_RECIPES,
    LoRARecipe,
    TuningConstants,
    make_shift_invariance_loss,
)
from jclip.training.losses import charbonnier, stability_loss

SIZE, IMAGES = 16, 4


@pytest.fixture(scope="module")
def network():
    tower = {"width": 16, "layers": 2, "heads": 2, "mlp_width": 32, "activation": "gelu"}
    vision = VisionConfig(**tower, image_size=SIZE, patch_size=8)
    text = TextConfig(**tower, context_length=8, vocabulary_size=20, end_of_text=19)
    return CLIP(CLIPConfig(vision=vision, text=text, embedding_width=8), rngs=nnx.Rngs(0))


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (IMAGES, SIZE, 2 * SIZE, 3), dtype=np.uint8)
    return {"images": images, "rows": np.array([2, 0, 3, 1], np.int32)}


def frozen_of(parameters, seed=1):
    rng = np.random.default_rng(seed)
    texts = normalised(jnp.asarray(rng.normal(size=(IMAGES, 8)), jnp.float32))
    scores = jnp.asarray(rng.normal(size=IMAGES), jnp.float32)
    plan = plan_views(SIZE, 2 * SIZE, (0,), SIZE, "crop")
    return TuningConstants(parameters, texts, scores, plan, jnp.float32(0.3))


def prepared(network, dropout=0.0, masks="same", anchor="shifted"):
    """An adapter that acts, its loss, and all that training it takes."""
    clip = add_adapter(network, LoRAConfig(rank=2, dropout=dropout), nnx.Rngs(1))
    optimizer = optax.adamw(1e-2)
    graph, state, parameters = init_state(clip, optimizer, jax.random.key(5), nnx.LoRAParam)
    leaves, tree = jax.tree.flatten(state.trainable)
    keys = jax.random.split(jax.random.key(2), len(leaves))
    moved = [x + 0.1 * jax.random.normal(k, x.shape) for x, k in zip(leaves, keys, strict=True)]
    state = dataclasses.replace(state, trainable=jax.tree.unflatten(tree, moved))
    loss = make_shift_invariance_loss(graph, ImageConfig(size=SIZE), "crop", masks, anchor)
    return graph, state, parameters, jax.jit(loss), optimizer


def test_the_loss_is_the_papers_of_scores_before_and_after_a_shift(network, batch):
    graph, state, parameters, loss, _ = prepared(network)
    frozen, key = frozen_of(parameters), jax.random.key(9)
    value, metrics = loss(state.trainable, frozen, batch, key)
    shifts = jax.random.randint(jax.random.split(key)[0], (IMAGES,), 0, 2 * SIZE)
    assert len(set(shifts.tolist())) > 1
    clip = nnx.merge(graph, state.trainable, parameters)

    def scores(images):
        seen = normalised(clip.encode_image(preprocess(images, SIZE)))
        return 100 * jnp.sum(seen * frozen.texts[batch["rows"]], axis=1)

    turned = [
        circular_shift(jnp.asarray(i), int(s)) for i, s in zip(batch["images"], shifts, strict=True)
    ]
    original, shifted = scores(batch["images"]), scores(jnp.stack(turned))
    expected = stability_loss(shifted, original, frozen.scores_before[batch["rows"]], 0.3)
    assert float(value) == pytest.approx(float(expected), rel=1e-4)
    assert float(metrics["change"]) == pytest.approx(
        float(jnp.abs(shifted - original).mean()), rel=1e-3
    )


def test_the_original_score_is_anchored_too(network, batch):
    values = {}
    for anchor in ("shifted", "both"):
        graph, state, parameters, loss, _ = prepared(network, anchor=anchor)
        frozen = frozen_of(parameters)
        values[anchor] = float(loss(state.trainable, frozen, batch, jax.random.key(9))[0])
    clip = nnx.merge(graph, state.trainable, parameters)
    seen = normalised(clip.encode_image(preprocess(batch["images"], SIZE)))
    original = 100 * jnp.sum(seen * frozen.texts[batch["rows"]], axis=1)
    held = 0.7 * float(charbonnier(original, frozen.scores_before[batch["rows"]]))
    assert values["both"] - values["shifted"] == pytest.approx(held, rel=1e-3)


def test_a_short_batch_is_that_of_the_panoramas_that_are_there(network, batch):
    _, state, parameters, loss, _ = prepared(network, anchor="both")
    arguments, key = (state.trainable, frozen_of(parameters)), jax.random.key(9)
    whole = loss(*arguments, batch, key)
    everyone = loss(*arguments, {**batch, "present": np.ones(IMAGES, bool)}, key)
    assert float(everyone[0]) == pytest.approx(float(whole[0]), rel=1e-6)
    values = []
    for black in (False, True):
        present = np.array([True, True, True, False])
        images = batch["images"] * present[:, None, None, None] if black else batch["images"]
        short = {**batch, "images": images, "present": present}
        values.append([float(value) for value in jax.tree.leaves(loss(*arguments, short, key))])
    assert values[0] == pytest.approx(values[1], rel=1e-6)
    assert values[0] != pytest.approx([float(v) for v in jax.tree.leaves(whole)], rel=1e-3)


def test_masks_are_shared_or_not(network, batch):
    """Of panoramas that every shift leaves alone, shared masks leave no change."""
    constant = {**batch, "images": np.full_like(batch["images"], 99)}
    for masks, same in (("same", True), ("different", False)):
        _, state, parameters, loss, _ = prepared(network, dropout=0.5, masks=masks)
        _, metrics = loss(state.trainable, frozen_of(parameters), constant, jax.random.key(0))
        assert (float(metrics["change"]) < 1e-4) == same


def test_a_step_trains_every_factor_and_nothing_else(network, batch):
    _, state, parameters, loss, optimizer = prepared(network, dropout=0.1)
    step = jax.jit(make_train_step(loss, optimizer, 1.0))
    after, metrics = step(state, frozen_of(parameters), batch)
    assert np.isfinite(float(metrics["loss"]))
    moved = jax.tree.map(lambda a, b: bool((a != b).all()), after.trainable, state.trainable)
    assert jax.tree.leaves(moved) == [True] * 12, "A and B of six kernels"
    kept = {leaf.shape for leaf in jax.tree.leaves(state.optimizer) if leaf.ndim}
    assert kept <= {leaf.shape for leaf in jax.tree.leaves(state.trainable)}


def test_steps_draw_new_shifts(network, batch):
    _, state, parameters, loss, _ = prepared(network)
    frozen = frozen_of(parameters)
    values = {float(loss(state.trainable, frozen, batch, jax.random.key(k))[0]) for k in range(3)}
    assert len(values) == 3


def test_the_reference_recipe_is_the_papers():
    recipe = LORA_RECIPES["reference"]
    assert (recipe.rank, recipe.alpha, recipe.dropout) == (8, 16.0, 0.1)
    assert (recipe.learning_rate, recipe.weight_decay, recipe.clip_norm) == (1e-5, 0.01, 1.0)
    assert (recipe.epochs, recipe.batch_size_train, recipe.lambdas) == (20, 16, (1.0,))
    assert (recipe.targets, recipe.dropout_masks) == ("reference", "different")
    assert (recipe.anchor, recipe.last_batch) == ("shifted", "short")
    with pytest.raises(InputError, match=r"lambda -0.1: from 0 to 1"):
        LoRARecipe(lambdas=(0.5, -0.1))
    with pytest.raises(InputError, match="rank 0"):
        LoRARecipe(rank=0)
