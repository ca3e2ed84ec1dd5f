"""Ranks and recalls of a head, and of the embeddings themselves."""

import pytest
from flax import nnx
from small_features import SIZE, boxed, captioned

from jclip.heads import HeadConfig, create_head
from jclip.probes.head_measures import RECALLS, measure_cosine, measure_head
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
