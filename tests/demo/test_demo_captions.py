import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jclip.demo.captions import (
    EARLY_STYLE,
    PANORAMA_WORDS,
    PHOTO_WORDS,
    STYLE,
    VISIBLE_ENOUGH,
    ObjectWords,
    describe,
    describe_object,
    object_words,
)
from jclip.demo.scenes import Camera, sample_scene, scene_key
from jclip.demo.vocabulary import ATTRIBUTES, BACKDROPS, CLASSES, GROUNDS, SKIES

ALWAYS, NEVER = (
    dataclasses.replace(EARLY_STYLE, attributes=dict.fromkeys(ATTRIBUTES, often))
    for often in (1.0, 0.0)
)
COUNTS = {"a": 1, "an": 1, "two": 2, "three": 3, "four": 4, "five": 5}
SKY_WORDS = {"clear": "clear", "cloudy": "cloudy", "sunset": "sunset", "night": "night",
             "overcast": "overcast"}  # fmt: skip
GROUND_WORDS = {
    "grass": ("on grass", "grassy field"),
    "sand": ("on sand", "sandy desert"),
    "snow": ("on snow", "snowy field"),
    "water": ("on water", "a lake"),
    "tiles": ("on tiles", "tiled floor"),
}


@pytest.fixture(scope="module")
def scenes():
    keys = jax.vmap(lambda index: scene_key(3, "train", index))(jnp.arange(200))
    many = jax.device_get(jax.jit(jax.vmap(sample_scene))(keys))
    return [jax.tree.map(lambda leaf, i=i: leaf[i], many) for i in range(200)]


def _named(caption: str) -> dict[str, int]:
    """How many objects of each class a caption names."""
    counts = dict.fromkeys(CLASSES, 0)
    for count, shape in re.findall(
        rf"\b(an?|two|three|four|five)\b(?: [a-z]+)*? ({'|'.join(CLASSES)})s?\b", caption
    ):
        counts[shape] += COUNTS[count]
    return counts


def _assert_true(caption, scene, places):
    shapes = [CLASSES[scene.shape[place]] for place in places]
    for shape, count in _named(caption).items():
        assert count <= shapes.count(shape), caption
    tokens = set(re.findall(r"[a-z]+", caption))
    words = {word for place in places for word in object_words(scene, place)}
    for values in ATTRIBUTES.values():
        assert tokens & set(values) <= words, caption
    for word in SKIES:
        assert SKY_WORDS[word] not in tokens or word == SKIES[scene.sky], caption
    for word in GROUNDS:
        named = any(phrase in caption for phrase in GROUND_WORDS[word])
        assert not named or word == GROUNDS[scene.ground], caption
    for word in BACKDROPS:
        assert word not in tokens or word == BACKDROPS[scene.backdrop], caption


@pytest.mark.parametrize("style", [ALWAYS, NEVER, STYLE])
def test_a_panorama_caption_names_only_what_is_there(scenes, style):
    for index, scene in enumerate(scenes):
        caption = describe(scene, np.random.default_rng(index), style=style)
        _assert_true(caption, scene, np.flatnonzero(scene.present))
        assert sum(_named(caption).values()) >= 1
        assert caption.startswith(PANORAMA_WORDS)


def test_a_photo_caption_names_only_what_is_visible(scenes):
    for index, scene in enumerate(scenes):
        rng = np.random.default_rng(index)
        visible = (scene.present * rng.random(5)).astype(np.float32)
        camera = Camera(rng.uniform(-180, 180), rng.uniform(-60, 60), 60.0)
        caption = describe(scene, rng, "photo", camera=camera, visible=visible)
        _assert_true(caption, scene, np.flatnonzero(visible >= VISIBLE_ENOUGH))
        assert caption.startswith(PHOTO_WORDS)
        if camera.pitch > 40:
            assert not any(phrase in caption for phrases in GROUND_WORDS.values()
                           for phrase in phrases)  # fmt: skip
        if camera.pitch < -40:
            assert SKY_WORDS[SKIES[scene.sky]] not in caption


def test_captions_repeat_and_vary(scenes):
    first = [describe(scene, np.random.default_rng(7)) for scene in scenes]
    assert first == [describe(scene, np.random.default_rng(7)) for scene in scenes]
    assert first != [describe(scene, np.random.default_rng(8)) for scene in scenes]
    assert len(set(first)) > 0.95 * len(scenes)


