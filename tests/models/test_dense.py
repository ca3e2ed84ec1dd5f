"""Features of patches, against FG-CLIP's way to them on plain CLIP and on its own networks."""

import functools
from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx

from jclip.checkpoints import load_checkpoint
from jclip.images.regions import region_weights
from jclip.models import CLIP, CLIPConfig, TextConfig, VisionConfig

GOLDEN = Path(__file__).parents[1] / "golden"
TOWER = {"width": 16, "layers": 2, "heads": 2, "mlp_width": 32}

checkpoint = functools.cache(lambda name: load_checkpoint(GOLDEN / name))


def dense_of(name, pixels):
    graph, state = nnx.split(checkpoint(name).clip)
    return np.asarray(jax.jit(lambda s, x: nnx.merge(graph, s).encode_dense(x))(state, pixels))


def regions_of(dense, boxes):
    weights = region_weights(boxes, dense.shape[:2])
    return np.einsum("yxe,ry,rx->re", dense, *weights)


@pytest.mark.parametrize("name", ["hf_gelu", "hf_quick_gelu"])
def test_plain_clip_has_dense_features_and_regions(name):
    arrays = np.load(GOLDEN / "fine_grained" / f"dense_{name}.npz")
    pixels = np.concatenate([arrays["pixels"], arrays["picture_pixels"]]).transpose(0, 2, 3, 1)
    dense = dense_of(name, pixels)
    assert dense.shape == (4, 4, 4, 32)
    assert np.abs(dense.reshape(4, 16, 32) - arrays["dense"]).max() < 1e-5
    assert np.abs(dense.reshape(4, 16, 32) - arrays["wrong_with_attention"]).max() > 1e-2
    boxes = arrays["boxes_cells"][:, 1:]
    assert np.abs(regions_of(dense[3], boxes) - arrays["regions"]).max() < 1e-5
    for one, wanted in zip(dense, arrays["other_regions"], strict=False):
        assert np.abs(regions_of(one, boxes) - wanted).max() < 1e-5


def test_fgclip_1():
    arrays = np.load(GOLDEN / "fgclip1" / "expected.npz")
    dense = dense_of("fgclip1", arrays["pixels"].transpose(0, 2, 3, 1))
    assert np.abs(dense.reshape(3, 16, 24) - arrays["dense_features"]).max() < 1e-5
    boxes = arrays["boxes_image_x1_y1_x2_y2_in_cells"]
    for (image, *box), wanted in zip(boxes, arrays["roi_features"], strict=True):
        found = regions_of(dense[int(image)], np.array([box]))
        assert np.abs(found - wanted).max() < 1e-5


def test_fgclip_2_in_every_shape():
    arrays = np.load(GOLDEN / "fgclip2" / "expected.npz")
    boxes, regions = arrays["boxes_0_x1_y1_x2_y2_in_cells"], arrays["roi_features"]
    for number, (rows, columns) in enumerate(arrays["spatial_shapes"]):
        patches = arrays["pixels"][number, : rows * columns].reshape(rows, columns, 16, 16, 3)
        pixels = patches.swapaxes(1, 2).reshape(1, rows * 16, columns * 16, 3)
        (dense,) = dense_of("fgclip2", pixels)
        wanted = arrays["dense_features"][number, : rows * columns]
        assert np.abs(dense.reshape(len(wanted), -1) - wanted).max() < 1e-5
        found = regions_of(dense, boxes[number, :, 1:])
        assert np.abs(found - regions[4 * number : 4 * number + 4]).max() < 1e-5


def test_patches_without_features_in_the_space_of_texts_are_refused():
    vision = VisionConfig(
        **TOWER, image_size=16, patch_size=4, class_token=False, pooling="map",
        pool_heads=2, pool_mlp_width=32, projection="none",
    )  # fmt: skip
    assert not vision.has_dense
    text = TextConfig(**TOWER, context_length=8, vocabulary_size=20)
    clip = CLIP(CLIPConfig(vision=vision, text=text, embedding_width=16), rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="no features in the space of texts"):
        clip.encode_dense(np.zeros((1, 16, 16, 3), np.float32))
