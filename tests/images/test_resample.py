import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from jclip.images.resample import (
    FUSED_TAPS,
    Lines,
    pack_pixels,
    resample_lines,
    resize_lines,
    rows_first,
    unpack_pixels,
)

FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


def weigh(source, lines):
    """The weighted sums of `[length, ...] uint8` lines on the host, in 64 bits."""
    taps = np.arange(lines.weights.shape[1])
    picked = source[(lines.starts[:, None] + taps) % len(source)].astype(np.int64)
    sums = np.einsum("lk,lk...->l...", lines.weights.astype(np.int64), picked)
    return np.clip(sums + (1 << 21) >> 22, 0, 255).astype(np.uint8)


@settings(max_examples=150, deadline=None)
@given(
    length=st.integers(1, 1500),
    resized=st.integers(1, 400),
    interpolation=st.sampled_from(sorted(FILTERS)),
    seed=st.integers(0, 9),
)
@example(length=1024, resized=448, interpolation="bicubic", seed=0)
@example(length=1, resized=7, interpolation="bicubic", seed=0)
@example(length=7, resized=1, interpolation="bilinear", seed=0)
@example(length=224, resized=224, interpolation="bicubic", seed=0)
def test_weights_are_pillows(length, resized, interpolation, seed):
    source = np.random.default_rng(seed).integers(0, 256, (length, 16, 3), np.uint8)
    lines = resize_lines(length, resized, interpolation)
    expected = Image.fromarray(source).resize((16, resized), FILTERS[interpolation])
    np.testing.assert_array_equal(weigh(source, lines), np.asarray(expected))


@settings(max_examples=150, deadline=None)
@given(sides=st.tuples(*[st.integers(1, 150)] * 4), interpolation=st.sampled_from(sorted(FILTERS)))
@example(sides=(50, 40, 30, 30), interpolation="bicubic")
@example(sides=(50, 40, 29, 30), interpolation="bicubic")
@example(sides=(41, 30, 32, 32), interpolation="bicubic")
@example(sides=(97, 401, 150, 30), interpolation="bicubic")
def test_order_of_the_passes_is_pillows(sides, interpolation):
    """On black and white noise the two orders differ, so the wrong one shows."""
    height, width, resized_height, resized_width = sides
    source = np.random.default_rng(0).integers(0, 2, (height, width, 3)).astype(np.uint8) * 255
    rows = resize_lines(height, resized_height, interpolation)
    columns = resize_lines(width, resized_width, interpolation)
    if rows_first(*sides):
        result = weigh(weigh(source, rows).swapaxes(0, 1), columns).swapaxes(0, 1)
    else:
        result = weigh(weigh(source.swapaxes(0, 1), columns).swapaxes(0, 1), rows)
    resized = Image.fromarray(source).resize(
        (resized_width, resized_height), FILTERS[interpolation]
    )
    np.testing.assert_array_equal(result, np.asarray(resized))


def test_panoramas_are_resized_horizontally_first():
    assert not rows_first(512, 1024, 224, 448)
    assert not rows_first(512, 1024, 112, 224)
    assert not rows_first(512, 512, 224, 224)


@pytest.mark.parametrize("extreme", [0, 255])
def test_black_and_white_stay(extreme):
    source = np.full((100, 1, 3), extreme, np.uint8)
    assert (weigh(source, resize_lines(100, 37)) == extreme).all()


@pytest.mark.parametrize("interpolation", FILTERS)
def test_sums_fit_in_int32(interpolation):
    """Int32 sums on the device are exact only if no image can overflow them."""
    lengths = [1, 2, 3, 5, 9, 31, 224, 501, 1024, 16384, 40000]
    for length in lengths:
        for resized in (1, 2, 7, 32, 224, 336, 1000):
            weights = resize_lines(length, resized, interpolation).weights.astype(np.int64)
            largest = 255 * np.abs(weights).sum(axis=1).max() + (1 << 21)
            assert largest < 1 << 31, (length, resized)


def test_number_of_taps_depends_on_the_lengths_only():
    assert resize_lines(1024, 448).weights.shape == (448, 11)
    assert resize_lines(1024, 448, "bilinear").weights.shape == (448, 7)
    assert resize_lines(100, 100).weights.shape == (100, 1)


@pytest.mark.parametrize("taps", [1, 7, FUSED_TAPS, FUSED_TAPS + 1, 45])
def test_device_sums_are_exact(taps):
    rng = np.random.default_rng(taps)
    source = rng.integers(0, 256, (60, 2, 5, 3), np.uint8)
    starts = rng.integers(0, 60, 37).astype(np.int32)
    weights = rng.integers(-(1 << 22), 1 << 22, (37, taps)).astype(np.int32) // max(1, taps // 2)
    lines = Lines(starts, weights)
    result = unpack_pixels(resample_lines(pack_pixels(jnp.asarray(source)), lines))
    expected = weigh(source, lines)
    assert 0 < (expected == 0).mean() < 1
    np.testing.assert_array_equal(np.asarray(result), expected)


def test_lines_run_around_the_circle():
    source = np.arange(30, dtype=np.uint8).reshape(10, 1, 3)
    around = Lines(np.array([8], np.int32), np.array([[0, 0, 0, 1 << 22]], np.int32))
    result = unpack_pixels(resample_lines(pack_pixels(jnp.asarray(source)), around))
    np.testing.assert_array_equal(np.asarray(result), source[1:2])


def test_packing_round_trip():
    pixels = np.random.default_rng(0).integers(0, 256, (3, 4, 3), np.uint8)
    words = pack_pixels(jnp.asarray(pixels))
    assert words.shape == (3, 4) and words.dtype == jnp.uint32
    np.testing.assert_array_equal(np.asarray(unpack_pixels(words)), pixels)


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="axis of 0 pixels to 5"):
        resize_lines(0, 5)
    with pytest.raises(ValueError, match="axis of 5 pixels to 0"):
        resize_lines(5, 0)
