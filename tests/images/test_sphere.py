import importlib.resources
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from jclip.demo.rendering import render_panorama, render_photo
from jclip.demo.scenes import Camera, sample_scene, scene_key
from jclip.errors import InputError
from jclip.images import circular_shift
from jclip.images.sphere import CUBE, SphereView, plan_sphere, ring, sphere_views, tangent

GOLDEN = Path(__file__).parents[1] / "golden" / "panorama"


@pytest.fixture(scope="module")
def truth():
    return dict(np.load(GOLDEN / "truth.npz"))


def rays(height, width):
    latitude = np.radians(90 - (np.arange(height) + 0.5) / height * 180)[:, None]
    longitude = np.radians((np.arange(width) + 0.5) / width * 360 - 180)[None, :]
    x, z = np.cos(latitude) * np.sin(longitude), np.cos(latitude) * np.cos(longitude)
    return np.stack([x, np.sin(latitude) + 0 * longitude, z], axis=-1)


def scene(truth, kind):
    """The panorama of a golden's formula, 512 x 256, rounded."""
    ray = rays(256, 512)
    if kind == "smooth":
        x, y, z = np.moveaxis(ray, -1, 0)
        terms = (x**0, x, y, z, x * y, y * z, x * z, x**2 - z**2, 3 * y**2 - 1)
        levels = 127.5 + 110 * np.stack(terms, axis=-1) @ truth["smooth_coefficients"].T
    else:
        phase = np.einsum("hwk,cmk->hwcm", ray, truth[f"{kind}_vectors"])
        levels = 127.5 + 120 * np.cos(phase + truth[f"{kind}_phases"]).mean(axis=-1)
    return np.floor(levels + 0.5).astype(np.uint8)


def one_view(panorama, view, size, samples=1):
    plan = plan_sphere(*panorama.shape[:2], [view], size, samples)
    return np.asarray(sphere_views(panorama[None], plan))[0, 0].astype(float)


# Bilinear interpolation and 8 bits of the panorama leave the rest; a view's own rounding adds half
# a level at most, and on average a quarter where nothing else is wrong.
@pytest.mark.parametrize(("kind", "mean", "most"), [("smooth", 0.25, 0.75), ("waves", 0.7, 3.5)])
def test_views_of_exact_scenes_at_every_angle(truth, kind, mean, most):
    panorama = scene(truth, kind)
    for number, (*angles, height, width) in enumerate(truth["views"]):
        seen = one_view(panorama, SphereView(*angles), (int(height), int(width)))
        exact = truth[f"{kind}_{number:02d}"] / 256
        assert np.abs(seen - exact).max() < most + 0.5
        assert np.abs(seen - np.floor(exact + 0.5)).mean() < mean


def test_samples_average_what_a_pixel_covers(truth):
    panorama = scene(truth, "fine")
    for number, (*angles, height, width) in enumerate(truth["views"]):
        seen = one_view(panorama, SphereView(*angles), (int(height), int(width)), 4)
        assert np.abs(seen - truth[f"fine_area_{number:02d}"] / 256).mean() < 3.5


@pytest.mark.parametrize("name", ["city", "venice"])
def test_views_of_photographs_equal_py360convert_on_its_rays(name):
    golden = np.load(GOLDEN / "py360convert.npz")
    samples = importlib.resources.files("jclip") / "data" / "samples"
    with (samples / f"{name}.jpg").open("rb") as file:
        panorama = np.asarray(Image.open(file))

    def on_the_edge(fov, size):
        return math.degrees(2 * math.atan(math.tan(math.radians(fov) / 2) * size / (size - 1)))

    pairs = [
        (SphereView(*angles, on_the_edge(fov, 48)), golden[f"e2p_{name}_{number}"])
        for number, (*angles, fov) in enumerate(golden["views"])
    ]
    for face, camera in zip("FRBLUD", CUBE, strict=True):
        edge = SphereView(camera.yaw, camera.pitch, camera.roll, on_the_edge(90, 32))
        pairs.append((edge, golden[f"e2c_{name}_{face}"]))
    for view, expected in pairs:
        apart = np.abs(one_view(panorama, view, len(expected)) - expected)
        assert apart.mean() < 0.6
        assert apart.max() <= 7


@pytest.mark.parametrize("samples", [1, 4])
def test_no_jump_where_the_panorama_closes(samples):
    """A ramp that is smooth over its left and right border; its rows differ, to average steps."""
    columns, rows = (np.arange(1024) + 512) % 1024, np.arange(512)[:, None]
    ramp = np.clip(columns * 4.0 - 1920 + rows * 1.37 - 351, 0, 255)[..., None].repeat(3, axis=2)
    view = one_view(np.floor(ramp + 0.5).astype(np.uint8), SphereView(180.0), 448, samples)
    jumps = np.diff(view[192:256, :, 0].mean(axis=0))
    assert jumps[223] > 2.5
    assert abs(jumps[223] - jumps[[220, 221, 222, 224, 225, 226]].mean()) < 0.2


def test_no_hole_at_the_poles():
    """What is smooth on the sphere is smooth where the rows of a panorama end."""
    height = np.floor(127.5 + 120 * rays(64, 128)[..., :1] + 0.5).repeat(3, axis=2)
    for pitch in (90.0, -90.0):
        view = one_view(height.astype(np.uint8), SphereView(0.0, pitch, 0.0, 20.0), 65)[:, :, 0]
        across = np.linspace(-1, 1, 65) * 64 / 65 * math.tan(math.radians(10))
        away = np.sqrt(1 + across[:, None] ** 2 + across**2)
        # Bilinear interpolation cuts a corner of half a row at the pole itself.
        assert np.abs(view - 127.5 - 120 * across / away).max() < 1.2


