import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jclip.demo.rendering import (
    draw_many,
    object_boxes,
    object_places,
    render_panorama,
    render_photo,
)
from jclip.demo.scenes import Camera, sample_camera, sample_scene, scene_key

COUNT, HEIGHT, SIZE = 8, 128, 64
TURN = 37  # columns


def _turned(scenes, angle):
    """Everything about the viewer, to the right."""
    return dataclasses.replace(scenes, heading=scenes.heading + angle)


def _join(first, second):
    return jax.tree.map(lambda a, b: jnp.concatenate([a, b]), first, second)


@pytest.fixture(scope="module")
def world():
    def draw(index):
        key = scene_key(1, "test", index)
        scene = sample_scene(key)
        return scene, sample_camera(jax.random.fold_in(key, 1), scene)

    return jax.jit(jax.vmap(draw))(jnp.arange(COUNT))


@pytest.fixture(scope="module")
def panoramas(world):
    """Panoramas of the scenes, then of the scenes turned by `TURN` columns."""
    scenes, _ = world
    both = _join(scenes, _turned(scenes, 2 * np.pi * TURN / (2 * HEIGHT)))
    draw = jax.jit(lambda s: draw_many(lambda scene: render_panorama(scene, HEIGHT), s))
    return np.asarray(draw(both)), np.asarray(draw(both))


@pytest.fixture(scope="module")
def photos(world):
    draw = jax.jit(lambda *a: draw_many(lambda s, c: render_photo(s, c, SIZE), *a))
    return np.asarray(draw(*world))


@pytest.fixture(scope="module")
def boxes(world):
    def draw(scene, camera):
        return *object_boxes(scene, camera, SIZE), object_places(scene, camera, SIZE)

    return jax.device_get(jax.jit(lambda *a: draw_many(draw, *a))(*world))


def test_the_same_scene_gives_the_same_pixels(panoramas):
    first, again = panoramas
    assert first.shape == (2 * COUNT, HEIGHT, 2 * HEIGHT, 3)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, again)


def test_different_scenes_look_different(panoramas):
    pictures = panoramas[0][:COUNT].astype(int)
    differences = np.abs(pictures[:, None] - pictures[None]).mean(axis=(2, 3, 4))
    assert differences[~np.eye(COUNT, dtype=bool)].min() > 3


def test_turning_the_scene_shifts_the_panorama(panoramas):
    plain, turned = np.split(panoramas[0].astype(int), 2)
    differences = np.abs(np.roll(plain, TURN, axis=2) - turned).max(axis=-1)
    # Single precision moves a ray by 1e-7 of a turn: only pixels on an edge may notice.
    assert np.mean(differences > 1) < 1e-3
    assert np.abs(plain - turned).mean() > 5


def test_the_seam_is_as_smooth_as_the_rest(panoramas):
    plain = panoramas[0][:COUNT].astype(int)
    steps = np.abs(np.roll(plain, -1, axis=2) - plain).mean(axis=(1, 3))
    assert np.all(steps[:, -1] <= steps[:, :-1].max(axis=1))
    assert steps[:, -1].mean() < 2 * steps[:, :-1].mean()


def test_photo_and_panorama_agree_along_the_same_ray(world, panoramas, photos):
    _, cameras = world
    centres = (np.arange(SIZE) + 0.5) / SIZE * 2 - 1
    for index, photo in enumerate(photos):
        yaw, pitch, view = (np.deg2rad(float(angle[index])) for angle in cameras)
        x, y = np.meshgrid(centres * np.tan(view / 2), -centres * np.tan(view / 2))
        forward, up = np.cos(pitch) - y * np.sin(pitch), y * np.cos(pitch) + np.sin(pitch)
        column = (yaw + np.arctan2(x, forward)) / (2 * np.pi) + 0.5
        row = 0.5 - np.arctan2(up, np.hypot(x, forward)) / np.pi
        columns = np.floor(column * 2 * HEIGHT).astype(int) % (2 * HEIGHT)
        seen = panoramas[0][index][np.floor(row * HEIGHT).astype(int), columns]
        differences = np.abs(seen.astype(int) - photo).max(axis=-1)
        assert np.median(differences) <= 6
        assert np.mean(differences < 40) > 0.85


def test_boxes_hold_exactly_the_pixels_of_their_object(boxes):
    frames, fractions, places = boxes
    seen = 0
    for box, fraction, place in zip(frames, fractions, places, strict=True):
        for index in range(len(box)):
            rows, columns = np.nonzero(place == index)
            if not len(rows):
                assert not box[index].any()
                assert fraction[index] < 0.02
                continue
            left, top = columns.min(), rows.min()
            expected = [left, top, columns.max() + 1 - left, rows.max() + 1 - top]
            np.testing.assert_array_equal(box[index], expected)
            seen += 1
    assert seen >= COUNT


def test_visible_fraction_is_one_in_front_and_zero_behind():
    scene = sample_scene(scene_key(2, "train", 0))
    alone = dataclasses.replace(
        scene, present=jnp.arange(5) < 1, distance=jnp.full(5, 2.9), size=jnp.full(5, 0.7)
    )
    yaw = jnp.rad2deg(alone.yaw[0] + alone.heading)
    fraction = jax.jit(lambda *camera: object_boxes(alone, Camera(*camera), 32)[1])
    front = fraction(yaw, -10.0, 80.0)
    edge = fraction(yaw + 40.0, -10.0, 80.0)
    behind = fraction(yaw + 180.0, -10.0, 80.0)
    assert front[0] == 1.0
    assert 0.35 < edge[0] < 0.65
    assert behind[0] == 0.0
    assert not np.asarray(front[1:]).any()
