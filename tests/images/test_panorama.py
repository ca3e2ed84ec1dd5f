import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jclip.errors import InputError
from jclip.images import (
    circular_shift,
    flip,
    plan_chunks,
    plan_views,
    shift_views,
)

# Every entry compiles a program, so there are few: even and odd sizes, growing and shrinking,
# single pixels, other aspect ratios than 2:1, many and few taps, both orders of the passes, an axis
# that keeps its length.
SETTINGS = [
    (9, 18, 31, "crop", "bilinear"),
    (50, 31, 17, "crop", "bicubic"),
    (1, 1, 5, "crop", "bicubic"),
    (150, 301, 23, "squash", "bicubic"),
    (60, 30, 28, "squash", "bicubic"),
    (33, 70, 21, "pad", "bicubic"),
    (33, 71, 20, "tiles", "bicubic"),
    (20, 20, 20, "tiles", "bilinear"),
]


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("setting", SETTINGS)
@settings(max_examples=4, deadline=None)
@given(
    shifts=st.lists(st.integers(-400, 400), min_size=3, max_size=3),
    seed=st.integers(0, 5),
)
def test_views_equal_pillow_on_the_rolled_panorama(pillow_views, setting, shifts, seed):
    height, width, size, fit, interpolation = setting
    panorama = noise(height, width, 3, seed=seed)
    plan = plan_views(height, width, shifts, size, fit, interpolation)
    result = np.asarray(shift_views(jnp.asarray(panorama[None]), plan, size, fit)[0])
    np.testing.assert_array_equal(result, pillow_views(panorama, shifts, size, fit, interpolation))


