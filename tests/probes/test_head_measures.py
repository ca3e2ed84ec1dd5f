"""Ranks and recalls of a head, and of the embeddings themselves."""

import dataclasses

import numpy as np
import pytest
from flax import nnx
from small_features import SIZE, boxed, captioned

from jclip.heads import HeadConfig, create_head
from jclip.probes.heads import RECALLS, measure_cosine, measure_head
from jclip.training.head_data import retrieval_pairs


def test_measures_are_ranks_and_recalls():
    found = measure_cosine(boxed(9), retrieval_pairs(captioned()))
    assert found.keys() == {"mean_rank", "Hard", "Pattern", *RECALLS}
    assert found["mean_rank"] == pytest.approx((found["Hard"] + found["Pattern"]) / 2)
    assert 1 <= found["Hard"] <= 4
    assert found["i2t_r1"] <= found["i2t_r5"] <= found["i2t_r10"] <= 100


def test_a_head_that_changes_nothing_measures_as_none():
    head = create_head(HeadConfig("linear", SIZE, "cosine"), nnx.Rngs(0), "identity")
    some = boxed(9), retrieval_pairs(captioned())
    assert measure_head(head, *some) == pytest.approx(measure_cosine(*some))


def test_turning_captions_back_finds_what_they_are_about():
    """The captions of `small_features` are their images with the features turned by one."""
    head = create_head(HeadConfig("linear_text", SIZE, "cosine"), nnx.Rngs(0), "identity")
    head.text.kernel[...] = head.text.kernel[...][:, [*range(1, SIZE), 0]]
    found = measure_head(head, boxed(9), retrieval_pairs(captioned()))
    assert found["i2t_r1"] == found["t2i_r1"] == 100
    assert found["mean_rank"] < 1.5


def test_each_recall_stands_under_its_own_name():
    """Captions of 24 images, three of the first, on data where all six recalls differ."""
    about = np.array([0, 0, 0, *range(1, 24), *range(1, 24)])
    rng = np.random.default_rng(0)
    images = rng.normal(size=(24, SIZE)).astype(np.float32)
    captions = (images[about] + 2.2 * rng.normal(size=(49, SIZE))).astype(np.float32)
    pairs = dataclasses.replace(
        captioned(),
        images=images,
        captions=captions,
        image_names=tuple(f"{row}.png" for row in range(24)),
        texts=tuple(map(str, range(49))),
        caption_images=about,
        splits=("test",) * 24,
    )
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (images, captions)]
    cosine = unit[0] @ unit[1].T
    best = [cosine[row][about == row].max() for row in range(24)]
    by_image = [1 + sum(cosine[row][about != row] >= best[row]) for row in range(24)]
    by_caption = [sum(cosine[:, row] >= cosine[about[row], row]) for row in range(49)]
    expected = {
        f"{way}_r{k}": 100 * np.mean(np.array(ranks) <= k)
        for way, ranks in (("i2t", by_image), ("t2i", by_caption))
        for k in (1, 5, 10)
    }
    assert len(set(expected.values())) == 6
    found = measure_cosine(boxed(9), pairs)
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert list(RECALLS) == ["i2t_r1", "i2t_r5", "i2t_r10", "t2i_r1", "t2i_r5", "t2i_r10"]
