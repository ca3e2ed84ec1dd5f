"""Ranks of right captions by a detector, on all boxes and on those whose captions it can read."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from jclip.data.boxes import BoxTable
from jclip.data.features import Features
from jclip.errors import InputError
from jclip.probes.fine_grained import RankedSet, rank_features
from jclip.probes.fine_grained_table import (
    ModelComparison,
    SetSummary,
    compare_models,
    summarise_sets,
)
from jclip.text.tokenizer import TokenIds


@dataclasses.dataclass(frozen=True)
class Truncation:
    """What a short context does to one set.

    Attributes:
        set: its name.
        boxes: how many it has.
        cut: boxes with a caption that is cut.
        alike: boxes with a wrong caption that, once cut, is the right one.
        annotations: those without a cut caption, by id.
    """

    set: str
    boxes: int
    cut: int
    alike: int
    annotations: Int[np.ndarray, " n"]


@dataclasses.dataclass(frozen=True)
class BoxSubset:
    """Results on some of the boxes: `name` says which, `meaning` what that does to the models."""

    name: str
    meaning: str
    summaries: Sequence[SetSummary]
    comparisons: Sequence[ModelComparison]


def truncations(table: BoxTable, tokens: TokenIds) -> list[Truncation]:
    """What cutting the captions did to each set; `tokens` are those of `table.texts`."""
    cut = table.any_caption(tokens.truncated)
    present = table.caption_rows >= 0
    _, same = np.unique(tokens.ids, axis=0, return_inverse=True)
    ids = same[table.caption_rows]
    alike = (present & (ids == ids[:, :1]))[:, 1:].any(axis=1)
    owns = {name: table.sets == name for name in table.set_names}
    return [
        Truncation(
            set=name,
            boxes=int(own.sum()),
            cut=int((own & cut).sum()),
            alike=int((own & alike).sum()),
            annotations=table.annotations[own & ~cut],
        )
        for name, own in owns.items()
    ]


def clip_ranks(features: Features, table: BoxTable) -> list[RankedSet]:
    """CLIP's ranks on the same boxes, from the cosines of its features.

    Raises:
        InputError: see `require_boxes`.
    """
    require_boxes(features, table)
    ranked = rank_features(features, str(features.origin.model["name"]))
    return [one for one in ranked if one.set in table.digests]


def require_boxes(features: Features, table: BoxTable) -> None:
    """Refuse features that are not of a table's boxes; they may be of more sets.

    Raises:
        InputError: a set's features are missing, of another annotation file, or not of all boxes.
    """
    name = str(features.origin.model["name"])
    there = {} if features.boxes is None else features.boxes.counts
    for one, boxes in table.counts.items():
        if features.origin.data.get(one) != table.digests[one]:
            raise InputError(
                f"the features of {name} are not of {one}.json as it is here: extract them "
                "from the same annotation files"
            )
        if there.get(one) != boxes:
            raise InputError(f"the features of {name} lack boxes of {one}")


def rank_subsets(
    ranked: Sequence[RankedSet], truncated: Sequence[Truncation], context: int
) -> list[BoxSubset]:
    """Summaries and tests on all boxes, then on those of which every caption is read in full.

    The second is not there where it would be the first again, or has no boxes.
    """
    if not any(one.cut for one in truncated):
        return [_subset("all boxes", "Every model reads every caption in full.", ranked)]
    kept = {one.set: one.annotations for one in truncated}
    short = [rows for one in ranked if (rows := _only(one, kept[one.set])) is not None]
    subsets = [_subset("all boxes", "CLIP reads every caption in full, the detector not.", ranked)]
    if short:
        meaning = f"Boxes all of whose captions have at most {context} tokens, read by every model."
        subsets.append(_subset("boxes with short captions", meaning, short))
    return subsets


def _subset(name: str, meaning: str, ranked: Sequence[RankedSet]) -> BoxSubset:
    return BoxSubset(name, meaning, summarise_sets(ranked), compare_models(ranked))


def _only(one: RankedSet, annotations: Int[np.ndarray, " n"]) -> RankedSet | None:
    """The ranks of some boxes, by id; None if none has the negatives that the table is about."""
    rows = np.isin(one.annotations, annotations)
    if not np.isfinite(one.in_table[rows]).any():
        return None
    rows_of = ("annotations", "reference", "averaged")
    return dataclasses.replace(one, **{name: getattr(one, name)[rows] for name in rows_of})
