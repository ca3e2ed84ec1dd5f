"""The layers of an adapter: what they start as, what they reach, what is trained of them."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jclip.adapters.lora import (
    InertFactor,
    LoRAConfig,
    LoRALinear,
    adapted_layers,
    add_adapter,
    map_dense_layers,
    parameter_counts,
    with_dropout,
)
from jclip.checkpoints import load_clip
from jclip.errors import InputError
from jclip.models.transformer import Linear
from jclip.training import init_state

GOLDEN = Path(__file__).parents[1] / "golden"
RANK, WIDTH, LAYERS = 4, 64, 3
ATTENTION = 4 * RANK * 2 * WIDTH
MLP = 2 * RANK * 5 * WIDTH


@functools.cache
def base():
    return load_clip(GOLDEN / "hf_gelu")


def pixels(seed=0, n=2):
    return np.random.default_rng(seed).normal(size=(n, 64, 64, 3)).astype(np.float32)


def adapted(randomise=True, **options):
    """The base with an adapter, B drawn too unless told otherwise."""
    clip = add_adapter(base(), LoRAConfig(**{"rank": RANK, **options}), nnx.Rngs(0))
    if randomise:
        rng = np.random.default_rng(1)
        for layer in adapted_layers(clip).values():
            drawn = rng.normal(size=layer.lora_b[...].shape)
            layer.lora_b[...] = jnp.asarray(0.1 * drawn, jnp.float32)
    return clip


@functools.partial(jax.jit, static_argnums=0)
def embed(graph, state, images, key):
    clip = nnx.merge(graph, state)
    return (clip if key is None else with_dropout(clip, key)).encode_image(images)


def image_embeddings(clip, images):
    return embed(*nnx.split(clip), images, None)


def dropped(clip, key, images):
    return embed(*nnx.split(clip), images, key)


def test_a_new_adapter_changes_nothing_and_leaves_the_base_alone():
    clip = adapted(randomise=False)
    expected = image_embeddings(base(), pixels())
    np.testing.assert_array_equal(image_embeddings(clip, pixels()), expected)
    assert not adapted_layers(base())
    kernels = [c.image_tower.transformer.blocks.mlp.up.kernel for c in (clip, base())]
    assert kernels[0] is not kernels[1]
    assert kernels[0][...] is kernels[1][...]


def test_a_is_drawn_as_peft_draws_it():
    for layer in adapted_layers(adapted(randomise=False)).values():
        lora_a = np.asarray(layer.lora_a[...])
        bound = lora_a.shape[1] ** -0.5
        assert 0.95 * bound < np.abs(lora_a).max() <= bound
        assert lora_a.std() == pytest.approx(bound / 3**0.5, rel=0.1)
        assert not np.asarray(layer.lora_b[...]).any()
        assert len({block.tobytes() for block in lora_a}) == LAYERS


def test_an_adapter_adds_its_product_per_layer():
    layer = adapted(alpha=3.0).image_tower.transformer.blocks.mlp.up
    a, b, kernel, bias = (
        np.asarray(v[...], np.float64)[1]
        for v in (layer.lora_a, layer.lora_b, layer.base.kernel, layer.base.bias)
    )
    graph, state = nnx.split(layer)
    second = nnx.merge(graph, jax.tree.map(lambda leaf: leaf[1], state))
    x = np.random.default_rng(2).normal(size=(5, WIDTH))
    expected = x @ kernel + bias + 3 / RANK * (x @ a @ b)
    np.testing.assert_allclose(second(jnp.asarray(x, jnp.float32)), expected, atol=1e-5)


@pytest.mark.parametrize(("use_rslora", "scale"), [(False, 4.0), (True, 8.0)])
def test_scale(use_rslora, scale):
    assert LoRAConfig(rank=4, alpha=16.0, use_rslora=use_rslora).scale == scale


@pytest.mark.parametrize(
    ("targets", "suffixes", "text_suffixes"),
    [
        ("reference", {"mlp.up"}, set()),
        ("attention", {f"attention.{name}" for name in ("query", "key", "value", "out")}, set()),
        (r".*\.mlp\.down", {"mlp.down"}, {"mlp.down"}),
        ((r"image_tower.*value", r"text_tower.*up"), {"attention.value"}, {"mlp.up"}),
    ],
)
def test_targets(targets, suffixes, text_suffixes):
    prefixes = ("image_tower.transformer.blocks.", "text_tower.transformer.blocks.")
    expected = {prefixes[0] + s for s in suffixes} | {prefixes[1] + s for s in text_suffixes}
    assert adapted_layers(adapted(targets=targets)).keys() == expected


def test_all_is_every_dense_layer_of_the_image_tower():
    paths = adapted_layers(adapted()).keys()
    assert len(paths) == 6
    assert all(path.startswith("image_tower.") for path in paths)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": 0}, "rank 0"),
        ({"rank": -2}, "rank -2"),
        ({"rank": WIDTH + 1}, "rank 65 exceeds a side of image_tower"),
        ({"alpha": 0.0}, "alpha 0.0"),
        ({"alpha": float("nan")}, "alpha nan"),
        ({"dropout": 1.0}, "dropout 1.0"),
        ({"dropout": -0.1}, "dropout -0.1"),
        ({"targets": "in_proj"}, "'in_proj' matches no dense layer"),
        ({"targets": (r".*\.mlp\.up", "in_proj")}, "'in_proj' matches no dense layer"),
        ({"targets": "mlp.("}, r"'mlp.\(': missing"),
    ],
)
def test_what_makes_no_adapter_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        adapted(**options)


def test_a_second_adapter_is_refused():
    with pytest.raises(ValueError, match="merge it first"):
        add_adapter(adapted(), LoRAConfig(), nnx.Rngs(0))


def test_an_adapter_on_bfloat16_kernels_keeps_float32_factors_and_outputs():
    def halve(_, layer):
        layer.kernel.set_value(layer.kernel[...].astype(jnp.bfloat16))
        return layer

    clip = map_dense_layers(adapted(), halve)
    for factor in jax.tree.leaves(nnx.state(clip, nnx.LoRAParam)):
        assert factor.dtype == jnp.float32
    embeddings = image_embeddings(clip, pixels())
    assert embeddings.dtype == jnp.float32
    expected = np.asarray(image_embeddings(adapted(), pixels()))
    error = np.abs(embeddings - expected).max() / np.abs(expected).max()
    assert 1e-4 < error < 0.05


def test_counts():
    counts = parameter_counts(adapted())
    assert counts.trainable == LAYERS * (ATTENTION + MLP)
    assert counts.inert == 0
    assert counts.frozen == sum(p.size for p in jax.tree.leaves(nnx.state(base(), nnx.Param)))
    assert parameter_counts(base()).trainable == 0


@functools.partial(jax.jit, static_argnums=0)
@functools.partial(jax.grad, argnums=1)
def gradient(graph, trainable, frozen):
    """Of a loss that every layer of the image tower has a part in."""
    return (nnx.merge(graph, trainable, frozen).encode_image(pixels()) ** 3).sum()


def test_gradient_reaches_every_parameter():
    leaves = jax.tree.leaves(gradient(*nnx.split(adapted(), nnx.LoRAParam, ...)))
    assert sum(leaf.size for leaf in leaves) == parameter_counts(adapted()).trainable
    for leaf in leaves:
        assert np.asarray(leaf).all()


def replace_adapter(clip, **options):
    """The same adapter, but for what `LoRALinear` takes in `options`."""

    def rebuild(_, layer):
        if isinstance(layer, Linear):
            return layer
        a, b = layer.lora_a[...], layer.lora_b[...]
        covered = options.get("layers", range(LAYERS))
        a, b = (v * np.isin(range(LAYERS), covered)[:, None, None] for v in (a, b))
        return LoRALinear(layer.base, a, b, config=layer.config, **options)

    return map_dense_layers(clip, rebuild)


def test_layers_that_are_not_covered_are_not_counted():
    clip = replace_adapter(adapted(targets="reference"), layers=(0, 2))
    assert parameter_counts(clip).trainable == 2 * MLP // 2


def test_layers_whose_factors_are_zero_stay_zero():
    graph, trainable, frozen = nnx.split(adapted(), nnx.LoRAParam, ...)
    kept = np.array([1, 0, 1], np.float32)[:, None, None]
    trainable = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf) * kept), trainable)
    found = gradient(graph, trainable, frozen)
    optimizer = optax.adamw(1e-2)
    updates, _ = optimizer.update(found, optimizer.init(trainable), trainable)
    for leaf in map(np.asarray, jax.tree.leaves([found, updates])):
        assert leaf[0].all()
        assert leaf[2].all()
        assert not leaf[1].any()


def test_inert_factors_are_kept_but_neither_applied_nor_trained():
    clip = replace_adapter(adapted(), inert=True)
    expected = image_embeddings(base(), pixels())
    np.testing.assert_array_equal(image_embeddings(clip, pixels()), expected)
    assert not jax.tree.leaves(nnx.state(clip, nnx.LoRAParam))
    assert len(jax.tree.leaves(nnx.state(clip, InertFactor))) == 12
    counts = parameter_counts(clip)
    assert (counts.trainable, counts.inert) == (0, LAYERS * (ATTENTION + MLP))


def test_only_the_adapter_has_an_optimizer_state():
    clip = adapted()
    _, state, frozen = init_state(clip, optax.adam(1e-3), jax.random.key(0), nnx.LoRAParam)
    counts = parameter_counts(clip)
    moments = sum(leaf.size for leaf in jax.tree.leaves(state.optimizer))
    assert moments == 2 * counts.trainable + 1
    assert sum(leaf.size for leaf in jax.tree.leaves(frozen)) == counts.frozen


def test_dropout_is_the_same_for_the_same_key_and_image():
    clip, key, images = adapted(dropout=0.5, targets="reference"), jax.random.key(3), pixels()
    first = dropped(clip, key, images)
    np.testing.assert_array_equal(first, dropped(clip, key, images))
    assert np.abs(first - dropped(clip, jax.random.key(4), images)).max() > 1e-3
    other = images.copy()
    other[1] = pixels(seed=5)[1]
    np.testing.assert_allclose(dropped(clip, key, other)[0], first[0], atol=1e-6)
    # Two copies of one image have masks of their own.
    twins = dropped(clip, key, np.stack([images[0], images[0]]))
    assert np.abs(twins[0] - twins[1]).max() > 1e-3
    assert clip.image_tower.transformer.blocks.mlp.up.dropout_keys is None


def test_every_layer_and_target_has_its_own_dropout_key():
    clip = with_dropout(adapted(), jax.random.key(0))
    keys = [jax.random.key_data(k.dropout_keys[...]) for k in adapted_layers(clip).values()]
    assert len(np.unique(np.concatenate(keys), axis=0)) == 6 * LAYERS


def test_without_a_rate_nothing_is_dropped():
    clip = with_dropout(adapted(dropout=0.0), jax.random.key(0))
    assert all(layer.dropout_keys is None for layer in adapted_layers(clip).values())


def test_dropout_keeps_the_mean():
    # One layer's update is linear in its dropped input, so its mean over keys is the update.
    layer = adapted(dropout=0.3).image_tower.transformer.blocks.mlp.up
    x = jnp.asarray(np.random.default_rng(0).normal(size=(1, 4, WIDTH)), jnp.float32)

    def apply(key):
        graph, state = nnx.split(layer)
        block = nnx.merge(graph, jax.tree.map(lambda leaf: leaf[0], state))
        if key is not None:
            block.dropout_keys = nnx.data(nnx.RngKey(key, tag="dropout"))
        return block(x)

    many = jax.vmap(apply)(jax.random.split(jax.random.key(0), 2000))
    error = np.abs(many.mean(axis=0) - apply(None))
    assert (error < 5 * many.std(axis=0) / 2000**0.5 + 1e-6).all()
    assert many.std(axis=0).min() > 0


def test_dropout_under_vmap_over_seeds():
    clip = adapted(dropout=0.5, targets="reference")
    graph, state = nnx.split(clip)
    keys = jax.random.split(jax.random.key(0), 2)

    @jax.jit
    @functools.partial(jax.vmap, in_axes=(None, 0))
    def embeddings(state, key):
        return with_dropout(nnx.merge(graph, state), key).encode_image(pixels())

    found = embeddings(state, keys)
    for seed in range(2):
        np.testing.assert_allclose(found[seed], dropped(clip, keys[seed], pixels()), atol=1e-5)
    assert np.abs(found[0] - found[1]).max() > 1e-3
