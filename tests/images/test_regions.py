"""RoIAlign as two vectors of weights, against torchvision's."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jclip.images.regions import boxes_in_cells, region_weights

GOLDEN = Path(__file__).parents[1] / "golden" / "fine_grained"
ARRAYS = np.load(GOLDEN / "roi_align.npz")
KINDS = json.loads((GOLDEN / "roi_align.json").read_text())


def pooled(maps, boxes, weights):
    return np.einsum("rcyx,ry,rx->rc", maps[boxes[:, 0].astype(int)], weights.y, weights.x)


@pytest.mark.parametrize("number", range(4))
def test_weights_and_regions_are_those_of_torchvision(number):
    maps, boxes, wanted, y, x, mistaken = (
        ARRAYS[f"{name}_{number}"]
        for name in ("map", "boxes", "out", "weights_y", "weights_x", "not_aligned")
    )
    found = region_weights(boxes[:, 1:], maps.shape[2:])
    assert np.abs(found.y - y).max() < 1e-6
    assert np.abs(found.x - x).max() < 1e-6
    regions = pooled(maps, boxes, found)
    assert np.abs(regions - wanted).max() < 1e-5
    if number < 3:
        assert np.abs(regions - mistaken).max() > 0.1
    kinds = KINDS[f"boxes_{number}"]
    for kind in ("no area", "far outside"):
        assert not regions[kinds.index(kind)].any()


@given(
    st.tuples(st.integers(1, 30), st.integers(1, 30)),
    st.lists(st.tuples(*[st.floats(0, 1)] * 4), min_size=1, max_size=20),
)
def test_a_box_inside_has_the_mean_of_a_constant_map(grid, drawn):
    low, high = np.sort(np.array(drawn).reshape(-1, 2, 2), axis=1).swapaxes(0, 1)
    size = np.array(grid[::-1])
    boxes = np.concatenate([low, high], axis=1) * np.tile(size, 2)
    found = region_weights(boxes, grid)
    for weights, side in ((found.x, 0), (found.y, 1)):
        some = np.float32(boxes[:, side + 2]) - np.float32(0.5) > np.float32(
            boxes[:, side]
        ) - np.float32(0.5)
        assert np.abs(weights.sum(axis=1) - some).max() < 1e-5
        assert (weights >= 0).all()


def test_a_small_box_is_one_sample_at_its_centre():
    found = region_weights(np.array([[1.1, 2.4, 1.3, 2.8]]), (4, 3))
    # Its centre (1.2, 2.6) lies between the centres 0.5 and 1.5, and 2.5 and 3.5.
    assert np.abs(found.x - [[0.3, 0.7, 0]]).max() < 1e-6
    assert np.abs(found.y - [[0, 0, 0.9, 0.1]]).max() < 1e-6


@pytest.mark.parametrize("name", ["hf_gelu", "hf_quick_gelu"])
def test_boxes_of_a_picture_become_corners_in_cells(name):
    arrays = np.load(GOLDEN / f"dense_{name}.npz")
    sizes = np.array([arrays["picture"].shape[:2]])
    found = boxes_in_cells(arrays["boxes_xywh"], sizes, (4, 4))
    assert np.abs(found - arrays["boxes_cells"][:, 1:]).max() < 1e-6
    wide = boxes_in_cells(np.array([[10.0, 20, 30, 40]]), np.array([[100, 200]]), (5, 20))
    assert wide.tolist() == [[1, 1, 4, 3]]
