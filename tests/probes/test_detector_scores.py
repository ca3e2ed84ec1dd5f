"""Scores of the captions of annotated boxes, many images and sets at once."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jclip.checkpoints.owl import load_detector
from jclip.data.box_table import box_table
from jclip.data.fg_ovd import AnnotatedBox, AnnotatedImage, FineGrainedSet
from jclip.data.pipeline import Batch
from jclip.images.owl_preprocess import detector_pixels, tower_boxes
from jclip.models.owl import class_logits
from jclip.probes import detector_scores
from jclip.probes.detection import caption_scores
from jclip.probes.detector_scores import fill_scores, score_table, stream_detector_scores

GOLDEN = Path(__file__).parents[1] / "golden"
IMAGES = [AnnotatedImage(f"{i}.png", width, 48) for i, width in enumerate((64, 40, 64, 80))]
RULES = ("corrected", "reference")


def make_sets():
    """Two sets of boxes that share images and captions, with 3 and with up to 9 captions."""
    rng, sets = np.random.default_rng(0), []
    for name, most in (("color", 3), ("pattern", 9)):
        boxes = []
        for number in range(6):
            image = IMAGES[number % len(IMAGES)]
            low = rng.uniform(0, 0.5, 2) * (image.width, image.height)
            sides = rng.uniform(0.2, 0.5, 2) * (image.width, image.height)
            captions = [f"text {i}" for i in rng.permutation(20)[: most - number % 2]]
            box = (*low.tolist(), *sides.tolist())
            boxes.append(AnnotatedBox(10 * number, image, box, captions[0], tuple(captions[1:])))
        sets.append(FineGrainedSet(name, tuple(boxes), "0" * 64))
    return sets


def make_batches():
    rng = np.random.default_rng(1)
    for row, image in enumerate(IMAGES):
        pixels = rng.integers(0, 256, (1, image.height, image.width, 3), dtype=np.uint8)
        yield Batch((row,), pixels, ())


@pytest.mark.parametrize("name", ["owlvit", "owlv2"])
def test_scores_are_those_of_one_image_and_box_at_a_time(name):
    checkpoint, table = load_detector(GOLDEN / name), box_table(make_sets())
    texts = jax.random.normal(jax.random.key(0), (20, 32))
    stream = stream_detector_scores(make_batches(), table, checkpoint, texts, RULES, 3)
    for batch, scores in stream:
        (row,) = batch.indices
        pixels = detector_pixels(batch.pixels[0], checkpoint.image_config)
        predicted = checkpoint.detector.predict(pixels[None])
        every = jax.nn.sigmoid(class_logits(predicted, texts[None]))[0]
        centre, half = predicted.boxes[0, :, :2], predicted.boxes[0, :, 2:] / 2
        corners = jnp.concatenate([centre - half, centre + half], axis=1)
        boxes = np.flatnonzero(table.image_rows == row)
        image = table.images[row]
        own = tower_boxes(table.boxes[boxes], image.height, image.width, checkpoint.image_config)
        for rule in RULES:
            captions = jnp.asarray(table.caption_rows[boxes])
            expected = caption_scores(corners, every, jnp.asarray(own), captions, rule)
            np.testing.assert_allclose(scores[rule], expected, atol=1e-5)


def test_each_image_is_encoded_once(monkeypatch):
    checkpoint, table = load_detector(GOLDEN / "owlvit"), box_table(make_sets())
    steps, real = [], detector_scores._predict

    def counting(graph, state, pixels):
        steps.append(len(pixels))
        return real(graph, state, pixels)

    monkeypatch.setattr(detector_scores, "_predict", counting)
    batches = list(make_batches())[:3]
    texts = jax.random.normal(jax.random.key(0), (20, 32))
    found = list(stream_detector_scores(batches, table, checkpoint, texts, ("corrected",), 2))
    assert steps == [2, 2]
    assert [batch for batch, _ in found] == batches
    for row, (_, scores) in enumerate(found):
        missing = table.caption_rows[table.image_rows == row] < 0
        assert np.array_equal(np.isnan(scores["corrected"]), missing)


def test_scores_written_as_rows_are_read_back():
    table = box_table(make_sets())
    rng = np.random.default_rng(0)
    present = table.caption_rows >= 0
    scores = {rule: rng.random(present.shape, np.float32) for rule in RULES}
    first = table.of_set("color")
    parts = [score_table(table, scores, kept) for kept in (first, ~first)]
    assert sum(map(len, parts)) == present.sum()
    assert set(parts[0]["set"].to_pylist()) == {"color"}
    again = {rule: np.full(present.shape, np.nan, np.float32) for rule in RULES}
    fill_scores(again, parts)
    for rule in RULES:
        assert np.array_equal(again[rule], np.where(present, scores[rule], np.nan), equal_nan=True)
