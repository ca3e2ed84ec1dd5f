"""Detectors see the pixels that transformers' processors give them, where those need no PyTorch."""

import importlib

import numpy as np
import pytest

from jclip.images import CLIP_MEAN, CLIP_STD
from jclip.images.owl_preprocess import DetectorImages, detector_pixels, tower_boxes

SHAPES = [(48, 80), (100, 37), (50, 64), (30, 30)]


def config(size, padded):
    return DetectorImages(size=size, mean=CLIP_MEAN, std=CLIP_STD, padded=padded)


def noise(shape):
    return np.random.default_rng(sum(shape)).integers(0, 256, (*shape, 3), dtype=np.uint8)


def library(kind, image, size):
    # From its own module: the package's lazy imports hide it where PyTorch is missing.
    name = {"owlvit": "OwlViT", "owlv2": "Owlv2"}[kind]
    module = importlib.import_module(f"transformers.models.{kind}.image_processing_pil_{kind}")
    processor = getattr(module, f"{name}ImageProcessorPil")(size={"height": size, "width": size})
    pixels = processor(images=image, return_tensors="np", input_data_format="channels_last")
    return np.asarray(pixels["pixel_values"][0]).transpose(1, 2, 0)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["owlvit", "owlv2"])
def test_pixels_equal_the_library(kind, shape):
    image = noise(shape)
    found = detector_pixels(image, config(64, kind == "owlv2"))
    assert found.shape == (64, 64, 3) and found.dtype == np.float32
    # Values span about 4.4 standard deviations in float32.
    assert np.abs(found - library(kind, image, 64)).max() < 2e-6


def test_bars_are_black_and_to_the_right_or_below():
    image = np.full((32, 64, 3), 255, np.uint8)
    found = detector_pixels(image, config(32, True))
    black, white = -np.divide(CLIP_MEAN, CLIP_STD), (1 - np.array(CLIP_MEAN)) / CLIP_STD
    assert found[:12] == pytest.approx(np.broadcast_to(white, (12, 32, 3)), abs=1e-5)
    assert found[20:] == pytest.approx(np.broadcast_to(black, (12, 32, 3)), abs=1e-5)


def test_boxes_are_in_units_of_what_the_tower_sees():
    boxes = np.array([[50.0, 20.0, 100.0, 50.0], [0.0, 0.0, 200.0, 100.0]])
    squashed = tower_boxes(boxes, 100, 200, config(64, False))
    assert squashed == pytest.approx(np.array([[0.25, 0.2, 0.75, 0.7], [0, 0, 1, 1]]))
    padded = tower_boxes(boxes, 100, 200, config(64, True))
    assert padded == pytest.approx(np.array([[0.25, 0.1, 0.75, 0.35], [0, 0, 1, 0.5]]))
