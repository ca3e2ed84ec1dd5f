"""A set of images is checked before anything is computed, and streamed batch by batch."""

import io
import time

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from jclip.data.demo_builders import DemoConfig, DemoPanoramas, prepare
from jclip.data.demo_world import open_demo_panoramas
from jclip.data.image_sets import not_two_to_one, open_image_set, open_image_sets
from jclip.data.images import decode
from jclip.data.pipeline import plan_batches, stream_batches
from jclip.errors import InputError


def test_samples_ship_with_captions():
    samples = open_image_set("samples")
    assert len(samples.images) == len(samples.captions) == 12
    assert samples.notices == ()
    captions = dict(zip((i.name for i in samples.images), samples.captions, strict=True))
    assert captions["sky.jpg"] == "white clouds above a calm sea"


def test_notices_name_what_a_person_should_know(panorama_folder):
    folder = panorama_folder(size=(60, 32))
    (folder / "notes.txt").write_text("x")
    (folder / "prompts.txt").write_text("one\ntwo\nthree\n")
    opened = open_image_set(str(folder), folder / "prompts.txt")
    assert "notes.txt" in opened.notices[0]
    assert "first a.png = 'one', last c.png = 'three'" in opened.notices[1]
    assert "3 of 3 images are not 2:1" in not_two_to_one(opened.images)[0]
    assert not_two_to_one(open_image_set("samples").images) == []


def test_digest_follows_captions(panorama_folder):
    folder = panorama_folder()
    before = open_image_set(str(folder)).digest
    (folder / "captions.csv").write_text("file,caption\na.png,x\nb.png,y\nc.png,z\n")
    assert open_image_set(str(folder)).digest != before


def test_batches_have_one_size_and_equal_rows(panorama_folder):
    folder = panorama_folder([f"{i}.png" for i in range(5)])
    panorama_folder(["wide.png"], size=(128, 64), captions=False)
    (folder / "captions.csv").unlink()
    (folder / "prompts.txt").write_text("\n".join("abcdef"))
    images = open_image_set(str(folder)).images
    plans = plan_batches(images, largest=4)
    assert [(p.indices, p.rows) for p in plans] == [((0, 1, 2), 3), ((3, 4), 3), ((5,), 1)]
    batches = list(stream_batches(images, plans, record_failures=False))
    assert [b.pixels.shape for b in batches] == [(3, 32, 64, 3), (3, 32, 64, 3), (1, 64, 128, 3)]
    np.testing.assert_array_equal(batches[1].pixels[0], decode(images[3]))
    np.testing.assert_array_equal(batches[1].pixels[2], decode(images[4]))


def test_a_batch_is_bounded_in_bytes(panorama_folder, monkeypatch):
    images = open_image_set(str(panorama_folder())).images
    monkeypatch.setattr("jclip.data.pipeline.BATCH_BYTES", 2 * 64 * 32 * 3)
    assert [p.rows for p in plan_batches(images, largest=16)] == [2, 2]


