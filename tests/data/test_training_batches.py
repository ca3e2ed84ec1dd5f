"""Training batches: every image once an epoch, another order each time, exact position."""

import numpy as np
import pytest

from jclip.data.image_sets import open_image_set, split_image_set
from jclip.data.images import decode
from jclip.data.training_batches import image_batches, steps_per_epoch
from jclip.errors import InputError


@pytest.fixture
def images(panorama_folder):
    return open_image_set(str(panorama_folder([f"{i}.png" for i in range(7)]))).images


def test_every_image_once_an_epoch(images):
    rows = [batch["rows"] for batch in image_batches(images, 3, 4, seed=1)]
    assert len(rows) == 4 * steps_per_epoch(images, 3) == 8
    epochs = np.concatenate(rows).reshape(4, 6)
    assert all(len(set(epoch)) == 6 for epoch in epochs.tolist())
    assert len({tuple(epoch) for epoch in epochs.tolist()}) == 4
    assert set(epochs.ravel().tolist()) == set(range(7)), "another image is left out each time"


@pytest.mark.parametrize(
    ("size", "last", "steps"), [(3, "short", 3), (8, "short", 1), (8, "dropped", 1)]
)
def test_a_short_last_batch_is_filled_up(images, size, last, steps):
    assert steps_per_epoch(images, size, last) == steps
    batches = list(image_batches(images, size, 2, seed=1, last_batch=last))
    assert len(batches) == 2 * steps
    assert {len(batch["rows"]) for batch in batches} == {size}
    seen = [batch["rows"][batch["present"]].tolist() for batch in batches]
    epochs = [np.concatenate(half).tolist() for half in (seen[:steps], seen[steps:])]
    assert [sorted(epoch) for epoch in epochs] == [list(range(7))] * 2 and epochs[0] != epochs[1]
    assert not batches[-1]["images"][~batches[-1]["present"]].any()
    for row, pixels in zip(seen[-1], batches[-1]["images"], strict=False):
        np.testing.assert_array_equal(pixels, decode(images[row]))


def test_nothing_is_filled_up_where_batches_are_full(images):
    (batch,) = image_batches(images, 7, 1, seed=1, last_batch="short")
    assert batch.keys() == {"images", "rows"}


def test_rows_name_their_images_and_a_position_is_exact(images):
    batches = image_batches(images, 2, 2, seed=0)
    next(batches)
    position = batches.get_state()
    expected = [next(batches) for _ in range(3)]
    for batch in expected:
        for row, pixels in zip(batch["rows"], batch["images"], strict=True):
            np.testing.assert_array_equal(pixels, decode(images[row]))
    again = image_batches(images, 2, 2, seed=0)
    again.set_state(position)
    for batch in expected:
        np.testing.assert_array_equal(next(again)["rows"], batch["rows"])


def test_batches_that_cannot_be(images, panorama_folder):
    assert len(images) == 7
    panorama_folder(["wide.png"], size=(96, 48), captions=False)
    folder = panorama_folder(["0.png", "wide.png"], size=(96, 48))
    (folder / "captions.csv").unlink()
    (folder / "prompts.txt").write_text("\n".join("abcdefgh"))
    with pytest.raises(InputError, match=r"1.png is 64 x 32 and 0.png 96 x 48"):
        steps_per_epoch(open_image_set(str(folder)).images, 2)


def test_parts_of_a_set_share_no_image(panorama_folder):
    opened = open_image_set(str(panorama_folder([f"{i}.png" for i in range(10)])))
    parts = split_image_set(opened, (0.6, 0.2, 0.2), seed=3)
    assert [len(part.images) for part in parts] == [6, 2, 2]
    names = [image.name for part in parts for image in part.images]
    assert sorted(names) == sorted(image.name for image in opened.images)
    for part in parts:
        for image, caption, line in zip(part.images, part.captions, part.lines, strict=True):
            number = int(image.name.removesuffix(".png"))
            assert (caption, line) == (f"a room number {number}", number + 2)
    assert [p.images for p in split_image_set(opened, (6.0, 2.0, 2.0), seed=3)] == [
        p.images for p in parts
    ]
    with pytest.raises(InputError, match="10 images are too few for 3 parts"):
        split_image_set(opened, (0.98, 0.01, 0.01), seed=0)
    parts = split_image_set(opened, (0.7, 0.01, 0.29), seed=0)
    assert [len(part.images) for part in parts] == [7, 0, 3]
