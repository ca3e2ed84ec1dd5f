"""Zero-shot classification against its definition."""

import numpy as np
import pytest

from jclip.probes.zero_shot import (
    Classified,
    accuracy_table,
    balanced_share,
    class_table,
    classify,
    confusion_table,
    loading_table,
)

CLASSES = tuple("abcdefg")


def made(n=2500, size=12, seed=0):
    """Images around the mean prompt of their class, most of them of the first class."""
    rng = np.random.default_rng(seed)
    texts = rng.standard_normal((len(CLASSES) * 3, size), np.float32)
    labels = np.minimum(rng.geometric(0.4, n) - 1, 6)
    unit = texts / np.linalg.norm(texts, axis=1, keepdims=True)
    images = unit.reshape(7, 3, size).mean(axis=1)[labels]
    images = (images + 0.25 * rng.standard_normal((n, size))).astype(np.float32)
    return images, texts, labels


def test_ranks_are_those_of_the_mean_prompts():
    images, texts, labels = made()
    found = classify(images, texts, labels, CLASSES, "m")
    unit = texts / np.linalg.norm(texts, axis=1, keepdims=True)
    means = unit.reshape(7, 3, -1).mean(axis=1)
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    scores = images @ means.T
    order = np.argsort(-scores, axis=1)
    np.testing.assert_array_equal(found.predicted, order[:, 0])
    np.testing.assert_array_equal(found.ranks, 1 + np.argmax(order == labels[:, None], axis=1))
    assert 0.5 < found.within(1).mean() < 1


def test_a_tie_counts_against_the_right_class():
    texts = np.ones((2, 4), np.float32)
    found = classify(np.ones((3, 4), np.float32), texts, np.zeros(3, int), ("a", "b"), "m")
    assert found.ranks.tolist() == [2, 2, 2]


def test_classes_weigh_the_same():
    labels = np.array([0] * 90 + [1] * 10)
    right = labels == 0
    share, low, high = balanced_share(right, labels)
    assert (share, low, high) == (0.5, 0.5, 0.5)
    right[:45] = False
    share, low, high = balanced_share(right, labels)
    assert share == 0.25 and low < share < high


def result(labels, predicted, model="m", classes=CLASSES):
    labels, predicted = np.array(labels), np.array(predicted)
    return Classified(model, classes, labels, predicted, np.where(labels == predicted, 1, 2))


def test_tables_say_who_is_taken_for_whom():
    one = result([0, 0, 0, 0, 1, 1, 2], [1, 1, 0, 2, 1, 1, 0], classes=("a", "b", "c"))
    confusions = confusion_table(one).to_pylist()
    assert confusions[0] == {"class": "a", "taken_for": "b", "images": 2, "share": 50.0}
    assert len(confusions) == 3
    rows = {row["class"]: row for row in class_table([one]).to_pylist()}
    assert (rows["a"]["right"], rows["a"]["taken_for"], rows["a"]["taken"]) == (25, "b", 2)
    assert rows["b"]["right"] == 100 and rows["b"]["taken_for"] is None
    # Of three classes the first five are no question.
    (top,) = accuracy_table([one]).to_pylist()
    assert top["top"] == 1 and top["right"] == pytest.approx(300 / 7)
    assert top["balanced"] == pytest.approx((25 + 100 + 0) / 3)
    assert top["low"] < top["right"] < top["high"]


def test_a_wrong_way_to_load_is_told_by_the_same_images():
    labels = np.arange(70) % 7
    right = result(labels, labels)
    other = result(labels, np.where(np.arange(70) < 12, (labels + 1) % 7, labels), "m, other")
    (row,) = loading_table(right, [other]).to_pylist()
    assert row["loaded"] == "other" and row["difference"] == pytest.approx(1200 / 70)
    assert (row["only_first"], row["only_second"]) == (12, 0)
    assert row["p"] == pytest.approx(2 * 0.5**12)
