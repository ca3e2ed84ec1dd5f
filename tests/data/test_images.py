"""Images are checked by their headers and decoded as the papers decode them."""

import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from jclip.data.images import decode, inspect_images, list_images
from jclip.errors import InputError


def save(path, pixels, **options):
    Image.fromarray(pixels).save(path, **options)
    return path


def test_natural_order_and_only_images(panorama_folder):
    folder = panorama_folder(["p10.png", "p2.png", "p1.png"])
    (folder / "notes.md").write_text("not an image")
    assert [p.name for p in list_images(folder)] == ["p1.png", "p2.png", "p10.png"]


def test_suffixes_of_any_case_and_kind(tmp_path):
    image = Image.new("RGB", (8, 4))
    for name, kind in (("a.JPG", "jpeg"), ("b.jfif", "jpeg"), ("c.AVIF", "avif"), ("d.Tiff", None)):
        image.save(tmp_path / name, kind)
    files = inspect_images(list_images(tmp_path))
    assert [file.name for file in files] == ["a.JPG", "b.jfif", "c.AVIF", "d.Tiff"]
    assert all(decode(file).shape == (4, 8, 3) for file in files)


@pytest.mark.parametrize("size", [(16384, 1), (1, 16384), (4096, 40), (40, 4096)])
def test_extreme_ratios_are_refused_by_name(tmp_path, size):
    Image.new("RGB", size).save(tmp_path / "thin.png")
    message = f"thin.png: {size[0]} x {size[1]} pixels; one side may be at most 100 times as long"
    with pytest.raises(InputError, match=message):
        inspect_images([tmp_path / "thin.png"])
    Image.new("RGB", (4000, 40)).save(tmp_path / "thin.png")
    assert inspect_images([tmp_path / "thin.png"])


def test_transparent_pixels_have_the_colour_below_them(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 4), np.uint8)
    image = Image.fromarray(pixels)
    image.quantize(16).save(tmp_path / "palette.png", transparency=bytes(range(16)))
    image.convert("RGB").save(tmp_path / "rgb.png", transparency=(1, 2, 3))
    image.convert("L").save(tmp_path / "grey.png", transparency=3)
    image.save(tmp_path / "rgba.png")
    for file in inspect_images(list_images(tmp_path)):
        assert file.unlike == ("transparency",)
        with warnings.catch_warnings(action="ignore"):
            expected = np.asarray(Image.open(tmp_path / file.name).convert("RGB"))
        np.testing.assert_array_equal(decode(file), expected)


def test_missing_and_empty_folders(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        list_images(tmp_path / "absent")
    with pytest.raises(InputError, match="no images"):
        list_images(tmp_path)


def test_header_gives_size_and_digest_sees_edits(tmp_path):
    pixels = np.zeros((4, 8, 3), np.uint8)
    (first,) = inspect_images([save(tmp_path / "a.png", pixels)])
    assert (first.height, first.width) == (4, 8)
    pixels[0, 0] = 1
    (second,) = inspect_images([save(tmp_path / "a.png", pixels)])
    assert first.digest != second.digest


@pytest.mark.parametrize("kind", ["grey", "alpha", "palette"])
def test_every_mode_becomes_rgb_as_pillow_converts(tmp_path, kind):
    rng = np.random.default_rng(0)
    shape = {"grey": (4, 8), "alpha": (4, 8, 4)}.get(kind, (4, 8, 3))
    pixels = rng.integers(0, 256, shape, np.uint8)
    image = Image.fromarray(pixels)
    if kind == "palette":
        image = image.quantize(16)
    image.save(tmp_path / "a.png")
    (file,) = inspect_images([tmp_path / "a.png"])
    np.testing.assert_array_equal(decode(file), np.asarray(image.convert("RGB")))


def test_sixteen_bits_are_refused(tmp_path):
    path = save(tmp_path / "a.png", np.zeros((4, 8), np.uint16))
    with pytest.raises(InputError, match=r"a.png: 16-bit"):
        inspect_images([path])


def test_sixteen_bits_in_colour_are_refused(tmp_path):
    def chunk(name, data):
        body = name + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    # Pillow reads 16-bit colour as 8 bits without a word; its mode alone does not tell.
    ihdr = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)
    data = zlib.compress(b"\0" + bytes(12))
    path = tmp_path / "rgb16.png"
    signature = b"\x89PNG\r\n\x1a\n"
    path.write_bytes(signature + chunk(b"IHDR", ihdr) + chunk(b"IDAT", data) + chunk(b"IEND", b""))
    with pytest.raises(InputError, match="16-bit"):
        inspect_images([path])


def test_pixel_limit_is_checked_from_the_header(tmp_path):
    path = save(tmp_path / "a.png", np.zeros((10, 20), np.uint8))
    assert inspect_images([path], pixel_limit=200)
    for limit in (199, 50):
        with pytest.raises(InputError, match=f"a.png: .* pixels, limit {limit} .see pixel_limit"):
            inspect_images([path], pixel_limit=limit)


def test_not_an_image_and_truncated(tmp_path):
    fake = tmp_path / "fake.jpg"
    fake.write_text("text")
    with pytest.raises(InputError, match=r"fake.jpg: not an image"):
        inspect_images([fake])
    noise = np.random.default_rng(0).integers(0, 256, (64, 128, 3), dtype=np.uint8)
    whole = save(tmp_path / "whole.jpg", noise)
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(whole.read_bytes()[:-200])
    (file,) = inspect_images([cut])
    with pytest.raises(InputError, match=r"cut.jpg: cannot be decoded"):
        decode(file)
