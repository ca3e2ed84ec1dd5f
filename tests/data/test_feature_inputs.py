import json

import numpy as np
import pytest
from PIL import Image
from small_features import boxes_of

from jclip.checkpoints import ImageConfig
from jclip.data.coco_captions import CaptionedImage, CaptionSet
from jclip.data.feature_inputs import box_inputs, caption_inputs
from jclip.data.features import Origin
from jclip.data.fg_ovd import read_fg_ovd
from jclip.data.images import decode
from jclip.errors import InputError
from jclip.images.boxes import fit_square

CONFIG = ImageConfig(size=16)
ORIGIN = Origin(model={}, preprocessing={}, fit="crop", box_scale=1.0, data={})


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "val").mkdir()
    for name in ("a.png", "b.png"):
        pixels = rng.integers(0, 256, (30, 40, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "val" / name)
    return tmp_path


@pytest.fixture
def sets(folder):
    """Two files; the box of annotation 1 is in both, under other ids of image and annotation."""

    def write(name, boxes):
        images = [{"id": i, "file_name": f"val/{file}", "width": 40, "height": 30}
                  for i, file in boxes]  # fmt: skip
        content = {
            "images": list({image["id"]: image for image in images}.values()),
            "annotations": [
                {"id": 10 * number, "image_id": i, "bbox": box, "category_id": positive,
                 "neg_category_ids": negatives}
                for number, ((i, _), (box, positive, negatives)) in enumerate(boxes.items())
            ],
            "categories": [{"id": i, "name": f"caption {i}"} for i in range(5)],
        }  # fmt: skip
        path = folder / f"{name}.json"
        path.write_text(json.dumps(content))
        return path

    hard = write("1_attributes", {(1, "b.png"): ([3, 4, 20, 11], 0, [1, 2]),
                                  (2, "a.png"): ([0, 0, 40, 30], 3, [4])})  # fmt: skip
    color = write("color", {(7, "b.png"): ([3, 4, 20, 11], 0, [3])})
    return read_fg_ovd(hard, color)


def test_shared_boxes_and_captions_come_once(sets, folder):
    source = box_inputs(sets, folder, CONFIG, "crop", 1.0)
    assert [image.name for image in source.squares] == [
        "val/a.png [0.0, 0.0, 40.0, 30.0]",
        "val/b.png [3.0, 4.0, 20.0, 11.0]",
    ]
    assert len(source.texts) == len(set(source.texts)) == 5
    assert source.boxes is sets
    np.testing.assert_array_equal(source.box_squares, [1, 0, 1])
    np.testing.assert_array_equal(sets.annotations, [0, 10, 0])
    expected = [(0, 1, 2), (3, 4), (0, 3)]
    assert [box.captions for box in boxes_of(sets)] == [
        tuple(f"caption {number}" for number in own) for own in expected
    ]
    assert (source.fit, source.box_scale, list(source.data)) == (
        "crop", 1.0, ["1_attributes", "color", "images"],
    )  # fmt: skip


@pytest.mark.parametrize("fit", ["crop", "squash", "pad"])
@pytest.mark.parametrize(("scale", "rows", "columns"), [(1.0, (4, 15), (3, 23)),
                                                        (2.0, (0, 21), (0, 33))])  # fmt: skip
def test_squares_are_the_boxes_pixels(sets, folder, fit, scale, rows, columns):
    source = box_inputs(sets, folder, CONFIG, fit, scale)
    whole = np.asarray(Image.open(folder / "val" / "b.png"))
    expected = fit_square(whole[slice(*rows), slice(*columns)], 16, fit)
    np.testing.assert_array_equal(decode(source.squares[1]), expected)


def test_images_have_to_be_as_the_annotations_say(sets, folder):
    Image.new("RGB", (41, 30)).save(folder / "val" / "a.png")
    message = r"1_attributes: val/a\.png is said to be 40 x 30 pixels, and is 41 x 30"
    with pytest.raises(InputError, match=message):
        box_inputs(sets, folder, CONFIG, "crop", 1.0)
    (folder / "val" / "a.png").unlink()
    with pytest.raises(InputError, match=r"a\.png: not an image that can be read"):
        box_inputs(sets, folder, CONFIG, "crop", 1.0)


def test_a_lost_box_takes_its_annotations_along(sets, folder):
    source = box_inputs(sets, folder, CONFIG, "crop", 1.0)
    images, texts = np.eye(2, 3, dtype=np.float32), np.eye(5, 3, dtype=np.float32)
    features = source.features(images, texts, [1], ORIGIN)
    np.testing.assert_array_equal(features.images, images[:1])
    np.testing.assert_array_equal(features.boxes.annotations, [10])
    np.testing.assert_array_equal(features.box_images, [0])
    assert features.boxes.set_names == ("1_attributes",)
    with pytest.raises(InputError, match="no image could be decoded"):
        source.features(images, texts, [0, 1], ORIGIN)


def test_whole_images_keep_every_caption(folder):
    images = (
        CaptionedImage(4, "val/b.png", "test", ("x", "y")),
        CaptionedImage(5, "val/a.png", "train", ("x",)),
    )
    source = caption_inputs(CaptionSet("coco", images, "ab"), folder, CONFIG, "squash")
    assert source.texts == ("x", "y") and source.splits == ("test", "train")
    whole = np.asarray(Image.open(folder / "val" / "b.png"))
    np.testing.assert_array_equal(decode(source.squares[0]), fit_square(whole, 16, "squash"))
    embedded, texts = np.eye(2, 3, dtype=np.float32), np.eye(2, 3, dtype=np.float32)
    features = source.features(embedded, texts, [], ORIGIN)
    assert features.texts == ("x", "y", "x")
    np.testing.assert_array_equal(features.captions, texts[[0, 1, 0]])
    np.testing.assert_array_equal(features.caption_images, [0, 0, 1])
    fewer = source.features(embedded, texts, [0], ORIGIN)
    assert (fewer.texts, fewer.splits, fewer.image_names) == (("x",), ("train",), ("val/a.png",))
    np.testing.assert_array_equal(fewer.caption_images, [0])


def test_names_of_other_systems_are_found_and_what_fails_is_named(sets, folder):
    renamed = folder / "val" / "A.PNG"
    (folder / "val" / "a.png").rename(renamed)
    expected = np.asarray(Image.open(renamed))
    source = box_inputs(sets, folder, CONFIG, "crop", 1.0)
    np.testing.assert_array_equal(decode(source.squares[0]), fit_square(expected, 16, "crop"))
    windows = (CaptionedImage(4, r"val\b.png", "test", ("x",)),)
    source = caption_inputs(CaptionSet("coco", windows, "ab"), folder, CONFIG, "squash")
    assert decode(source.squares[0]).shape == (16, 16, 3) and source.notices == ()
    with pytest.raises(InputError, match=r"^1_attributes, annotation 10, A.PNG: box scale"):
        box_inputs(sets, folder, CONFIG, "crop", 0.0)
    Image.new("RGB", (1, 90)).save(folder / "val" / "thin.png")
    tall = (CaptionedImage(4, "val/thin.png", "test", ("x",)),)
    with pytest.raises(InputError, match=r"^val/thin.png: an image of 1 x 90 pixels is too narrow"):
        caption_inputs(CaptionSet("coco", tall, "ab"), folder, CONFIG, "pad")


def test_what_a_viewer_would_show_otherwise_is_noticed(sets, folder):
    Image.new("RGBA", (40, 30)).save(folder / "val" / "a.png")
    (notice,) = box_inputs(sets, folder, CONFIG, "crop", 1.0).notices
    assert notice.startswith("1 of 2 images may have transparent pixels") and "a.png" in notice
