"""Ranks by a detector, and what its short context does to them."""

import numpy as np
import pytest

from jclip.data.boxes import AnnotatedImage, Box, box_table
from jclip.data.features import Features, Origin
from jclip.errors import InputError
from jclip.probes.detector_ranks import clip_ranks, rank_subsets, truncations
from jclip.probes.fine_grained import rank_boxes
from jclip.text.tokenizer import TokenIds

IMAGE = AnnotatedImage("a.png", 10, 10)


DIGESTS = {"transparency": "t", "color": "c"}


def box(name, number, *captions):
    return Box(name, number, IMAGE, (0.0, 0.0, 5.0, 5.0), captions)


BOXES = [
    box("transparency", 1, "a", "b", "c"),
    box("transparency", 2, "b", "a"),
    box("transparency", 3, "d", "e"),
    box("color", 1, "a", "d"),
    box("color", 2, "b", "c", "e", "a"),
]
TABLE = box_table(BOXES, DIGESTS)
# Read in two tokens, d and e are the same.
READ = {"a": ([1, 2], False), "b": ([1, 3], False), "c": ([1, 4], False)}
TOKENS = TokenIds(
    np.array([READ.get(text, ([5, 5], True))[0] for text in TABLE.texts], np.int32),
    np.array([READ.get(text, ([5, 5], True))[1] for text in TABLE.texts]),
)
NAN = np.nan
SCORES = np.array(
    [[0.9, 0.8, 0.95, NAN], [0.1, 0.3, NAN, NAN], [0.5, 0.5, NAN, NAN],
     [0.2, 0.1, NAN, NAN], [0.4, 0.6, 0.6, 0.3]], np.float32,
)  # fmt: skip


def test_cut_captions_are_counted():
    transparency, colour = truncations(TABLE, TOKENS)
    assert (transparency.set, transparency.boxes) == ("transparency", 3)
    assert (transparency.cut, transparency.alike) == (1, 1)
    assert transparency.annotations.tolist() == [1, 2]
    assert (colour.cut, colour.alike, colour.annotations.tolist()) == (2, 0, [])


def test_the_padding_of_a_row_reads_as_no_caption():
    """The last text of the table reads as the right caption of a box with fewer captions."""
    table = box_table([box("color", 1, "a", "b", "c"), box("color", 4, "e", "a")], DIGESTS)
    assert table.texts == ("a", "b", "c", "e")
    tokens = TokenIds(
        np.array([[1], [2], [3], [3]], np.int32), np.array([False, False, False, True])
    )
    (found,) = truncations(table, tokens)
    assert (found.boxes, found.cut, found.alike) == (2, 1, 0)
    last_is_cut = box_table([box("color", 1, "a", "b", "c"), box("color", 4, "a", "b")], DIGESTS)
    tokens = TokenIds(np.array([[1], [2], [3]], np.int32), np.array([False, False, True]))
    (found,) = truncations(last_is_cut, tokens)
    assert (found.cut, found.annotations.tolist()) == (1, [4])


def test_ranks_of_each_set_in_the_paper_s_order():
    ranked = [*rank_boxes(TABLE, SCORES, "owl"), *rank_boxes(TABLE, 0 * SCORES, "silent")]
    labels = [("owl", "color"), ("owl", "transparency"),
              ("silent", "color"), ("silent", "transparency")]  # fmt: skip
    assert [(one.model, one.set) for one in ranked] == labels
    colour, transparency, _, silent = ranked
    assert colour.negatives == 3 and transparency.negatives == 2
    np.testing.assert_equal(transparency.reference, [[1, 2], [2, NAN], [2, NAN]])
    np.testing.assert_equal(transparency.averaged, [[1, 2], [2, NAN], [1.5, NAN]])
    np.testing.assert_equal(colour.reference, [[1, NAN, NAN], [2, 3, 3]])
    # Where no prediction speaks, the right caption ranks last.
    np.testing.assert_equal(silent.reference, [[2, 3], [2, NAN], [2, NAN]])


def test_scopes_are_all_boxes_and_those_read_in_full():
    ranked = rank_boxes(TABLE, SCORES, "owl")
    every, short = rank_subsets(ranked, truncations(TABLE, TOKENS), 2)
    assert [s.ranked.set for s in every.summaries] == ["color", "transparency"]
    # No box of the colours is read in full.
    (summary,) = short.summaries
    assert summary.ranked.annotations.tolist() == [1, 2]
    assert summary.reference.mean.tolist() == [1.5, 2]
    everything_cut = TokenIds(TOKENS.ids, np.ones(len(TABLE.texts), bool))
    assert len(rank_subsets(ranked, truncations(TABLE, everything_cut), 2)) == 1
    nothing_cut = TokenIds(TOKENS.ids, np.zeros(len(TABLE.texts), bool))
    (alone,) = rank_subsets(ranked, truncations(TABLE, nothing_cut), 2)
    assert "Every model reads every caption in full" in alone.meaning


def features(**changes):
    return Features(
        images=np.eye(5, dtype=np.float32),
        captions=np.eye(5, dtype=np.float32),
        image_names=("a.png",) * 5,
        texts=TABLE.texts,
        origin=Origin({"name": "some CLIP"}, {}, "crop", 1.0, DIGESTS | changes),
        boxes=TABLE,
        box_images=np.arange(5),
    )


def test_clip_ranks_the_same_boxes():
    ranked = clip_ranks(features(), TABLE)
    assert [(one.model, one.set) for one in ranked] == [
        ("some CLIP", "color"),
        ("some CLIP", "transparency"),
    ]
    assert ranked[1].annotations.tolist() == [1, 2, 3]
    fewer = box_table(BOXES[:3], {"transparency": "t"})
    assert [one.set for one in clip_ranks(features(), fewer)] == ["transparency"]


def test_features_of_other_boxes_are_refused():
    with pytest.raises(InputError, match=r"not of color\.json as it is here"):
        clip_ranks(features(color="another"), TABLE)
    fewer = box_table(BOXES[3:4], DIGESTS)
    with pytest.raises(InputError, match="lack boxes of color"):
        clip_ranks(features(), fewer)