@settings(max_examples=6, deadline=None)
@given(
    column=st.integers(-64, 64),
    pitch=st.floats(-90, 90),
    roll=st.floats(-180, 180),
    seed=st.integers(0, 3),
)
def test_yaw_is_a_shift_back(column, pitch, roll, seed):
    noise = np.random.default_rng(seed).integers(0, 256, (1, 32, 64, 3), np.uint8)
    turned = SphereView(column * 360 / 64, pitch, roll)
    straight = SphereView(0.0, pitch, roll)
    shifted = circular_shift(jnp.asarray(noise), -column)
    np.testing.assert_array_equal(
        sphere_views(noise, plan_sphere(32, 64, [turned], 20)),
        sphere_views(shifted, plan_sphere(32, 64, [straight], 20)),
    )


def test_a_batch_of_panoramas_and_views_is_what_each_is_alone():
    noise = np.random.default_rng(0).integers(0, 256, (3, 32, 64, 3), np.uint8)
    views = [*ring(3), SphereView(20.0, 40.0, 10.0, 60.0)]
    together = np.asarray(sphere_views(noise, plan_sphere(32, 64, views, (8, 12), 2)))
    assert together.shape == (3, 4, 8, 12, 3)
    for panorama, seen in zip(noise, together, strict=True):
        for view, expected in zip(views, seen, strict=True):
            np.testing.assert_array_equal(one_view(panorama, view, (8, 12), 2), expected)


def test_other_angles_do_not_recompile():
    noise = np.zeros((1, 32, 64, 3), np.uint8)
    views = jax.jit(lambda panoramas, plan: sphere_views(panoramas, plan))
    for cameras in (ring(4), ring(4, 30.0, 60.0), tangent(9)[:4]):
        views(noise, plan_sphere(32, 64, cameras, 8, 2))
    assert views._cache_size() == 1


def test_the_extremes_stay_within_their_levels():
    """The sums of the most samples still fit their words."""
    noise = np.full((1, 4, 8, 3), 255, np.uint8)
    for level in (0, 255):
        seen = sphere_views(noise & np.uint8(level), plan_sphere(4, 8, CUBE, 3, 16))
        assert np.asarray(seen).min() == np.asarray(seen).max() == level


def test_the_demo_worlds_own_camera_sees_the_same():
    draw = jax.jit(lambda index: sample_scene(scene_key(3, "test", index)))
    panorama_of = jax.jit(lambda world: render_panorama(world, 512))
    photo_of = jax.jit(lambda world, camera: render_photo(world, camera, 64))
    for index, angles in enumerate(((0.0, 0.0), (150.0, 12.0), (-95.0, -15.0))):
        world = draw(index)
        photo = np.asarray(photo_of(world, Camera(*angles, 70.0))).astype(float)
        seen = one_view(np.asarray(panorama_of(world)), SphereView(*angles, 0.0, 70.0), 64, 4)
        apart = np.abs(seen - photo).mean(axis=2)
        # A pixel that holds an edge is drawn from four rays here, from sixteen samples there.
        steps = [np.abs(np.diff(photo, axis=axis, append=0)).max(axis=2) for axis in (0, 1)]
        away = np.maximum(*steps) < 12
        assert away.mean() > 0.5
        assert apart[away].mean() < 2


def test_tangent_views_cover_the_sphere():
    everywhere = rays(40, 80).reshape(-1, 3)
    for count in (6, 20, 33):
        views = tangent(count)
        angles = np.radians([(view.yaw, view.pitch) for view in views])
        level = np.cos(angles[:, 1])
        axes = (level * np.sin(angles[:, 0]), np.sin(angles[:, 1]), level * np.cos(angles[:, 0]))
        nearest = (everywhere @ np.stack(axes)).max(axis=1)
        assert np.degrees(np.arccos(nearest.min())) < views[0].fov / 2 + 1
    assert tangent(20)[0].fov < 75


@pytest.mark.parametrize(
    ("call", "error", "names"),
    [
        (lambda: plan_sphere(32, 60, CUBE, 8), InputError, "60 x 32"),
        (lambda: plan_sphere(32, 64, CUBE, 8, 17), InputError, "17 samples"),
        (lambda: plan_sphere(32, 64, [], 8), ValueError, "no views"),
        (lambda: plan_sphere(32, 64, [90.0], 8), TypeError, "views"),
        (lambda: plan_sphere(32, 64, CUBE, 8.5), TypeError, "size"),
        (lambda: SphereView(0.0, fov=180.0), InputError, "fov"),
        (lambda: SphereView(0.0, fov=0.0), InputError, "fov"),
        (lambda: SphereView(math.nan), InputError, "yaw"),
        (lambda: SphereView(0.0, math.inf), InputError, "pitch"),
        (lambda: SphereView("90"), TypeError, "yaw"),
        (lambda: tangent(5), InputError, "5 tangent views"),
        (lambda: ring(0), ValueError, "count"),
        (
            lambda: sphere_views(np.zeros((1, 16, 32, 3), np.uint8), plan_sphere(32, 64, CUBE, 8)),
            ValueError,
            "plan is for",
        ),
        (
            lambda: sphere_views(np.zeros((1, 32, 64, 3)), plan_sphere(32, 64, CUBE, 8)),
            TypeError,
            "panoramas",
        ),
    ],
)
def test_what_cannot_be_seen_is_refused_by_name(call, error, names):
    with pytest.raises(error, match=names):
        call()
