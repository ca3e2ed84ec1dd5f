"""Checkpoints of both libraries embed as the libraries do."""

import functools
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jclip.checkpoints import load_checkpoint, load_clip
from jclip.models import CLIP, cut_after_end_of_text

GOLDEN = Path(__file__).parents[1] / "golden"
TRANSFORMERS = ["hf_quick_gelu", "hf_gelu", "hf_full"]
OPEN_CLIP = ["open_clip_gelu", "open_clip_quick_gelu", "open_clip_layer_scale"]


def expected(name):
    """Expected arrays, and the inputs in this project's form."""
    arrays = dict(np.load(GOLDEN / name / "expected.npz"))
    arrays["pixels"] = arrays["pixels"].transpose(0, 2, 3, 1)
    arrays["input_ids"] = arrays["input_ids"].astype(np.int32)
    return arrays


def deviation(actual, wanted):
    return np.abs(np.asarray(actual) - np.asarray(wanted)).max()


def jitted(clip, function, *arrays):
    """`function(clip, *arrays)` under jit, at whose boundary there is only state and arrays."""
    graph, state = nnx.split(clip)
    return jax.jit(lambda state, *inputs: function(nnx.merge(graph, state), *inputs))(
        state, *arrays
    )


def embed(clip, pixels, token_ids):
    return clip.encode_image(pixels), clip.encode_text(token_ids)


@functools.cache
def embeddings(name):
    arrays = expected(name)
    return jitted(load_clip(GOLDEN / name), embed, arrays["pixels"], arrays["input_ids"])


@pytest.mark.parametrize("name", ["hf_full", *OPEN_CLIP])
def test_embeddings_equal_the_library(name):
    arrays = expected(name)
    image, text = embeddings(name)
    assert image.dtype == text.dtype == np.float32
    assert deviation(image, arrays["image_embeds"]) < 1e-5
    assert deviation(text, arrays["text_embeds"]) < 1e-5


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_hidden_states_equal_the_library(name):
    arrays = expected(name)
    clip = load_clip(GOLDEN / name)

    def every(clip, pixels, token_ids):
        image = clip.encode_image(pixels, return_intermediates=True)
        return image, clip.encode_text(token_ids, return_intermediates=True)

    (image, image_states), (text, text_states) = jitted(
        clip, every, arrays["pixels"], arrays["input_ids"]
    )
    for found, key in ((image_states, "vision_hidden"), (text_states, "text_hidden")):
        states = np.concatenate([found["patch_embedding"][None], found["blocks"]])
        assert states.shape == arrays[key].shape
        assert deviation(states, arrays[key]) < 1e-4
    assert deviation(image, arrays["image_embeds"]) < 1e-5
    assert deviation(text, arrays["text_embeds"]) < 1e-5
    assert clip.logit_scale[...] == arrays["logit_scale"]
    if name == "hf_full":
        # Computing every token and pooling early is the same network.
        assert deviation(image, embeddings(name)[0]) < 2e-6
        assert deviation(text, embeddings(name)[1]) < 2e-6


def test_without_jit():
    arrays = expected("open_clip_gelu")
    text = load_clip(GOLDEN / "open_clip_gelu").encode_text(arrays["input_ids"])
    assert deviation(text, arrays["text_embeds"]) < 1e-5


def test_cut_ids_embed_as_full_ids():
    arrays = expected("hf_gelu")
    clip = load_clip(GOLDEN / "hf_gelu")
    short = arrays["input_ids"][:3]
    cut = cut_after_end_of_text(short, clip.config.text)
    assert cut.shape[1] < short.shape[1]
    assert deviation(jitted(clip, CLIP.encode_text, cut), arrays["text_embeds"][:3]) < 1e-5


def test_bfloat16_is_close():
    # bfloat16 keeps 8 bits, so one rounding is up to 0.4 % of a value; the operands of some 20
    # products are rounded, which adds up to a direction off by about 1 %, a cosine of 0.9999.
    arrays = expected("hf_full")
    clip = load_checkpoint(GOLDEN / "hf_full", dtype=jnp.bfloat16).clip
    assert clip.image_tower.projection.kernel[...].dtype == jnp.bfloat16
    assert clip.text_tower.token_embedding[...].dtype == jnp.float32
    found = jitted(clip, embed, arrays["pixels"], arrays["input_ids"])
    for embedding, key in zip(found, ("image_embeds", "text_embeds"), strict=True):
        embedding, wanted = np.asarray(embedding), arrays[key]
        lengths = np.linalg.norm(embedding, axis=-1) * np.linalg.norm(wanted, axis=-1)
        assert ((embedding * wanted).sum(-1) / lengths).min() > 0.9998
        assert deviation(embedding, wanted) > 0


def test_legacy_end_of_text_pools_at_the_largest_id(copy_golden):
    folder = copy_golden("hf_quick_gelu")
    shutil.copyfile(GOLDEN / "hf_legacy_eos" / "config.json", folder / "config.json")
    clip = load_clip(folder)
    assert clip.config.text.end_of_text is None
    arrays = expected("hf_quick_gelu")
    text = jitted(clip, CLIP.encode_text, arrays["input_ids"])
    assert deviation(text, arrays["text_embeds"]) < 1e-5


def test_another_activation_is_reported_and_shows():
    arrays = expected("hf_quick_gelu")
    checkpoint = load_checkpoint(GOLDEN / "hf_quick_gelu", activation="gelu")
    identity = checkpoint.identity
    assert identity.overridden
    assert (identity.activation, identity.own_activation) == ("gelu", "quick_gelu")
    assert identity.notices[-1] == (
        "Runs with gelu although its weights were trained with quick_gelu."
    )
    text = jitted(checkpoint.clip, CLIP.encode_text, arrays["input_ids"])
    assert deviation(text, arrays["text_embeds"]) > 1e-3
