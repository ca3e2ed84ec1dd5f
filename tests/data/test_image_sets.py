"""A set of images is checked before anything is computed, and streamed batch by batch."""

import contextlib
import io
import os
import threading
import time

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from jclip.data.demo_builders import DemoConfig, DemoPanoramas, prepare
from jclip.data.demo_world import open_demo_panoramas
from jclip.data.image_sets import not_two_to_one, open_image_set, open_image_sets
from jclip.data.images import ImageFile, decode
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
    pairs = "first a.png = 'one', second b.png = 'two', last c.png = 'three'"
    assert pairs in opened.notices[1]
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


def test_all_workers_share_a_batch():
    meeting = threading.Barrier(4, timeout=60)

    def pixels():
        meeting.wait()
        return np.full((4, 8, 3), 7, np.uint8)

    images = [ImageFile(f"{i}.png", pixels, 4, 8, "") for i in range(4)]
    plans = plan_batches(images, largest=4)
    (batch,) = stream_batches(images, plans, record_failures=False, workers=4)
    assert batch.indices == (0, 1, 2, 3) and (batch.pixels == 7).all()


def test_a_failure_in_the_middle_leaves_the_others_in_order():
    def image(level):
        def pixels():
            if level is None:
                raise InputError("damaged")
            return np.full((4, 8, 3), level, np.uint8)

        return ImageFile(f"{level}.png", pixels, 4, 8, "")

    images = [image(level) for level in (1, None, 3, None, 5)]
    plans = plan_batches(images, largest=5, devices=6)
    (batch,) = stream_batches(images, plans, record_failures=True)
    assert batch.indices == (0, 2, 4)
    assert batch.pixels[:, 0, 0, 0].tolist() == [1, 3, 5, 5, 5, 5]
    assert [failure.index for failure in batch.failures] == [1, 3]


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
    monkeypatch.setattr("jclip.data.image_sources.DEMO_IMAGES", 2)
    monkeypatch.setattr("jclip.data.image_sources.DEMO_HEIGHT", 16)
    demo = open_image_set("demo")
    assert [image.name for image in demo.images] == ["demo-0000.png", "demo-0001.png"]
    assert decode(demo.images[0]).shape == (16, 32, 3)
    assert demo.images[0].digest != demo.images[1].digest


def test_demo_photos_are_square(monkeypatch):
    monkeypatch.setattr("jclip.data.image_sources.DEMO_IMAGES", 2)
    monkeypatch.setattr("jclip.data.image_sources.DEMO_HEIGHT", 16)
    photos = open_image_set("demo-photos")
    assert decode(photos.images[1]).shape == (16, 16, 3)
    assert not any(caption.startswith(("a photo", "an image")) for caption in photos.captions)


def test_sets_differ_in_name_and_have_their_own_captions(panorama_folder):
    folder = panorama_folder()
    with pytest.raises(InputError, match=r"samples is the name of two sets .*OTHER=samples gives"):
        open_image_sets(["samples", "samples"])
    with pytest.raises(InputError, match=r"no caption for '.*samples/apartment.jpg'"):
        open_image_sets(["samples", str(folder)], folder / "captions.csv")
    for unnamed in (folder / "prompts.txt", folder):
        unnamed.exists() or unnamed.write_text("a\n")
        with pytest.raises(InputError, match=r"belong to one set.*see captions"):
            open_image_sets(["samples", str(folder)], unnamed)
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


def test_one_caption_file_serves_several_sets(panorama_folder, tmp_path):
    folders = [panorama_folder(["a.png", "b.png"], captions=False, name=name) for name in "xy"]
    shared = tmp_path / "all.csv"
    rows = ["x/a.png,1", f"{folders[0]}/b.png,2", "y\\a.png,3", "Y/B.PNG,4"]
    shared.write_text("\n".join(["file,caption", *rows]))
    sets = open_image_sets(list(map(str, folders)), shared)
    assert [opened.captions for opened in sets] == [("1", "2"), ("3", "4")]
    assert [opened.lines for opened in sets] == [(2, 3), (4, 5)]
    shared.write_text("file,caption\na.png,1\n")
    with pytest.raises(InputError, match=r"line 2: caption for 'a.png', which may be .*x/a.png or"):
        open_image_sets(list(map(str, folders)), shared)


