"""Scores of the captions of annotated boxes, many images and sets at once."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jclip.checkpoints.owl import load_detector
from jclip.data.boxes import AnnotatedImage, Box, box_table
from jclip.data.pipeline import Batch
from jclip.images.owl_preprocess import detector_pixels, tower_boxes
from jclip.models.owl import class_logits
from jclip.probes import detector_scores
from jclip.probes.box_matching import caption_scores
from jclip.probes.detector_scores import fill_scores, score_table, stream_detector_scores

GOLDEN = Path(__file__).parents[1] / "golden"
IMAGES = [AnnotatedImage(f"{i}.png", width, 48) for i, width in enumerate((64, 40, 64, 80))]
RULES = ("corrected", "reference")


def make_table():
    """Two sets of boxes that share images and captions, with 3 and with up to 9 captions."""
    rng, boxes = np.random.default_rng(0), []
    for name, most in (("color", 3), ("pattern", 9)):
        for number in range(6):
            image = IMAGES[number % len(IMAGES)]
            low = rng.uniform(0, 0.5, 2) * (image.width, image.height)
            sides = rng.uniform(0.2, 0.5, 2) * (image.width, image.height)
            captions = [f"text {i}" for i in rng.permutation(20)[: most - number % 2]]
            box = (*low.tolist(), *sides.tolist())
            boxes.append(Box(name, 10 * number, image, box, tuple(captions)))
    return box_table(boxes, {})


def make_batches():
    rng = np.random.default_rng(1)
    for row, image in enumerate(IMAGES):
        pixels = rng.integers(0, 256, (1, image.height, image.width, 3), dtype=np.uint8)
        yield Batch((row,), pixels, ())


@pytest.mark.parametrize("name", ["owlvit", "owlv2"])
def test_scores_are_those_of_one_image_and_box_at_a_time(name):
    checkpoint, table = load_detector(GOLDEN / name), make_table()
    texts = jax.random.normal(jax.random.key(0), (20, 32))
    stream = stream_detector_scores(make_batches(), table, checkpoint, texts, RULES, 3)
    pictures, seen = {batch.indices[0]: batch for batch in make_batches()}, 0
    for row, scores in (one for step in stream for one in by_image(table, *step)):
        seen += 1
        pixels = detector_pixels(pictures[row].pixels[0], checkpoint.image_config)
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
    assert seen == len(IMAGES)


def by_image(table, batch, scores):
    """Each image of a step with the scores of its own boxes."""
    rows = table.image_rows[table.rows_of_images(batch.indices)]
    for image in batch.indices:
        yield image, {rule: found[rows == image] for rule, found in scores.items()}


def test_each_image_is_encoded_once(monkeypatch):
    checkpoint, table = load_detector(GOLDEN / "owlvit"), make_table()
    steps, real = [], detector_scores._predict

    def counting(graph, state, pixels):
        steps.append(len(pixels))
        return real(graph, state, pixels)

    monkeypatch.setattr(detector_scores, "_predict", counting)
    batches = list(make_batches())[:3]
    texts = jax.random.normal(jax.random.key(0), (20, 32))
    found = list(stream_detector_scores(batches, table, checkpoint, texts, ("corrected",), 2))
    assert steps == [2, 2]
    assert [batch.indices for batch, _ in found] == [(0, 1), (2,)]
    images = [one for step in found for one in by_image(table, *step)]
    assert [row for row, _ in images] == [0, 1, 2]
    for row, scores in images:
        missing = table.caption_rows[table.image_rows == row] < 0
        assert np.array_equal(np.isnan(scores["corrected"]), missing)


def test_a_row_names_its_set_annotation_and_caption():
    image = AnnotatedImage("a.png", 10, 10)
    box = (0.0, 0.0, 5.0, 5.0)
    boxes = [
        Box("color", 7, image, box, ("a", "b", "c")),
        Box("own", 9, image, box, ("b", "a")),
        Box("own", 3, image, box, ("c", "b")),
    ]
    scores = {
        "corrected": np.arange(9, dtype=np.float32).reshape(3, 3) / 16,
        "reference": np.arange(9, 18, dtype=np.float32).reshape(3, 3) / 32,
    }
    rows = score_table(box_table(boxes, {}), scores, np.array([True, False, True])).to_pydict()
    assert rows == {
        "box": [0, 0, 0, 2, 2],
        "set": ["color"] * 3 + ["own"] * 2,
        "annotation": [7, 7, 7, 3, 3],
        "caption": [0, 1, 2, 0, 1],
        "corrected": [0, 1 / 16, 2 / 16, 6 / 16, 7 / 16],
        "reference": [9 / 32, 10 / 32, 11 / 32, 15 / 32, 16 / 32],
    }


def test_scores_written_as_rows_are_read_back():
    table = make_table()
    rng = np.random.default_rng(0)
    present = table.caption_rows >= 0
    scores = {rule: rng.random(present.shape, np.float32) for rule in RULES}
    first = table.sets == "color"
    parts = [score_table(table, scores, kept) for kept in (first, ~first)]
    assert sum(map(len, parts)) == present.sum()
    assert set(parts[0]["set"].to_pylist()) == {"color"}
    again = {rule: np.full(present.shape, np.nan, np.float32) for rule in RULES}
    fill_scores(again, parts)
    for rule in RULES:
        assert np.array_equal(again[rule], np.where(present, scores[rule], np.nan), equal_nan=True)