@pytest.mark.parametrize("fit", ["crop", "squash", "pad", "tiles"])
def test_the_papers_shifts_at_the_papers_size(pillow_views, fit):
    """Two panoramas at once, eight shifts, and saturated squares that make the kernel overshoot."""
    panoramas = np.where(noise(2, 16, 32, 3) > 127, 255, 0).astype(np.uint8)
    panoramas = panoramas.repeat(16, axis=1).repeat(16, axis=2)
    shifts = [k * 512 // 8 for k in range(8)]
    result = shift_views(jnp.asarray(panoramas), plan_views(256, 512, shifts, 224, fit), 224, fit)
    assert result.shape == (2, 8, 2 if fit == "tiles" else 1, 224, 224, 3)
    for views, panorama in zip(np.asarray(result), panoramas, strict=True):
        np.testing.assert_array_equal(views, pillow_views(panorama, shifts, 224, fit))


@pytest.mark.parametrize(("width", "size"), [(512, 224), (1024, 224), (2048, 336)])
def test_whole_pixel_shifts_share_one_resized_panorama(width, size):
    whole = plan_views(width // 2, width, [k * width // 8 for k in range(8)], size)
    assert len(np.unique(whole.picks)) == 2 * size
    fractional = plan_views(width // 2, width, [k * width // 8 + k % 3 for k in range(8)], size)
    assert len(np.unique(fractional.picks)) > 2 * size


def test_other_shifts_do_not_recompile():
    views = jax.jit(lambda panoramas, plan: shift_views(panoramas, plan, 16))
    panoramas = jnp.asarray(noise(1, 32, 64, 3))
    for shifts in ([0, 8, 16, 24], [0, 16, 32, 48], [-8, 5 * 8, 24, 56]):
        views(panoramas, plan_views(32, 64, shifts, 16))
    assert views._cache_size() == 1
    views(panoramas, plan_views(32, 64, [0, 8], 16))
    assert views._cache_size() == 2


def test_random_shifts_compile_a_bounded_number_of_programs():
    rng = np.random.default_rng(0)
    widths = {
        len(plan_views(256, 512, rng.integers(0, 512, 8).tolist(), 224).columns.starts)
        for _ in range(50)
    }
    assert len(widths) <= 4


def test_chunks_of_a_long_list_share_one_program(pillow_views):
    views = jax.jit(lambda panoramas, plan: shift_views(panoramas, plan, 14))
    panorama = noise(20, 50, 3)
    shifts = list(range(45))
    plans = plan_chunks(20, 50, shifts, 14, chunk=8)
    parts = [np.asarray(views(jnp.asarray(panorama[None]), plan)[0]) for plan in plans]
    assert views._cache_size() == 1
    result = np.concatenate(parts)[: len(shifts)]
    np.testing.assert_array_equal(result, pillow_views(panorama, shifts, 14))


def test_all_chunks_are_as_wide_as_the_widest():
    # Whole columns first, which eight shifts share; then shifts that share none.
    shifts = [*(64 * k for k in range(8)), 1, 13, 27, 39, 51, 77, 103, 211]
    for order in (shifts, shifts[::-1]):
        alone = [plan_views(256, 512, order[at : at + 8], 224) for at in (0, 8)]
        widths = [len(plan.columns.starts) for plan in alone]
        assert widths[0] != widths[1]
        plans = plan_chunks(256, 512, order, 224, 8)
        assert [len(plan.columns.starts) for plan in plans] == [max(widths)] * 2
        for plan, one in zip(plans, alone, strict=True):
            np.testing.assert_array_equal(plan.picks, one.picks)


def test_one_plan_per_panorama_under_vmap(pillow_views):
    panoramas = noise(2, 20, 40, 3)
    plans = plan_chunks(20, 40, [3, 17], 14, chunk=1)
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *plans)
    result = jax.vmap(lambda image, plan: shift_views(image[None], plan, 14)[0])(
        jnp.asarray(panoramas), stacked
    )
    expected = [pillow_views(panoramas[0], [3], 14), pillow_views(panoramas[1], [17], 14)]
    np.testing.assert_array_equal(np.asarray(result), np.stack(expected))


def test_memory_stays_bounded_for_a_large_panorama():
    """Compiled, not run: temporaries are a few copies of the panorama and not one per tap."""
    plan = plan_views(8192, 16384, [k * 2048 for k in range(8)], 224)
    panorama = jax.ShapeDtypeStruct((1, 8192, 16384, 3), jnp.uint8)
    compiled = jax.jit(shift_views, static_argnames="size").lower(panorama, plan, 224).compile()
    memory = compiled.memory_analysis()
    assert memory.temp_size_in_bytes < 3 * 4 * 8192 * 16384


@pytest.mark.parametrize(
    ("width", "size", "fit"), [(65, 16, "crop"), (64, 17, "crop"), (64, 16, "squash")]
)
def test_a_plan_for_something_else_is_refused(width, size, fit):
    with pytest.raises(ValueError, match=r"plan is for .* \(32, 64, 16, 'crop'\)"):
        shift_views(jnp.asarray(noise(1, 32, width, 3)), plan_views(32, 64, [0], 16), size, fit)


def test_impossible_plans_are_refused():
    with pytest.raises(InputError, match="tiles"):
        plan_views(32, 31, [0], 16, "tiles")
    with pytest.raises(ValueError, match="no shifts"):
        plan_views(32, 64, [], 16)
    with pytest.raises(ValueError, match="chunks of 0"):
        plan_chunks(32, 64, [0], 16, chunk=0)


@given(shift=st.integers(-200, 200))
@settings(max_examples=20, deadline=None)
def test_circular_shift_is_roll(shift):
    panoramas = noise(2, 3, 50, 3)
    expected = np.roll(panoramas, shift, axis=2)
    np.testing.assert_array_equal(
        np.asarray(circular_shift(jnp.asarray(panoramas), shift)), expected
    )
    traced = jax.jit(circular_shift)(jnp.asarray(panoramas), jnp.asarray(shift))
    np.testing.assert_array_equal(np.asarray(traced), expected)


def test_positive_shifts_move_content_right():
    panorama = jnp.arange(5, dtype=jnp.uint8).reshape(1, 5, 1)
    assert circular_shift(panorama, 1)[0, :, 0].tolist() == [4, 0, 1, 2, 3]


def test_flip_mirrors_left_and_right():
    panorama = noise(4, 6, 3)
    np.testing.assert_array_equal(np.asarray(flip(jnp.asarray(panorama))), panorama[:, ::-1])
