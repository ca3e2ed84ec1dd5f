"""Paper 2's probe: does the right caption of a box score above its hard negatives?"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int

from jclip.data.boxes import BoxTable
from jclip.data.features import Features
from jclip.errors import InputError
from jclip.models.unit_norm import unit_rows
from jclip.statistics.ranks import positive_ranks

# Boxes scored at once; with 11 captions of 512 numbers each that is 6 MB, which a cache holds.
_BLOCK = 256


@dataclasses.dataclass(frozen=True)
class PaperSet:
    """A set as the paper's table has it: its name, and the number of negatives of its mean rank."""

    name: str
    negatives: int


PAPER_SETS: Mapping[str, PaperSet] = {
    "shuffle_negatives": PaperSet("Trivial", 10),
    "3_attributes": PaperSet("Easy", 10),
    "2_attributes": PaperSet("Medium", 10),
    "1_attributes": PaperSet("Hard", 10),
    "color": PaperSet("Color", 10),
    "material": PaperSet("Material", 10),
    "pattern": PaperSet("Pattern", 7),
    "transparency": PaperSet("Transparency", 2),
}
"""By the stem of the annotation file, in the order of the paper's figure."""

# The stems of FG-CLIP's files of the same boxes.
_FG_CLIP = {
    "shuffle_negatives_llava": "shuffle_negatives",
    "e_attributes_llava": "3_attributes",
    "m_attributes_llava": "2_attributes",
    "h_attributes_llava": "1_attributes",
}


def paper_set(stem: str) -> PaperSet | None:
    """The paper's set of which a file, by its stem, holds the boxes."""
    return PAPER_SETS.get(_FG_CLIP.get(stem, stem))


@dataclasses.dataclass(frozen=True)
class RankedSet:
    """Ranks `[N, K]` of a set's right captions by one model, among the first 1 .. K negatives.

    NaN where a box has fewer negatives. `reference` counts ties against the right caption,
    `averaged` half of them. `negatives` is the number that the table reports, K or less.
    """

    model: str
    set: str
    annotations: Int[np.ndarray, " n"]
    reference: Float[np.ndarray, "n k"]
    averaged: Float[np.ndarray, "n k"]
    negatives: int

    @property
    def in_table(self) -> Float[np.ndarray, " n"]:
        """The ranks at the number of negatives that the table reports, `[N]`."""
        return self.reference[:, self.negatives - 1]

    @property
    def name(self) -> str:
        """The paper's name of the set, or the file's where the paper has none."""
        known = paper_set(self.set)
        return self.set if known is None else known.name


type Scores = Callable[[Float[Array, "n d"], Float[Array, "n k d"]], Float[Array, "n k"]]
"""Scores `[N, K]` of images `[N, D]`, each against K texts of its own, `[N, K, D]`."""


def score_boxes(
    features: Features, scores: Scores | None = None, block: int = _BLOCK
) -> Float32[np.ndarray, "n m"]:
    """Scores of every box with its right caption and its K negatives, `[N, 1 + K]`.

    Captions are gathered and scored a block of boxes at a time: what all boxes' captions would
    take never exists at once.

    Args:
        features: of N boxes.
        scores: such as `head.scores`, jitted here; None for the cosine of the embeddings.
        block: boxes at a time.

    Returns:
        The right caption's score first; NaN where a box has fewer than K negatives.

    Raises:
        InputError: the features are of no boxes, or a score is not finite.
    """
    if features.boxes is None:
        raise InputError(f"features of kind {features.kind}: boxes with negatives are needed")
    rows = features.boxes.caption_rows
    boxes, present = len(rows), rows >= 0
    found = np.empty(rows.shape, np.float32)
    block = min(block, max(boxes, 1))
    program = jax.jit(scores or _dot)
    tables = features.images, features.captions
    if scores is None:
        tables = unit_rows(features.images), unit_rows(features.captions)
    # A CPU gathers rows faster by NumPy than by XLA; elsewhere they must not cross to the device.
    if jax.default_backend() != "cpu":
        tables = jax.device_put(tables)

    def score(start: int) -> None:
        # The last block is filled up with boxes of the one before, lest it be compiled anew.
        own = slice(min(start, boxes - block), min(start, boxes - block) + block)
        seen = tables[0].take(features.box_images[own], axis=0)
        found[own] = program(seen, tables[1].take(np.maximum(rows[own], 0), axis=0))

    # Gathering is most of the work and uses one core; another block is gathered beside it.
    with ThreadPoolExecutor() as threads:
        for _ in threads.map(score, range(0, boxes, block)):
            pass
    if not np.isfinite(found).all():
        row = int(np.argmin(np.isfinite(found).all(axis=1)))
        name, annotation = features.boxes.sets[row], features.boxes.annotations[row]
        raise InputError(f"{name}, annotation {annotation}: a score is not finite")
    found[~present] = np.nan
    return found


def _dot(images: Float[Array, "n d"], texts: Float[Array, "n k d"]) -> Float[Array, "n k"]:
    """The contraction nd,nkd->nk, summed in one order for every caption.

    A dot product of the device sums by position: equal captions would not tie at every k.
    """
    return jnp.sum(images[:, None] * texts, axis=-1)


def table_negatives(name: str, most: int) -> int:
    """How many negatives a set's mean rank is about: the paper's number, or all where it has fewer.

    The demo world's vocabulary holds 5 wrong materials where the paper's table has 10.
    """
    known = paper_set(name)
    return most if known is None else min(known.negatives, most)


def rank_features(features: Features, model: str, scores: Scores | None = None) -> list[RankedSet]:
    """`rank_boxes` by `score_boxes`; arguments as there."""
    found = score_boxes(features, scores)
    assert features.boxes is not None
    return rank_boxes(features.boxes, found, model)


def rank_boxes(boxes: BoxTable, scores: Float[np.ndarray, "n m"], model: str) -> list[RankedSet]:
    """Ranks of the right captions of all sets, those of the paper first and in its order.

    Args:
        boxes: N boxes.
        scores: of their captions, in the order of `caption_rows`; NaN where there is none.
        model: what to call the model (and head) in results.
    """
    names = boxes.set_names
    order = list(PAPER_SETS.values())
    known = [(order.index(own), name) for name in names if (own := paper_set(name)) is not None]
    ranked = []
    for name in (*(name for _, name in sorted(known)), *(n for n in names if not paper_set(n))):
        own = boxes.sets == name
        most = int((boxes.caption_rows[own] >= 0).sum(axis=1).max())
        ranked.append(
            RankedSet(
                model=model,
                set=name,
                annotations=boxes.annotations[own],
                reference=positive_ranks(scores[own, :most], "reference"),
                averaged=positive_ranks(scores[own, :most], "averaged"),
                negatives=table_negatives(name, most - 1),
            )
        )
    return ranked


def unlike_the_paper(results: Sequence[RankedSet]) -> list[str]:
    """What in the sets of a run differs from the paper's table, in sentences."""
    first = [r for r in results if r.model == results[0].model]
    known = [(r, own) for r in first if (own := paper_set(r.set)) is not None]
    fewer = [
        f"{r.name}: {r.negatives} negatives instead of the paper's {own.negatives}, "
        "which no box has."
        for r, own in known
        if r.negatives < own.negatives
    ]
    there = {own for _, own in known}
    missing = [own.name for own in PAPER_SETS.values() if own not in there]
    if missing:
        fewer.append(f"Not the paper's eight sets: {', '.join(missing)} not there.")
    return fewer
