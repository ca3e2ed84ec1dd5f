import dataclasses
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from jclip.data import demo_builders, demo_world
from jclip.data.demo_builders import DemoConfig, DemoPanoramas, DemoPhotos, prepare
from jclip.data.demo_world import draw_scenes, open_demo_panoramas
from jclip.demo.captions import PANORAMA_WORDS, PHOTO_WORDS
from jclip.demo.rendering import render_panorama, render_photo
from jclip.demo.scenes import SPLITS, sample_camera, sample_scene, scene_key
from jclip.errors import InputError

HEIGHT, SEED, SCENES = 32, 3, 3
CONFIG = {"height": HEIGHT, "seed": SEED, "train": SCENES, "validation": SCENES, "test": SCENES}


@pytest.fixture(scope="module", autouse=True)
def surroundings(tmp_path_factory):
    """Two scenes a batch (so one is padded) and a file; an empty home, and no TensorFlow."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (demo_world, demo_builders):
            patch.setattr(module, "SCENES_AT_ONCE", 2)
        patch.setattr(demo_builders, "_DRAWN_BYTES_PER_FILE", 2 * 3 * HEIGHT**2)
        before = set(sys.modules)
        # Compiling is most of these tests' work.
        unoptimized = jax.config.read("jax_disable_most_optimizations")
        jax.config.update("jax_disable_most_optimizations", True)
        home = tmp_path_factory.mktemp("home")
        patch.setenv("HOME", str(home))
        yield
        jax.config.update("jax_disable_most_optimizations", unoptimized)
        assert not list(home.iterdir())
        assert "tensorflow" not in set(sys.modules) - before


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tfds") / "new"


@pytest.fixture(scope="module")
def panoramas(folder):
    return prepare(DemoPanoramas(config=DemoConfig(**CONFIG), data_dir=folder))


@pytest.fixture(scope="module")
def photos(folder):
    return prepare(DemoPhotos(config=DemoConfig(**CONFIG), data_dir=folder))


@pytest.mark.parametrize("split", SPLITS)
def test_panoramas_are_read_as_they_were_drawn(panoramas, split):
    drawn = list(draw_scenes("panorama", range(SCENES), HEIGHT, seed=SEED, split=split, at_once=2))
    assert len(panoramas[split]) == len(drawn) == SCENES
    for index, (example, expected) in enumerate(zip(panoramas[split], drawn, strict=True)):
        assert example["scene"] == expected.index == index
        assert example["image"].shape == (HEIGHT, 2 * HEIGHT, 3)
        np.testing.assert_array_equal(example["image"], expected.pixels)
        assert example["caption"].decode() == expected.caption
        assert example["content"].decode() == expected.content


def test_pictures_are_the_renderers(panoramas, photos):
    def draw(key):
        scene = sample_scene(key)
        camera = sample_camera(jax.random.fold_in(key, 1), scene)
        return render_panorama(scene, HEIGHT), render_photo(scene, camera, HEIGHT)

    expected = jax.jit(draw)(scene_key(SEED, "validation", 2))
    for sources, picture in zip((panoramas, photos), expected, strict=True):
        np.testing.assert_allclose(sources["validation"][2]["image"], picture, atol=1, rtol=0)


def test_captions_are_a_format_word_and_content(panoramas, photos):
    for sources, words in ((panoramas, PANORAMA_WORDS), (photos, PHOTO_WORDS)):
        for example in (example for source in sources.values() for example in source):
            caption, content = example["caption"].decode(), example["content"].decode()
            assert caption.removesuffix(" " + content) in words


@pytest.mark.parametrize("split", SPLITS)
def test_photos_are_read_as_they_were_drawn(photos, split):
    drawn = list(draw_scenes("photo", range(SCENES), HEIGHT, seed=SEED, split=split, at_once=2))
    for example, expected in zip(photos[split], drawn, strict=True):
        np.testing.assert_array_equal(example["image"], expected.pixels)
        assert example["scene"] == expected.index
        assert example["caption"].decode() == expected.caption
        assert example["content"].decode() == expected.content


def test_splits_share_no_scene(panoramas, photos):
    for sources in (panoramas, photos):
        pictures = [example["image"].tobytes() for name in SPLITS for example in sources[name]]
        assert len(set(pictures)) == 3 * SCENES


@pytest.mark.parametrize("builder", [DemoPanoramas, DemoPhotos])
def test_a_data_set_repeats_byte_for_byte(builder, folder, tmp_path):
    files = []
    for place in (folder, tmp_path):
        made = builder(config=DemoConfig(**CONFIG), data_dir=place)
        prepare(made)
        files.append({path.name: path.read_bytes() for path in Path(made.data_dir).iterdir()})
    assert files[0] == files[1]
    assert len([name for name in files[0] if "test.array_record" in name]) > 1


@pytest.mark.parametrize(
    "change", [{"height": 48}, {"seed": 4}, {"train": 2}, {"validation": 0}, {"test": 4}]
)
def test_other_arguments_have_another_folder(folder, panoramas, change):
    other = DemoPanoramas(config=DemoConfig(**CONFIG | change), data_dir=folder)
    first = DemoPanoramas(config=DemoConfig(**CONFIG), data_dir=folder)
    assert Path(first.data_dir).is_dir() and not Path(other.data_dir).exists()


def test_a_split_of_no_scenes_is_left_out_and_seeds_differ(panoramas, tmp_path):
    config = DemoConfig(height=HEIGHT, seed=SEED + 1, test=2)
    sources = prepare(DemoPanoramas(config=config, data_dir=tmp_path))
    assert list(sources) == ["test"] and len(sources["test"]) == 2
    assert np.any(sources["test"][0]["image"] != panoramas["test"][0]["image"])


def test_opened_panoramas_are_those_of_the_data_set(panoramas):
    names, pixels, captions = open_demo_panoramas(SCENES, HEIGHT, seed=SEED, split="test")
    assert names == ("demo-0000.png", "demo-0001.png", "demo-0002.png")
    for example, picture, caption in zip(panoramas["test"], pixels, captions, strict=True):
        np.testing.assert_array_equal(example["image"], picture)
        assert example["content"].decode() == caption
    fewer = open_demo_panoramas(2, HEIGHT, seed=SEED, split="test")
    np.testing.assert_array_equal(fewer.pixels, pixels[:2])
    assert fewer.captions == captions[:2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"height": 15}, "height 15"),
        ({"seed": -1}, "seed -1"),
        ({"train": -2}, "'train': -2"),
        ({"train": 0, "validation": 0, "test": 0}, "at least one"),
    ],
)
def test_bad_configurations_are_named(change, message):
    with pytest.raises(InputError, match=message):
        DemoConfig(**CONFIG | change)


def test_bad_input_is_named_before_drawing(tmp_path):
    with pytest.raises(InputError, match="count 0"):
        open_demo_panoramas(0, HEIGHT)
    with pytest.raises(InputError, match="height 8"):
        open_demo_panoramas(1, 8)
    with pytest.raises(InputError, match="'dev'"):
        open_demo_panoramas(1, HEIGHT, split="dev")
    with pytest.raises(ValueError, match="DemoConfig"):
        DemoPhotos(data_dir=tmp_path)


def test_configurations_tell_all_their_numbers():
    numbers = {field.name for field in dataclasses.fields(DemoConfig)} & set(CONFIG)
    assert numbers == set(CONFIG)
    assert DemoConfig(**CONFIG).name == "height32-seed3-train3-validation3-test3"
