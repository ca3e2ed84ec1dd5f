"""NaFlex: images of every shape, as transformers' processor and network take them."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from jclip.checkpoints import load_checkpoint
from jclip.errors import InputError
from jclip.images import Patches, normalise, place, plan_views, shift_views
from jclip.images.boxes import fit_square
from jclip.images.geometry import native_grid
from jclip.models.positions import resized_positions

GOLDEN = Path(__file__).parents[1] / "golden"
PICTURES = GOLDEN / "tower_pictures"
HALF = (0.5, 0.5, 0.5)


@pytest.fixture(scope="module")
def naflex():
    return load_checkpoint(GOLDEN / "siglip2_naflex")


@pytest.fixture(scope="module")
def arrays():
    return dict(np.load(GOLDEN / "siglip2_naflex" / "expected.npz"))


def jitted(clip, function, *arrays):
    graph, state = nnx.split(clip)
    return jax.jit(lambda state, *x: function(nnx.merge(graph, state), *x))(state, *arrays)


def deviation(actual, wanted):
    return np.abs(np.asarray(actual) - np.asarray(wanted)).max()


def test_grid_is_that_of_the_processor(arrays):
    for height, width, budget, *wanted in arrays["grid_rule_height_width_budget_rows_columns"]:
        assert native_grid(int(height), int(width), Patches(16, int(budget))) == tuple(wanted)


@given(height=st.integers(1, 3000), width=st.integers(1, 3000), budget=st.integers(1, 1024))
@settings(max_examples=100, deadline=None)
def test_grid_stays_within_the_budget(height, width, budget):
    rows, columns = native_grid(height, width, Patches(16, budget))
    assert rows * columns <= budget
    assert min(rows, columns) >= 1


@pytest.mark.parametrize("budget", [64, 128, 20])
def test_padded_batches_of_many_shapes(naflex, arrays, budget):
    patches, shapes = arrays[f"budget{budget}_pixels"], arrays[f"budget{budget}_spatial_shapes"]
    ids = arrays["input_ids"].astype(np.int32)

    def every(clip, patches, shapes, ids):
        image, kept = clip.encode_patches(patches, shapes, return_intermediates=True)
        return image, clip.image_tower.post_norm(kept["blocks"][-1]), clip.encode_text(ids)

    image, hidden, text = jitted(naflex.clip, every, patches, shapes.astype(np.int32), ids)
    there = arrays[f"budget{budget}_pixel_attention_mask"].astype(bool)
    wanted = arrays[f"budget{budget}_vision_last_hidden"]
    assert deviation(image, arrays[f"budget{budget}_image_embeds"]) < 1e-5
    assert deviation(text, arrays["text_embeds"]) < 1e-5
    assert deviation(np.asarray(hidden)[there], wanted[there]) < 1e-4


@pytest.mark.parametrize("budget", [64, 20])
def test_pictures_by_themselves(naflex, arrays, budget):
    shapes = arrays[f"budget{budget}_spatial_shapes"]
    for row, picture in enumerate(arrays[f"budget{budget}_pictures"]):
        image = np.asarray(Image.open(PICTURES / str(picture)).convert("RGB"))
        fitted = fit_square(image, Patches(16, budget), "native", "bilinear")
        pixels = np.asarray(normalise(jnp.asarray(fitted[None]), HALF, HALF))
        rows, columns = shapes[row]
        patches = pixels.reshape(rows, 16, columns, 48).swapaxes(1, 2).reshape(-1, 768)
        # Pillow's filter: not a level off.
        assert deviation(patches, arrays[f"budget{budget}_pixels"][row, : rows * columns]) < 1e-6
        alone = jitted(naflex.clip, lambda clip, x: clip.encode_image(x), pixels)
        assert deviation(alone, arrays[f"budget{budget}_image_embeds"][row]) < 1e-5


def test_its_own_preparation(naflex):
    config = naflex.image_config
    assert (config.fit, config.size, config.interpolation) == (
        "native",
        Patches(16, 64),
        "bilinear",
    )
    assert config.mean == config.std == HALF
    # Other fits take the largest square of the budget.
    assert place(100, 300, config.size, "squash").shape == (128, 128)


def test_shifts_of_a_panorama_in_one_program(naflex):
    panorama = np.asarray(Image.open(PICTURES / "picture_panorama.png").convert("RGB"))
    size, width = Patches(16, 128), panorama.shape[1]
    shifts = [k * width // 8 for k in range(8)]
    plan = plan_views(*panorama.shape[:2], shifts, size, "native", "bilinear")
    views = np.asarray(shift_views(panorama[None], plan, size, "native"))[0, :, 0]
    # 8 x 16 patches: an eighth of a turn is exactly two of them.
    assert views.shape == (8, 128, 256, 3)
    for shift, view in zip(shifts, views, strict=True):
        rolled = np.roll(panorama, shift, axis=1)
        assert (view == fit_square(rolled, size, "native", "bilinear")).all()
    assert (views[1] == np.roll(views[0], 32, axis=1)).all()


def test_positions_are_resized_as_jax_does_it():
    table = np.random.default_rng(0).standard_normal((64, 5)).astype(np.float32)
    for rows, columns in ((5, 10), (8, 8), (16, 3), (1, 1), (2, 30)):
        shapes = jnp.array([[rows, columns]])
        found = resized_positions(jnp.asarray(table), shapes, rows * columns + 2)[0]
        wanted = jax.image.resize(
            table.reshape(8, 8, 5), (rows, columns, 5), "bilinear", antialias=True
        )
        assert deviation(found[: rows * columns], wanted.reshape(-1, 5)) < 1e-6
        assert np.isfinite(found).all()


def test_what_native_cannot_fit_is_refused():
    with pytest.raises(InputError, match="fit 'native' is for towers that take every shape"):
        place(100, 200, 224, "native")
    with pytest.raises(InputError, match=r"1000 x 10 pixels is too narrow .* with 16 patches"):
        place(10, 1000, Patches(16, 16), "native")
    with pytest.raises(ValueError, match="cannot fit 0 x 5 pixels"):
        place(0, 5, Patches(16, 16), "native")
