"""The detector's own parts; that the whole equals the library is tested with its checkpoints."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jclip.models import CLIPConfig, TextConfig, VisionConfig
from jclip.models.owl import OWL, OWLConfig, class_logits

TOWER = {"width": 16, "layers": 2, "heads": 2, "mlp_width": 32}
CLIP = CLIPConfig(
    vision=VisionConfig(**TOWER, image_size=16, patch_size=4),
    text=TextConfig(**TOWER, context_length=8, vocabulary_size=20),
    embedding_width=16,
)
RNG = np.random.default_rng(0)


def detector(objectness=True):
    return OWL(OWLConfig(**vars(CLIP), objectness=objectness), rngs=nnx.Rngs(0))


def pixels(n=2):
    return RNG.standard_normal((n, 16, 16, 3)).astype(np.float32)


def test_every_token_is_that_of_clip():
    network, images = detector(), pixels()
    tower = network.clip.image_tower
    _, states = network.clip.encode_image(images, return_intermediates=True)
    tokens = tower.post_norm(states["blocks"][-1])
    expected = network.patch_norm(tokens[:, 1:] * tokens[:, :1])
    assert np.abs(network.encode_patches(images) - expected).max() < 1e-5


def test_boxes_start_at_their_patches():
    network = detector(objectness=False)
    for parameter in (network.box_head.last.kernel, network.box_head.last.bias):
        parameter[...] = jnp.zeros_like(parameter[...])
    predicted = network.predict(pixels(1))
    assert predicted.objectness is None
    # The library's grid: row by row, each centre at the far corner of its patch.
    corners = np.array([0.25, 0.5, 0.75, 1.0])
    centres = np.stack(np.meshgrid(corners, corners), axis=-1).reshape(16, 2)
    assert predicted.boxes[0, :, :2] == pytest.approx(centres, abs=2e-4)
    assert predicted.boxes[0, :, 2:] == pytest.approx(np.full((16, 2), 0.25), abs=2e-4)


def test_what_fills_up_rows_gets_the_lowest_logit():
    predicted = detector().predict(pixels())
    texts = jnp.asarray(RNG.standard_normal((2, 3, 16)), jnp.float32)
    asked = jnp.array([[True, True, False], [True, False, False]])
    logits, plain = class_logits(predicted, texts, asked), class_logits(predicted, texts)
    lowest = np.finfo(np.float32).min
    assert np.array_equal(logits == lowest, np.broadcast_to(~asked[:, None], (2, 16, 3)))
    assert np.array_equal(jnp.where(logits == lowest, plain, logits), plain)


def test_logits_do_not_depend_on_the_length_of_texts():
    predicted = detector().predict(pixels())
    texts = jnp.asarray(RNG.standard_normal((2, 3, 16)), jnp.float32)
    once, twice = class_logits(predicted, texts), class_logits(predicted, 2 * texts)
    assert np.abs(once - twice).max() < 1e-5
    assert np.linalg.norm(predicted.embeddings, axis=-1) == pytest.approx(1, abs=1e-4)
    assert predicted.scale.min() > 0


def test_wrong_sizes_are_refused():
    with pytest.raises(ValueError, match="the tower takes"):
        detector().predict(np.zeros((1, 20, 20, 3), np.float32))
    with pytest.raises(ValueError, match="embedding width 24"):
        OWLConfig(**vars(CLIP) | {"embedding_width": 24}, objectness=False)
