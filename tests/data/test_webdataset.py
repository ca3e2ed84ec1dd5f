"""Images and captions out of tar shards, and what is no such shard."""

import io
import json
import tarfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from jclip.data.image_sets import open_image_set
from jclip.data.images import decode
from jclip.data.webdataset import open_shards
from jclip.errors import InputError


def picture(seed, kind="png", size=(64, 32)):
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return pixels, file.getvalue()


def write(path, members, mode="w:"):
    with tarfile.open(path, mode) as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def members(first, captions):
    found = {}
    for n, caption in enumerate(captions, start=first):
        found[f"{n:03}.png"] = picture(n)[1]
        found[f"{n:03}.txt"] = caption.encode()
    return found


def test_a_shard_is_a_set_of_images(tmp_path):
    json_caption = json.dumps({"width": 3, "caption": "a lake"}).encode()
    content = {
        "./._000.png": b"\0\5",
        **members(0, ["a hall", "\ufeffa road\n"]),
        "below/002.JPG": picture(2, "jpeg")[1],
        "below/002.json": json_caption,
        "notes.md": b"x",
    }
    opened = open_image_set(str(write(tmp_path / "train.tar", content)))
    assert opened.name == "train"
    assert [image.name for image in opened.images] == ["000.png", "001.png", "below/002.jpg"]
    assert opened.captions == ("a hall", "a road", "a lake")
    np.testing.assert_array_equal(decode(opened.images[1]), picture(1)[0])
    assert len({image.digest for image in opened.images}) == 3


def test_a_folder_of_shards_is_one_set(tmp_path):
    write(tmp_path / "10.tar", members(0, ["c", "d"]))
    write(tmp_path / "2.tar", members(0, ["a", "b"]))
    opened = open_image_set(f"mine={tmp_path}")
    assert [image.name for image in opened.images] == [
        "2/000.png", "2/001.png", "10/000.png", "10/001.png"
    ]  # fmt: skip
    assert opened.captions == ("a", "b", "c", "d")
    assert open_image_set(f"{tmp_path}/1*.tar").captions == ("c", "d")


def test_captions_may_stand_in_a_table(tmp_path):
    shard = write(tmp_path / "x.tar", {"0.png": picture(0)[1]})
    with pytest.raises(InputError, match="no captions beside the images"):
        open_image_set(str(shard))
    (tmp_path / "captions.csv").write_text("file,caption\n0.png,a hall\n")
    assert open_image_set(str(shard)).captions == ("a hall",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a.txt": b"x"}, "x.tar: no images in this tar file"),
        ({"a.png": b"x", "a.txt": b"x"}, "x.tar: a.png: not an image"),
        ({"a.png": picture(0)[1], "a.jpg": b"", "a.txt": b"x"}, "x.tar: a has .png and .jpg"),
        ({"a.png": picture(0)[1], "a.PNG": b""}, "x.tar: a.PNG is there twice"),
        ({"a.png": picture(0)[1], "a.txt": b"\xff"}, "x.tar: a.txt cannot be read"),
        ({"a.png": picture(0)[1], "a.json": b"{"}, "x.tar: a.json cannot be read"),
        (
            {**members(0, "ab"), "c.png": picture(0)[1]},
            "x: c.png: no caption in",
        ),
        (
            {**members(0, "a"), "001.png": picture(0)[1], "001.txt": b" "},
            "x: 001.png: empty caption",
        ),
        ({"a.png": picture(0, size=(800, 2))[1]}, "x.tar: a.png: 800 x 2 pixels; one side"),
        ({"caf\udce9.png": picture(0)[1]}, r"caf.xe9.png: the name is not UTF-8"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        open_image_set(str(write(tmp_path / "x.tar", content)))


def test_compressed_and_cut_shards_are_refused(tmp_path):
    write(tmp_path / "x.tar", members(0, "ab"), "w:gz")
    with pytest.raises(InputError, match=r"x.tar: cannot be read as an uncompressed tar"):
        open_image_set(str(tmp_path))
    whole = write(tmp_path / "x.tar", members(0, "ab")).read_bytes()
    (tmp_path / "x.tar").write_bytes(whole[: len(whole) // 3])
    with pytest.raises(InputError, match=r"x.tar: "):
        open_image_set(str(tmp_path))


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(changes=st.lists(st.tuples(st.integers(0, 12_000), st.binary(max_size=9)), max_size=4))
def test_whatever_a_shard_holds_it_is_read_or_refused(changes, tmp_path):
    content = bytearray(write(tmp_path / "x.tar", members(0, "ab")).read_bytes())
    for place, new in changes:
        content[place : place + len(new)] = new
    (tmp_path / "x.tar").write_bytes(content)
    try:
        images, captions = open_shards([tmp_path / "x.tar"])
    except InputError as error:
        assert "x.tar" in str(error)
    else:
        assert len(images) == len(captions) > 0