def test_without_a_view_there_is_no_format_word(scenes):
    for scene in scenes[:50]:
        caption = describe(scene, np.random.default_rng(0), "none")
        assert not re.search("360|panorama|view|photo|image|picture", caption)


def test_the_probability_decides_how_many_attributes_are_named(scenes):
    def share(probability):
        named, objects = 0, 0
        for index, scene in enumerate(scenes):
            rng = np.random.default_rng(index)
            chosen = NEVER.attributes | {"colour": probability}
            style = dataclasses.replace(NEVER, attributes=chosen)
            caption = describe(scene, rng, style=style)
            named += sum(word in ATTRIBUTES["colour"] for word in re.findall("[a-z]+", caption))
            objects += sum(_named(caption).values())
        return named / objects

    assert share(0.0) == 0.0
    assert abs(share(0.3) - 0.3) < 0.07


def test_equal_objects_are_counted_and_ordered_from_left_to_right(scenes):
    scene = next(scene for scene in scenes if scene.present.sum() == 3)
    captions = {
        describe(
            scene_with(scene, shape=[0, 1, 0, 0, 0]),
            np.random.default_rng(seed),
            style=NEVER,
        )
        for seed in range(40)
    }
    assert any("two balls and a cube" in caption for caption in captions)
    # Yaws -120, 0 and 120 degrees: ring, cone, cube from left to right.
    yaw = np.deg2rad([0.0, 120.0, 240.0, 0.0, 0.0]).astype(np.float32)
    ordered = scene_with(scene, shape=[3, 1, 4, 0, 0], yaw=yaw, heading=np.float32(0))
    texts = [describe(ordered, np.random.default_rng(seed), style=NEVER) for seed in range(60)]
    count = sum("a ring, a cone and a cube" in text for text in texts)
    assert count > 15


def scene_with(scene, **changes):
    from dataclasses import replace

    return replace(scene, **{name: np.asarray(value) for name, value in changes.items()})


def test_object_captions():
    words = ObjectWords("cube", "opaque", "red", "striped", "metal")
    assert describe_object(words, ("material", "colour", "pattern")) == "A red striped metal cube."
    assert describe_object(words) == "An opaque red striped metal cube."
    assert describe_object(words, ()) == "A cube."
    assert describe_object(words._replace(colour="orange"), ["colour"]) == "An orange cube."
    with pytest.raises(ValueError, match="color"):
        describe_object(words, ["color"])


def test_views_need_the_right_arguments(scenes):
    rng, visible = np.random.default_rng(0), np.ones(5, np.float32)
    camera = Camera(0.0, 0.0, 60.0)
    with pytest.raises(ValueError, match="photo needs a camera"):
        describe(scenes[0], rng, "photo")
    with pytest.raises(ValueError, match="panorama has none"):
        describe(scenes[0], rng, "panorama", camera=camera, visible=visible)
    with pytest.raises(ValueError, match="go together"):
        describe(scenes[0], rng, "none", camera=camera)
    with pytest.raises(ValueError, match="a style's attributes are exactly"):
        describe(scenes[0], rng, style=dataclasses.replace(STYLE, attributes={"colour": 0.5}))


def test_panoramas_are_named_by_what_is_in_their_middle(scenes):
    named, present = {True: 0, False: 0}, {True: 0, False: 0}
    for index, scene in enumerate(scenes):
        for place in np.flatnonzero(scene.present):
            alone = scene_with(scene, present=np.arange(5) < 2, shape=[0, 1, 1, 1, 1])
            yaws = np.array([scene.yaw[place], scene.yaw[place] + np.pi, 0, 0, 0], np.float32)
            alone = scene_with(alone, yaw=yaws)
            caption = describe(alone, np.random.default_rng(index), style=STYLE)
            turn = float(np.angle(np.exp(1j * (yaws[0] + alone.heading))))
            in_front = abs(turn) < np.pi / 2
            present[in_front] += 1
            named[in_front] += "ball" in caption
    assert named[True] / present[True] > 0.9
    assert named[False] / present[False] < 0.5
