"""Crops and regions of the same boxes as judges of the same captions: first places and ranks."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from jclip.data.boxes import BoxTable
from jclip.data.features import Features
from jclip.probes.fine_grained import RankedSet, Scores, rank_boxes, score_boxes
from jclip.probes.regions import region_cosine, region_dot, saturated
from jclip.statistics.first_place import FirstPlace, first_place

Protocol = Literal["crop", "roi"]
"""A box as a picture of its own (paper 2), or as a region of its picture's map (FG-CLIP)."""

SIZES = ("below 1 cell", "1 to 4 cells", "4 to 16 cells", "16 cells and more")
"""Of boxes, by their area in patches of the whole picture."""
_EDGES = (1, 4, 16)


@dataclasses.dataclass(frozen=True)
class Subject:
    """Embeddings of boxes by one model and protocol, and the head on top of them, if any.

    `cells` are how many patches each box covers, `scores` is the head's way to score.
    """

    model: str
    protocol: Protocol
    features: Features
    cells: Float[np.ndarray, " n"]
    scores: Scores | None = None

    def with_head(self, name: str, scores: Scores) -> "Subject":
        """The same embeddings, scored by a head."""
        return dataclasses.replace(self, model=f"{self.model} + {name}", scores=scores)


@dataclasses.dataclass(frozen=True)
class JudgedSet:
    """One set by one subject, N boxes.

    Attributes:
        model: with its head.
        protocol: how the boxes were embedded.
        ranked: the ranks of the right captions; its model has the protocol in its name.
        places: whether they are first among all captions of their boxes.
        pictures: of the boxes, as numbers.
        cells: how many patches each box covers.
        counted: which boxes are in the share of first places.
    """

    model: str
    protocol: Protocol
    ranked: RankedSet
    places: FirstPlace
    pictures: Int[np.ndarray, " n"]
    cells: Float[np.ndarray, " n"]
    counted: Bool[np.ndarray, " n"]

    @property
    def sizes(self) -> Int[np.ndarray, " n"]:
        """Of each box, which of `SIZES` it has."""
        return np.digitize(self.cells, _EDGES)

    def among_counted(self, values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Values of the boxes that count, NaN elsewhere."""
        return np.where(self.counted, values, np.nan)

    @property
    def short(self) -> int:
        """How many boxes have fewer wrong captions than the mean rank is about."""
        return int(np.count_nonzero(self.places.captions - 1 < self.ranked.negatives))


def judge(subject: Subject, repeats: Mapping[str, bool]) -> list[JudgedSet]:
    """Every set of a subject's boxes, those of the paper first.

    Args:
        subject: embeddings of boxes and captions.
        repeats: faults of FG-CLIP's code that are repeated where they are true. `short_lists`:
            boxes with fewer wrong captions than their set's mean rank is about count among first
            places. `softmax`: regions are scored by a softmax of products that are not normalised.
            `grid`: regions come from a grid that may not be the tower's; those that are zeros score
            0 with every caption.

    Raises:
        InputError: a score is not finite.
    """
    softmax, grid = (repeats.get(name, False) for name in ("softmax", "grid"))
    scores, table = _scores(subject, softmax, grid), subject.features.boxes
    assert table is not None
    label, short = f"{subject.model} · {subject.protocol}", repeats.get("short_lists", False)
    return list(_sets(subject, table, rank_boxes(table, scores, label), scores, short))


def _scores(subject: Subject, softmax: bool, zeros: bool) -> Float[np.ndarray, "n m"]:
    if subject.scores is not None or subject.protocol == "crop":
        return score_boxes(subject.features, subject.scores)
    if softmax:
        return saturated(score_boxes(subject.features, region_dot))
    return score_boxes(subject.features, region_cosine if zeros else None)


def _sets(
    subject: Subject,
    table: BoxTable,
    ranked: Sequence[RankedSet],
    scores: Float[np.ndarray, "n m"],
    short_lists: bool,
) -> Iterator[JudgedSet]:
    for one in ranked:
        own = table.sets == one.set
        places = first_place(scores[own])
        counted = short_lists | (places.captions - 1 >= one.negatives)
        pictures, cells = table.image_rows[own], subject.cells[own]
        yield JudgedSet(subject.model, subject.protocol, one, places, pictures, cells, counted)