def test_folders_below_are_read_with_a_pattern(panorama_folder, tmp_path):
    for name in ("all/one", "all/two/three", "all/.hidden", "all/__MACOSX"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        panorama_folder(["1.png", "10.png", "2.png"], captions=False, name=name)
    names = [f"{below}/{n}.png" for below in ("one", "two/three") for n in (1, 2, 10)]
    (tmp_path / "all" / "captions.csv").write_text(
        "\n".join(["file,caption", *(f"{name},about {name}" for name in names)])
    )
    opened = open_image_set(f"{tmp_path}/all/**")
    assert opened.name == "all" and [image.name for image in opened.images] == names
    assert opened.captions[4] == "about two/three/2.png"
    assert opened.notices == ()
    with pytest.raises(InputError, match=r"no images .* in this folder; '.*all/\*\*' reads"):
        open_image_set(str(tmp_path / "all"))
    with pytest.raises(InputError, match=r"all: no images .* like \*\*/x\.png"):
        open_image_set(f"{tmp_path}/all/**/x.png")


def test_a_text_beside_each_image_is_its_caption(panorama_folder):
    folder = panorama_folder(["a.png", "B.JPG"], captions=False)
    (folder / "a.txt").write_text("\ufeffa hall\r\n")
    with pytest.raises(InputError, match=r"no .txt beside 'B.JPG' for its caption .1 images"):
        open_image_set(str(folder))
    (folder / "b.TXT").write_text("a road")
    (folder / "._a.txt").write_bytes(b"\xff")
    opened = open_image_set(str(folder))
    assert [image.name for image in opened.images] == ["B.JPG", "a.png"]
    assert opened.captions == ("a road", "a hall") and opened.lines == (1, 1)
    assert opened.notices == () and not opened.caption_file.endswith(".txt")
    (folder / "a.txt").write_text("a hall\na room\n")
    with pytest.raises(InputError, match=r"a.txt: 2 lines; an image has one caption"):
        open_image_set(str(folder))


def test_pairs_are_shown_whatever_their_number(panorama_folder):
    folder = panorama_folder(["1.png", "2.png", "10.png"], captions=False)
    (folder / "PROMPTS.TXT").write_text("one\ntwo\nten")
    (notice,) = open_image_set(str(folder)).notices
    shown = "first 1.png = 'one', second 2.png = 'two', last 10.png = 'ten'"
    assert notice == f"captions paired by natural order; {shown}"
    (folder / "2.png").unlink()
    (folder / "PROMPTS.TXT").write_text("one\nten")
    (notice,) = open_image_set(str(folder)).notices
    assert notice.endswith("; first 1.png = 'one', last 10.png = 'ten'")
    (folder / "10.png").unlink()
    (folder / "PROMPTS.TXT").write_text("one")
    (notice,) = open_image_set(str(folder)).notices
    assert notice.endswith("; last 1.png = 'one'")


def test_ties_of_the_natural_order_do_not_depend_on_the_file_system(panorama_folder, monkeypatch):
    folder = panorama_folder(["1.png", "01.png", "001.png"], captions=False)
    (folder / "prompts.txt").write_text("a hall\na road\na lake\n")
    listed = list(os.scandir(folder))
    for order in (1, -1):
        entries = contextlib.nullcontext(listed[::order])
        monkeypatch.setattr("os.scandir", lambda *_: entries)  # noqa: B023
        opened = open_image_set(str(folder), folder / "prompts.txt")
        names = [image.name for image in opened.images]
        assert dict(zip(names, opened.captions, strict=True)) == {
            "001.png": "a hall", "01.png": "a road", "1.png": "a lake"
        }  # fmt: skip


def test_what_a_viewer_would_show_otherwise_is_counted(panorama_folder):
    folder = panorama_folder(["a.jpg", "b.jpg"])
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (64, 32)).save(folder / "c.jpg", exif=exif)
    Image.new("RGB", (64, 32)).save(folder / "d.png", exif=exif)
    Image.new("RGBA", (64, 32)).save(folder / "e.png")
    Image.new("RGB", (64, 32)).quantize(4).save(folder / "f.png", transparency=bytes(4))
    pages = [Image.new("RGB", (64, 32), (200 * n, 0, 0)) for n in range(2)]
    pages[0].save(folder / "g.webp", save_all=True, append_images=pages[1:])
    (folder / "captions.csv").unlink()
    (folder / "prompts.txt").write_text("\n".join("abcdefg"))
    opened = open_image_set(str(folder))
    turned, transparent, several = opened.notices[1:]
    name = folder.name
    assert turned.startswith(f"{name}: 2 of 7 images are turned or mirrored by an orientation tag")
    assert turned.endswith(": c.jpg, ...")
    assert transparent.startswith(f"{name}: 2 of 7 images may have transparent pixels")
    assert several.startswith(f"{name}: 1 of 7 images hold several pictures")
    assert several.endswith(": g.webp")
    # What is noticed is not warned of among progress bars.
    for image in opened.images:
        assert decode(image).shape == (32, 64, 3)


def test_system_files_are_nobodys(panorama_folder):
    folder = panorama_folder(["0.jpg", "1.jpg"], captions=False)
    for name in ("._0.jpg", ".DS_Store", "Thumbs.db", "desktop.ini", "._prompts.txt"):
        (folder / name).write_bytes(b"\0\5\26\7")
    (folder / "prompts.txt").write_text("a\nb\n")
    opened = open_image_set(str(folder))
    assert opened.captions == ("a", "b") and len(opened.notices) == 1


def test_names_that_are_no_utf_8_are_refused_by_name(panorama_folder, tmp_path):
    folder = panorama_folder(["a.png"])
    (folder / "a.png").rename(folder / os.fsdecode(b"caf\xe9.png"))
    with pytest.raises(
        InputError, match=r"caf\\xe9.png: the name is not UTF-8; rename it"
    ) as error:
        open_image_set(str(folder))
    assert str(error.value).isprintable()
    (folder / os.fsdecode(b"caf\xe9.png")).rename(folder / "a.png")
    other = folder.rename(tmp_path / os.fsdecode(b"m\xfcll"))
    for source, captions in ((other, None), ("samples", other / "captions.csv")):
        with pytest.raises(InputError, match="the name is not UTF-8"):
            open_image_set(str(source), captions)
    os.rename(other, tmp_path / "fine")
    (tmp_path / "fine" / os.fsdecode(b"\xe9.doc")).write_text("")
    (notice,) = open_image_set(str(tmp_path / "fine")).notices
    assert "xe9.doc" in notice and notice.isprintable()


def test_sets_of_the_demo_world_are_marked(monkeypatch, prepared, panorama_folder):
    monkeypatch.setattr("jclip.data.image_sources.DEMO_HEIGHT", 16)
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
