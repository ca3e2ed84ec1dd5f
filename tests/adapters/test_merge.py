import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jclip.adapters.lora import (
    LoRAConfig,
    adapted_layers,
    add_adapter,
    map_dense_layers,
    merge_adapter,
)
from jclip.checkpoints.network import random_clip
from jclip.models import CLIPConfig, TextConfig, VisionConfig

TOWER = {"width": 16, "layers": 2, "heads": 2, "mlp_width": 32, "activation": "gelu"}
CONFIG = CLIPConfig(
    vision=VisionConfig(**TOWER, image_size=8, patch_size=4),
    text=TextConfig(**TOWER, vocabulary_size=9, context_length=4),
    embedding_width=8,
)
PIXELS = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def adapted():
    """A network with an adapter on every kind of dense layer, B drawn too."""
    clip = add_adapter(random_clip(CONFIG, jnp.float32), LoRAConfig(rank=3), nnx.Rngs(1))
    for number, layer in enumerate(adapted_layers(clip).values()):
        noise = np.random.default_rng(number).normal(size=layer.lora_b[...].shape)
        layer.lora_b[...] = jnp.asarray(0.1 * noise, jnp.float32)
    return clip


def kernels(clip):
    return {
        ".".join(str(part) for part in path if part != "base"): np.asarray(leaf[...], np.float32)
        for path, leaf in nnx.to_flat_state(nnx.state(clip, nnx.Param))
        if path[-1] == "kernel"
    }


def embed(clip):
    graph, state = nnx.split(clip)
    return jax.jit(lambda state: nnx.merge(graph, state).encode_image(PIXELS))(state)


def test_merged_computes_the_same_with_plain_layers(adapted):
    merged = merge_adapter(adapted)
    assert not adapted_layers(merged)
    assert nnx.graphdef(merged) == nnx.graphdef(random_clip(CONFIG, jnp.float32))
    np.testing.assert_allclose(embed(merged), embed(adapted), atol=1e-5)


def test_merging_changes_the_targets_by_the_scaled_product(adapted):
    before, after = kernels(adapted), kernels(merge_adapter(adapted))
    layers = adapted_layers(adapted)
    assert before.keys() == after.keys()
    for path in before:
        expected = before[path]
        if (layer := layers.get(path.removesuffix(".kernel"))) is not None:
            a, b = (np.asarray(v[...], np.float64) for v in (layer.lora_a, layer.lora_b))
            expected = before[path] + 16 / 3 * a @ b
            assert np.abs(expected - before[path]).max() > 0.1
        np.testing.assert_allclose(after[path], expected, atol=1e-6)


def test_merging_leaves_the_adapted_network_alone(adapted):
    before = kernels(adapted)
    merged = merge_adapter(adapted)
    merged.image_tower.transformer.blocks.mlp.up.kernel[...] *= 2
    after = kernels(adapted)
    for path in before:
        np.testing.assert_array_equal(after[path], before[path])


def test_merged_kernels_keep_their_dtype(adapted):
    def halve(_, layer):
        layer.kernel.set_value(layer.kernel[...].astype(jnp.bfloat16))
        return layer

    halved = map_dense_layers(adapted, halve)
    exact, merged = kernels(merge_adapter(adapted)), merge_adapter(halved)
    up = merged.image_tower.transformer.blocks.mlp.up.kernel[...]
    assert up.dtype == jnp.bfloat16
    # The sum is taken in float32 and rounded once.
    layer = halved.image_tower.transformer.blocks.mlp.up
    whole = layer.base.kernel[...].astype(jnp.float32) + layer.update()
    np.testing.assert_array_equal(up, whole.astype(jnp.bfloat16))
    path = "image_tower.transformer.blocks.mlp.up.kernel"
    np.testing.assert_allclose(np.asarray(up, np.float32), exact[path], rtol=0.01, atol=0.005)
