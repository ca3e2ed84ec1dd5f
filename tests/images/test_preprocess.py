from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jclip.errors import InputError
from jclip.images import CLIP_MEAN, CLIP_STD, normalise, preprocess

GOLDEN = Path(__file__).parent.parent / "golden" / "preprocess"


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def normalised(levels):
    unit = levels.astype(np.float32) / np.float32(255)
    return (unit - np.float32(CLIP_MEAN)) / np.float32(CLIP_STD)


def levels_of(pixels):
    return np.rint((np.asarray(pixels) * np.float32(CLIP_STD) + np.float32(CLIP_MEAN)) * 255)


@pytest.mark.parametrize("name", ["panorama", "tall", "tiny", "grey", "rgba"])
def test_golden_images_of_the_reference_stack(name):
    image = np.asarray(Image.open(GOLDEN / f"{name}.png").convert("RGB"))
    with np.load(GOLDEN / "expected_levels_224.npz") as expected:
        levels = expected[name]
    result = preprocess(jnp.asarray(image[None]), 224)[0]
    np.testing.assert_array_equal(levels_of(result), levels)
    np.testing.assert_allclose(np.asarray(result), normalised(levels), rtol=0, atol=1e-6)


@pytest.mark.parametrize("fit", ["crop", "squash", "pad"])
@pytest.mark.parametrize(
    ("shape", "interpolation"), [((41, 30), "bicubic"), ((25, 77), "bilinear")]
)
def test_fits_equal_pillow(pillow_view, fit, shape, interpolation):
    images = noise(2, *shape, 3)
    result = preprocess(jnp.asarray(images), 32, fit, interpolation=interpolation)
    for pixels, image in zip(result, images, strict=True):
        expected = pillow_view(image, 32, fit, interpolation)
        np.testing.assert_array_equal(levels_of(pixels), expected)


def test_bars_are_black_before_normalising():
    result = preprocess(jnp.full((1, 10, 20, 3), 255, jnp.uint8), 20, "pad")
    black = normalised(np.zeros(3, np.uint8))
    np.testing.assert_allclose(np.asarray(result[0, 0, 0]), black, atol=1e-6)
    np.testing.assert_allclose(np.asarray(result[0, -1, -1]), black, atol=1e-6)


def test_mean_and_std_belong_to_the_checkpoint():
    images = jnp.asarray(noise(1, 8, 8, 3))
    half = (0.5, 0.5, 0.5)
    result = preprocess(images, 8, mean=half, std=half)
    np.testing.assert_allclose(np.asarray(result), np.asarray(images) / 127.5 - 1, atol=1e-6)


def test_normalise_every_level():
    levels = np.arange(256, dtype=np.uint8)[:, None].repeat(3, axis=1)
    result = jax.jit(normalise)(jnp.asarray(levels))
    assert result.dtype == jnp.float32
    np.testing.assert_allclose(np.asarray(result), normalised(levels), rtol=0, atol=1e-6)


def test_traced_images():
    images = jnp.asarray(noise(1, 12, 9, 3))
    inside = jax.jit(lambda pixels: preprocess(pixels, 8))(images)
    np.testing.assert_allclose(np.asarray(inside), np.asarray(preprocess(images, 8)), atol=1e-6)


def test_tiles_are_for_panoramas():
    with pytest.raises(InputError, match="no circle"):
        preprocess(jnp.asarray(noise(1, 8, 16, 3)), 8, "tiles")
