"""Paper 2's probe: does the right caption of a box score above its hard negatives?"""

import dataclasses
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int

from jclip.data.features import BoxSet, Features
from jclip.errors import InputError
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
    def name(self) -> str:
        """The paper's name of the set, or the file's where the paper has none."""
        return PAPER_SETS[self.set].name if self.set in PAPER_SETS else self.set


type Scores = Callable[[Float[Array, "n d"], Float[Array, "n k d"]], Float[Array, "n k"]]
"""Scores `[N, K]` of images `[N, D]`, each against K texts of its own, `[N, K, D]`."""


def score_blocks(
    images: Float32[np.ndarray, "i d"],
    captions: Float32[np.ndarray, "c d"],
    index: BoxSet,
    scores: Scores,
    block: int = _BLOCK,
) -> Float32[np.ndarray, "n m"]:
    """Scores of every box with its right caption and its K negatives, `[N, 1 + K]`.

    Captions are gathered and scored a block of boxes at a time: what all boxes' captions would
    take never exists at once.

    Args:
        images: embeddings, of which `index.images` names rows.
        captions: embeddings, of which `index.positives` and `index.negatives` name rows.
        index: N boxes.
        scores: such as `head.scores`; jitted here.
        block: boxes at a time.

    Returns:
        The right caption's score first; NaN where a box has fewer than K negatives.

    Raises:
        InputError: a score is not finite.
    """
    rows = np.column_stack([index.positives, index.negatives])
    boxes, present = len(rows), rows >= 0
    found = np.empty(rows.shape, np.float32)
    block = min(block, max(boxes, 1))
    program = jax.jit(scores)
    # A CPU gathers rows faster by NumPy than by XLA; elsewhere they must not cross to the device.
    tables = images, captions
    if jax.default_backend() != "cpu":
        tables = jax.device_put(tables)

    def score(start: int) -> None:
        # The last block is filled up with boxes of the one before, lest it be compiled anew.
        own = slice(min(start, boxes - block), min(start, boxes - block) + block)
        seen = tables[0].take(index.images[own], axis=0)
        found[own] = program(seen, tables[1].take(np.maximum(rows[own], 0), axis=0))

    # Gathering is most of the work and uses one core; another block is gathered beside it.
    with ThreadPoolExecutor() as threads:
        for _ in threads.map(score, range(0, boxes, block)):
            pass
    if not np.isfinite(found).all():
        row = int(np.argmin(np.isfinite(found).all(axis=1)))
        raise InputError(f"annotation {index.annotations[row]}: a score is not finite")
    found[~present] = np.nan
    return found


def _dot(images: Float[Array, "n d"], texts: Float[Array, "n k d"]) -> Float[Array, "n k"]:
    """The contraction nd,nkd->nk, summed in one order for every caption.

    A dot product of the device sums by position: equal captions would not tie at every k.
    """
    return jnp.sum(images[:, None] * texts, axis=-1)


def cosine_scores(
    images: Float32[np.ndarray, "i d"],
    captions: Float32[np.ndarray, "c d"],
    index: BoxSet,
    block: int = _BLOCK,
) -> Float32[np.ndarray, "n m"]:
    """`score_blocks` with the cosine, for which every embedding is normalised once."""
    return score_blocks(unit(images), unit(captions), index, _dot, block)


def unit(embeddings: Float32[np.ndarray, "n d"]) -> Float32[np.ndarray, "n d"]:
    """Rows scaled to length 1, on the host."""
    length = np.sqrt(np.einsum("nd,nd->n", embeddings, embeddings))
    return embeddings / length[:, None]


def table_negatives(name: str, most: int) -> int:
    """How many negatives a set's mean rank is about: the paper's number, or all where it has fewer.

    The demo world's vocabulary holds 5 wrong materials where the paper's table has 10.
    """
    return min(PAPER_SETS[name].negatives if name in PAPER_SETS else most, most)


def rank_sets(features: Features, model: str, scores: Scores | None = None) -> list[RankedSet]:
    """Ranks of the right captions of all sets, those of the paper first and in its order.

    Args:
        features: of kind `fg_ovd`.
        model: what to call the model (and head) in results.
        scores: a head's; None for the cosine of the embeddings themselves.

    Raises:
        InputError: the features are of no boxes, or a score is not finite.
    """
    if features.kind != "fg_ovd":
        raise InputError(f"features of kind {features.kind}: boxes with negatives are needed")
    known = [name for name in PAPER_SETS if name in features.sets]
    order = [*known, *(name for name in features.sets if name not in PAPER_SETS)]
    every = _together([features.sets[name] for name in order])
    if scores is None:
        found = cosine_scores(features.images, features.captions, every)
    else:
        found = score_blocks(features.images, features.captions, every, scores)
    ranked, start = [], 0
    for name in order:
        own = features.sets[name]
        part = found[start : start + len(own.images), : 1 + own.negatives.shape[1]]
        start += len(own.images)
        ranked.append(
            RankedSet(
                model=model,
                set=name,
                annotations=own.annotations,
                reference=positive_ranks(part, "reference"),
                averaged=positive_ranks(part, "averaged"),
                negatives=table_negatives(name, own.negatives.shape[1]),
            )
        )
    return ranked


def _together(sets: list[BoxSet]) -> BoxSet:
    """All boxes of several sets, so that one program scores them all."""
    most = max(one.negatives.shape[1] for one in sets)
    negatives = [
        np.pad(one.negatives, ((0, 0), (0, most - one.negatives.shape[1])), constant_values=-1)
        for one in sets
    ]
    return BoxSet(
        annotations=np.concatenate([one.annotations for one in sets]),
        images=np.concatenate([one.images for one in sets]),
        positives=np.concatenate([one.positives for one in sets]),
        negatives=np.concatenate(negatives),
    )