def test_corrupt_image_stops_or_is_recorded(panorama_folder):
    folder = panorama_folder()
    pixels = np.random.default_rng(0).integers(0, 256, (32, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "d.jpg")
    whole = (folder / "d.jpg").read_bytes()
    (folder / "d.jpg").write_bytes(whole[: len(whole) // 2])
    with (folder / "captions.csv").open("a") as file:
        file.write("d.jpg,cut\n")
    images = open_image_set(str(folder)).images
    plans = plan_batches(images, largest=2)
    with pytest.raises(InputError, match=r"d.jpg: cannot be decoded"):
        list(stream_batches(images, plans, record_failures=False))
    last = list(stream_batches(images, plans, record_failures=True))[-1]
    assert last.indices == (2,)
    assert [f.index for f in last.failures] == [3] and "d.jpg" in last.failures[0].reason


def test_only_a_few_batches_are_decoded_ahead(panorama_folder, monkeypatch):
    images = open_image_set(str(panorama_folder([f"{i}.png" for i in range(40)]))).images
    decoded = []
    monkeypatch.setattr(
        "jclip.data.pipeline.decode", lambda file: decoded.append(file.name) or decode(file)
    )
    stream = stream_batches(images, plan_batches(images, largest=1), record_failures=False)
    next(stream)
    time.sleep(0.5)
    assert len(decoded) <= 10
    assert len(list(stream)) == 39


def test_demo_scenes_are_a_set_of_panoramas(monkeypatch):
    monkeypatch.setattr("jclip.data.image_sets.DEMO_IMAGES", 2)
    monkeypatch.setattr("jclip.data.image_sets.DEMO_HEIGHT", 16)
    demo = open_image_set("demo")
    assert [image.name for image in demo.images] == ["demo-0000.png", "demo-0001.png"]
    assert decode(demo.images[0]).shape == (16, 32, 3)
    assert demo.images[0].digest != demo.images[1].digest


def test_demo_photos_are_square(monkeypatch):
    monkeypatch.setattr("jclip.data.image_sets.DEMO_IMAGES", 2)
    monkeypatch.setattr("jclip.data.image_sets.DEMO_HEIGHT", 16)
    photos = open_image_set("demo-photos")
    assert decode(photos.images[1]).shape == (16, 16, 3)
    assert not any(caption.startswith(("a photo", "an image")) for caption in photos.captions)


def test_sets_differ_in_name_and_have_their_own_captions(panorama_folder):
    folder = panorama_folder()
    with pytest.raises(InputError, match=r"samples is the name of two sets .*OTHER=samples gives"):
        open_image_sets(["samples", "samples"])
    with pytest.raises(InputError, match=r"belongs to one set .*see captions"):
        open_image_sets(["samples", str(folder)], folder / "captions.csv")
    assert [s.name for s in open_image_sets(["samples", str(folder)])] == ["samples", folder.name]


@pytest.mark.parametrize("source", ["gs://bucket/images", "mine=s3://bucket/images"])
def test_addresses_are_refused_as_such(source):
    with pytest.raises(InputError, match=r"3?://bucket/images is the address of another place"):
        open_image_set(source)


def test_two_folders_of_one_name_can_be_told_apart(panorama_folder, tmp_path, monkeypatch):
    folders = [tmp_path / side / "images" for side in ("mine", "baseline")]
    for folder in folders:
        folder.parent.mkdir()
        panorama_folder(name=folder.relative_to(tmp_path))
    with pytest.raises(InputError, match=rf"images is the name of two .*OTHER={folders[0]} gives"):
        open_image_sets(list(map(str, folders)))
    sets = open_image_sets([f"{folder.parent.name}={folder}" for folder in folders])
    assert [opened.name for opened in sets] == ["mine", "baseline"]
    assert sets[0].captions == open_image_set(str(folders[0])).captions
    assert [s.name for s in open_image_sets(["a=samples", "b=samples"])] == ["a", "b"]
    # A folder may be called like that.
    panorama_folder(name="a=b")
    monkeypatch.chdir(tmp_path)
    assert open_image_set("a=b").name == "a=b"


def test_sets_of_the_demo_world_are_marked(monkeypatch, prepared, panorama_folder):
    monkeypatch.setattr("jclip.data.image_sets.DEMO_HEIGHT", 16)
    for source in ("demo:2", "demo-photos:2", "mine=demo:2", prepared):
        assert open_image_set(source).demo_world, source
    for source in ("samples", str(panorama_folder())):
        assert not open_image_set(source).demo_world, source


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A data set of two panoramas in TFDS's own folder."""
    folder = tmp_path_factory.mktemp("tfds")
    config = DemoConfig(height=16, seed=0, test=2)
    prepare(DemoPanoramas(config=config, data_dir=folder))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tensorflow_datasets.core.constants.DATA_DIR", str(folder))
        yield f"tfds:demo_panoramas/{config.name}"


@pytest.mark.parametrize("suffix", ["", ":test", ":2.0.0", ":2.0.0:test"])
def test_prepared_data_sets_are_sets_of_images(prepared, suffix):
    opened = open_image_set(prepared + suffix)
    drawn = open_demo_panoramas(2, 16)
    assert [image.name for image in opened.images] == ["test-000000", "test-000001"]
    assert opened.captions == drawn.captions
    np.testing.assert_array_equal(decode(opened.images[1]), drawn.pixels[1])
    assert opened.images[0].digest != opened.images[1].digest


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{}:train", "there is no split train, but test"),
        ("tfds:no_such_set", "no_such_set not found"),
        ("tfds:mnist", "not prepared in"),
        ("tfds:", "expected tfds:NAME"),
    ],
)
def test_data_sets_that_cannot_be_opened(prepared, source, message):
    with pytest.raises(InputError, match=message):
        open_image_set(source.format(prepared))


PICTURE, TEXT = tfds.features.Image(shape=(4, 4, 3), encoding_format="png"), tfds.features.Text()


def black_png():
    file = io.BytesIO()
    Image.new("RGB", (4, 4)).save(file, format="png")
    return file.getvalue()


@pytest.mark.parametrize(
    ("features", "example"),
    [
        ({"image": PICTURE, "captions": TEXT}, (black_png(), "a")),
        ({"image": PICTURE, "caption": tfds.features.Sequence(TEXT)}, (black_png(), ["a", "b"])),
        ({"photo": PICTURE, "caption": TEXT}, (black_png(), "a")),
        ({"image": TEXT, "caption": TEXT}, ("black", "a")),
    ],
)
def test_data_sets_of_something_else_are_refused(features, example, tmp_path, monkeypatch):
    class Others(tfds.core.ShardBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version("1.0.0")
        url_infos = None

        def _info(self):
            features_ = tfds.features.FeaturesDict(features)
            return tfds.core.DatasetInfo(builder=self, features=features_, disable_shuffling=True)

        def _shard_iterators_per_split(self, dl_manager):
            row = dict(zip(features, example, strict=True))
            return {"test": [lambda: iter([(0, row)])]}

    prepare(Others(data_dir=tmp_path))
    monkeypatch.setattr("tensorflow_datasets.core.constants.DATA_DIR", str(tmp_path))
    wanted = f"tfds:others: needs a picture named image .* has {', '.join(sorted(features))}$"
    with pytest.raises(InputError, match=wanted):
        open_image_set("tfds:others")
