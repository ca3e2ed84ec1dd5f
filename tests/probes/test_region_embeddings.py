"""Boxes as regions: one embedding a picture, and the fault of a grid that is not the tower's."""

import dataclasses
import functools
from pathlib import Path

import numpy as np
import pytest
from small_features import box_features, origin

from jclip.checkpoints import load_checkpoint
from jclip.data.boxes import AnnotatedImage, Box, box_table
from jclip.data.images import ImageFile
from jclip.data.pipeline import plan_batches, stream_batches
from jclip.data.region_inputs import fixed_grid, region_inputs
from jclip.images import Patches
from jclip.images.regions import boxes_in_cells, region_weights
from jclip.probes.region_ranks import Subject, judge
from jclip.probes.regions import saturated, stream_region_embeddings, text_kind

GOLDEN = Path(__file__).parents[1] / "golden"
RNG = np.random.default_rng(0)
SIZES = ((40, 60), (40, 60), (90, 33))
PIXELS = [RNG.integers(0, 256, (*size, 3), dtype=np.uint8) for size in SIZES]

checkpoint = functools.cache(lambda name: load_checkpoint(GOLDEN / name))


def pictures_and_boxes():
    """Three pictures with three, none and one distinct box in them, one box twice."""
    files = {
        f"{n}.png": ImageFile(f"{n}.png", lambda n=n: PIXELS[n], *SIZES[n], digest="")
        for n in range(3)
    }
    places = [(2, (1.5, 2, 20, 60)), (0, (0, 0, 60, 40)), (0, (3, 4, 5, 6)), (0, (0, 0, 60, 40)),
              (0, (30, 20, 29.5, 2))]  # fmt: skip
    boxes = [
        Box("own", row, AnnotatedImage(f"{n}.png", SIZES[n][1], SIZES[n][0]), box, ("a", "b"))
        for row, (n, box) in enumerate(places)
    ]
    return files, box_table(boxes, {"own": ""})


@pytest.mark.parametrize("name", ["hf_gelu", "fgclip2"])
def test_a_batch_of_pictures_gives_every_box_its_region(name):
    files, table = pictures_and_boxes()
    model = checkpoint(name)
    config, patch = model.image_config, model.clip.config.vision.patch_size
    inputs = region_inputs(table, files, config, patch)
    assert [len(own) for own in inputs.boxes] == [1, 3]
    plans = plan_batches(inputs.pictures, 4)
    batches = stream_batches(inputs.pictures, plans, record_failures=False)
    found = np.zeros((4, model.clip.config.embedding_width), np.float32)
    for batch, regions in stream_region_embeddings(batches, inputs, model.clip, config):
        for picture, own in zip(batch.indices, regions, strict=True):
            found[inputs.boxes[picture]] = own[: len(inputs.boxes[picture])]
    rows, _ = table.distinct()
    for row, region in zip(rows, found, strict=True):
        image = table.images[table.image_rows[row]]
        picture = next(one for one in inputs.pictures if one.name == image.file)
        pixels = (picture.content()[None] / np.float32(255) - config.mean) / config.std
        (dense,) = np.asarray(model.clip.encode_dense(pixels.astype(np.float32)))
        size = np.array([[image.height, image.width]])
        cells = boxes_in_cells(table.boxes[row : row + 1], size, dense.shape[:2])
        ((y,), (x,)) = region_weights(cells, dense.shape[:2])
        assert np.abs(np.einsum("yxe,y,x->e", dense, y, x) - region).max() < 1e-5
    whole = np.flatnonzero(table.boxes[rows][:, 2] == 60)[0]
    assert inputs.cells[whole] == pytest.approx(np.prod([s // patch for s in (
        inputs.pictures[1].height, inputs.pictures[1].width)]))  # fmt: skip


def test_kinds_of_captions():
    assert text_kind(checkpoint("fgclip2").clip.config, "roi", "short") == "box"
    assert text_kind(checkpoint("fgclip2").clip.config, "crop", "short") == "short"
    assert text_kind(checkpoint("hf_gelu").clip.config, "roi", "short") == "short"


def small_boxes(size, boxes=400):
    """Boxes all over pictures of 640 x 480, mostly small, as in FG-OVD, with a grid's weights."""
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 0.9, (boxes, 2)) * (640, 480)
    sides = np.minimum(rng.uniform(0.02, 0.3, (boxes, 2)) * (640, 480), (640, 480) - low)
    cells = boxes_in_cells(np.hstack([low, sides]), np.array([[480, 640]]), size)
    return region_weights(cells, (7, 7))


def judged(size, **faults):
    """Maps that say nothing of captions, by a tower of 7 x 7 patches, boxes on another grid."""
    rng = np.random.default_rng(1)
    y, x = small_boxes(size)
    maps = rng.standard_normal((len(y), 7, 7, 16)).astype(np.float32)
    regions = np.einsum("ryxe,ry,rx->re", maps, y, x)
    rows = np.arange(len(y))
    captions = rng.standard_normal((11 * len(y), 16)).astype(np.float32)
    own = (rows[:, None] + len(y) * np.arange(11)).tolist()
    features = box_features(regions, captions, {"1_attributes": (rows, rows, own)}, origin())
    subject = Subject("B/32", "roi", features, np.ones(len(y)))
    (found,) = judge(subject, faults)
    return found.places


def test_a_fixed_grid_makes_a_tower_of_seven_patches_win_by_ties():
    config = checkpoint("hf_gelu").image_config
    assert fixed_grid(config) == (14, 14)
    wrong = judged((14, 14), grid=True, softmax=True)
    right = judged((7, 7))
    # It knows nothing: a guess is right for 9 %. Where boxes land outside, all captions tie.
    assert wrong.ties_for.mean() > 0.5
    assert wrong.ties_against.mean() < 0.12
    assert wrong.decided.mean() > 0.45
    assert wrong.ties_shared.mean() < 0.15
    assert right.ties_for.mean() < 0.15
    assert not right.decided.any()
    # Cosines of zeros are zeros, and tie as well.
    cosines = judged((14, 14), grid=True)
    assert (cosines.decided == wrong.decided).all()


def test_the_grid_that_is_taken_for_every_tower():
    config = checkpoint("hf_gelu").image_config
    assert fixed_grid(dataclasses.replace(config, size=336)) == (24, 24)
    assert fixed_grid(dataclasses.replace(config, size=Patches(16, 256))) is None


def test_a_softmax_in_float32_makes_ties_and_keeps_what_is_missing():
    scores = np.array([[3.0, 1.0, np.nan], [0.5, 0.5 + 1e-8, 0.2]], np.float32)
    found = saturated(scores)
    assert np.isnan(found[0, 2]) and found[0, 0] == 1 and found[0, 1] == 0
    assert found[1, 0] == found[1, 1]
    assert np.nansum(found, axis=1) == pytest.approx(1)
