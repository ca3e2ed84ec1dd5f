import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jclip.demo.scenes import SPLITS, Scene, sample_camera, sample_scene, scene_key
from jclip.demo.vocabulary import CLASSES, COLOURS, MATERIALS, PATTERNS, TRANSPARENCIES
from jclip.errors import InputError

COUNT = 2000


@pytest.fixture(scope="module")
def keys():
    return jax.vmap(lambda index: scene_key(5, "train", index))(jnp.arange(COUNT))


@pytest.fixture(scope="module")
def scenes(keys) -> Scene:
    return jax.device_get(jax.jit(jax.vmap(sample_scene))(keys))


def test_the_same_key_gives_the_same_scene(scenes):
    again = sample_scene(scene_key(5, "train", 17))
    for field in dataclasses.fields(Scene):
        one, many = getattr(again, field.name), getattr(scenes, field.name)[17]
        np.testing.assert_allclose(one, many, rtol=1e-5)


def test_no_two_splits_share_a_key():
    indices = jnp.arange(COUNT)
    data = [
        jax.random.key_data(jax.vmap(lambda i, split=split: scene_key(5, split, i))(indices))
        for split in SPLITS
    ]
    assert len(np.unique(np.concatenate(data), axis=0)) == 3 * COUNT


def test_an_unknown_split_is_named():
    with pytest.raises(InputError, match="'valid'"):
        scene_key(0, "valid", 3)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("shape", CLASSES),
        ("colour", COLOURS),
        ("material", MATERIALS),
        ("pattern", PATTERNS),
        ("transparency", TRANSPARENCIES),
    ],
)
def test_every_word_occurs(scenes, name, words):
    counts = np.bincount(getattr(scenes, name)[scenes.present], minlength=len(words))
    assert len(counts) == len(words)
    # Half of all objects are plain, half are opaque.
    halved = name in ("pattern", "transparency")
    expected = np.full(len(words), 1 / len(words))
    if halved:
        expected = np.array([0.5, *[0.5 / (len(words) - 1)] * (len(words) - 1)])
    assert np.all(counts > 0.6 * expected * counts.sum())


def test_one_to_five_objects_stand_apart_and_all_around(scenes):
    count = scenes.present.sum(axis=1)
    assert set(count) == {1, 2, 3, 4, 5}
    for number, yaws in zip(count, scenes.yaw, strict=True):
        kept = np.append(yaws[:number], yaws[0] + 2 * np.pi)
        assert np.diff(kept).min() > np.deg2rad(37.9)
    absolute = np.mod(scenes.yaw + scenes.heading[:, None], 2 * np.pi)[scenes.present]
    quarters = np.histogram(absolute, 4, (0, 2 * np.pi))[0]
    assert quarters.min() > 0.22 * quarters.sum()


def test_a_camera_has_an_object_in_its_frame(keys, scenes):
    cameras = jax.vmap(lambda key, scene: sample_camera(jax.random.fold_in(key, 1), scene))(
        keys, scenes
    )
    yaws = np.rad2deg(scenes.yaw + scenes.heading[:, None])
    aside = np.abs(np.mod(yaws - np.asarray(cameras.yaw)[:, None] + 180, 360) - 180)
    nearest = np.where(scenes.present, aside, 360).min(axis=1)
    assert np.all(nearest <= np.asarray(cameras.field_of_view) / 4 + 0.01)
