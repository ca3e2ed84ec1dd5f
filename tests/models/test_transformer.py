"""The scanned, pooled network computes what the plain one computes."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jclip.models import CLIP, CLIPConfig, TextConfig, VisionConfig, cut_after_end_of_text

TOWER = {"width": 32, "layers": 3, "heads": 4, "mlp_width": 64, "activation": "quick_gelu"}
CONFIG = CLIPConfig(
    vision=VisionConfig(**TOWER, image_size=16, patch_size=8),
    text=TextConfig(**TOWER, context_length=20, vocabulary_size=50),
    embedding_width=24,
)


def make(config=CONFIG, dtype=jnp.float32):
    """A network whose every parameter matters: no bias, scale or norm has its neutral value."""
    graph, shapes = nnx.split(nnx.eval_shape(lambda: CLIP(config, dtype=dtype, rngs=nnx.Rngs(0))))
    rng = np.random.default_rng(1)

    def value(path, shape):
        neutral = 1.0 if "scale" in jax.tree_util.keystr(path) else 0.0
        spread = 0.2 if len(shape.shape) < 3 else shape.shape[-2] ** -0.5
        return jnp.asarray(neutral + spread * rng.standard_normal(shape.shape), shape.dtype)

    return nnx.merge(graph, jax.tree_util.tree_map_with_path(value, shapes))


def run(clip, method, inputs, **options):
    """Encode under jit."""
    graph, state = nnx.split(clip)
    program = jax.jit(lambda s, x: getattr(nnx.merge(graph, s), method)(x, **options))
    return program(state, inputs)


def images(n=3):
    return jax.random.normal(jax.random.key(2), (n, 16, 16, 3))


def token_ids():
    ids = np.random.default_rng(0).integers(1, 48, (4, 20)).astype(np.int32)
    for row, end in enumerate((3, 11, 19, 7)):
        ids[row, end:] = 49  # padded with the end token, as transformers does
    return ids


@pytest.mark.parametrize("end_of_text", [None, 49])
@pytest.mark.parametrize("layer_scale", [False, True])
def test_pooled_path_equals_every_token_path(layer_scale, end_of_text):
    clip = make(
        dataclasses.replace(
            CONFIG,
            vision=dataclasses.replace(CONFIG.vision, layer_scale=layer_scale),
            text=dataclasses.replace(CONFIG.text, layer_scale=layer_scale, end_of_text=end_of_text),
        )
    )
    for method, inputs in (("encode_image", images()), ("encode_text", token_ids())):
        full, kept = run(clip, method, inputs, return_intermediates=True)
        np.testing.assert_allclose(run(clip, method, inputs), full, atol=1e-5)
        assert kept["blocks"].shape[:2] == (3, len(inputs))
        np.testing.assert_array_equal(kept["projected"], full)
        assert kept["patch_embedding"].shape == kept["blocks"].shape[1:]


def test_ids_behind_the_end_of_text_do_not_matter():
    clip = make()
    ids = token_ids()[[0, 3]]
    cut = cut_after_end_of_text(ids, CONFIG.text, multiple=4)
    assert cut.shape == (2, 8)
    whole = run(clip, "encode_text", ids)
    np.testing.assert_allclose(run(clip, "encode_text", cut), whole, atol=1e-5)


def test_cut_keeps_the_longest_text():
    assert cut_after_end_of_text(token_ids(), CONFIG.text).shape == (4, 20)


def test_bfloat16_keeps_the_residual_stream_and_outputs_in_float32():
    exact, rough = make(), make(dtype=jnp.bfloat16)
    kernel = rough.image_tower.transformer.blocks.mlp.up.kernel[...]
    assert kernel.dtype == jnp.bfloat16
    assert rough.image_tower.transformer.blocks.mlp.up.bias[...].dtype == jnp.float32
    embedding, kept = run(rough, "encode_image", images(), return_intermediates=True)
    assert embedding.dtype == kept["blocks"].dtype == jnp.float32
    reference = run(exact, "encode_image", images())
    lengths = np.linalg.norm(embedding, axis=1) * np.linalg.norm(reference, axis=1)
    assert np.all(np.sum(embedding * reference, axis=1) / lengths > 0.999)


def test_blocks_are_compiled_once_whatever_the_depth():
    def program(layers):
        deep = dataclasses.replace(CONFIG, vision=dataclasses.replace(CONFIG.vision, layers=layers))
        graph, state = nnx.split(nnx.eval_shape(lambda: CLIP(deep, rngs=nnx.Rngs(0))))
        encode = jax.jit(lambda state, x: nnx.merge(graph, state).encode_image(x))
        return encode.lower(state, jax.ShapeDtypeStruct((2, 16, 16, 3), jnp.float32)).as_text()

    shallow, deep = program(4), program(24)
    assert shallow.count("dot_general") == deep.count("dot_general")


@pytest.mark.parametrize("activation", ["gelu", "quick_gelu", "gelu_tanh"])
def test_activation_reaches_both_towers(activation):
    config = CONFIG.with_activation(activation)
    assert config.vision.activation == config.text.activation == activation
    clip, other = make(config), make(CONFIG.with_activation("gelu"))
    first, second = (run(c, "encode_image", images()) for c in (clip, other))
    differ = np.abs(first - second).max()
    assert (differ > 1e-5) == (activation != "gelu")


def test_wrong_sizes_are_refused():
    clip = make()
    with pytest.raises(ValueError, match=r"images of shape \(8, 16, 3\)"):
        clip.encode_image(jnp.zeros((1, 8, 16, 3)))
    with pytest.raises(ValueError, match="21 token ids, but the context holds 20"):
        clip.encode_text(jnp.zeros((1, 21), jnp.int32))
    with pytest.raises(ValueError, match="width 30 is not a multiple of heads 4"):
        dataclasses.replace(CONFIG.vision, width=30)
