"""A set of panoramas is checked before anything is computed, and streamed batch by batch."""

import time

import numpy as np
import pytest
from PIL import Image

from jclip.data.images import decode
from jclip.data.panoramas import open_panoramas
from jclip.data.pipeline import plan_batches, stream_batches
from jclip.errors import InputError


def test_samples_ship_with_captions():
    samples = open_panoramas("samples")
    assert len(samples.images) == len(samples.captions) == 12
    assert samples.notices == ()
    captions = dict(zip((i.name for i in samples.images), samples.captions, strict=True))
    assert captions["sky.jpg"] == "white clouds above a calm sea"


def test_notices_name_what_a_person_should_know(panorama_folder):
    folder = panorama_folder(size=(60, 32))
    (folder / "notes.txt").write_text("x")
    (folder / "prompts.txt").write_text("one\ntwo\nthree\n")
    opened = open_panoramas(str(folder), folder / "prompts.txt")
    assert "notes.txt" in opened.notices[0]
    assert "a.png is 60 x 32" in opened.notices[1]
    assert "first a.png = 'one', last c.png = 'three'" in opened.notices[2]


def test_digest_follows_captions(panorama_folder):
    folder = panorama_folder()
    before = open_panoramas(str(folder)).digest
    (folder / "captions.csv").write_text("file,caption\na.png,x\nb.png,y\nc.png,z\n")
    assert open_panoramas(str(folder)).digest != before


def test_batches_have_one_size_and_equal_rows(panorama_folder):
    folder = panorama_folder([f"{i}.png" for i in range(5)])
    panorama_folder(["wide.png"], size=(128, 64), captions=False)
    (folder / "captions.csv").unlink()
    (folder / "prompts.txt").write_text("\n".join("abcdef"))
    images = open_panoramas(str(folder)).images
    plans = plan_batches(images, largest=4)
    assert [(p.indices, p.rows) for p in plans] == [((0, 1, 2), 3), ((3, 4), 3), ((5,), 1)]
    batches = list(stream_batches(images, plans, record_failures=False))
    assert [b.pixels.shape for b in batches] == [(3, 32, 64, 3), (3, 32, 64, 3), (1, 64, 128, 3)]
    np.testing.assert_array_equal(batches[1].pixels[0], decode(images[3]))
    np.testing.assert_array_equal(batches[1].pixels[2], decode(images[4]))


def test_a_batch_is_bounded_in_bytes(panorama_folder, monkeypatch):
    images = open_panoramas(str(panorama_folder())).images
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
    images = open_panoramas(str(folder)).images
    plans = plan_batches(images, largest=2)
    with pytest.raises(InputError, match=r"d.jpg: cannot be decoded"):
        list(stream_batches(images, plans, record_failures=False))
    last = list(stream_batches(images, plans, record_failures=True))[-1]
    assert last.indices == (2,)
    assert [f.index for f in last.failures] == [3] and "d.jpg" in last.failures[0].reason


def test_only_a_few_batches_are_decoded_ahead(panorama_folder, monkeypatch):
    images = open_panoramas(str(panorama_folder([f"{i}.png" for i in range(40)]))).images
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
    monkeypatch.setattr("jclip.data.panoramas.DEMO_PANORAMAS", 2)
    monkeypatch.setattr("jclip.data.panoramas.DEMO_HEIGHT", 16)
    demo = open_panoramas("demo")
    assert [image.name for image in demo.images] == ["demo-0000.png", "demo-0001.png"]
    assert decode(demo.images[0]).shape == (16, 32, 3)
    assert demo.images[0].digest != demo.images[1].digest
