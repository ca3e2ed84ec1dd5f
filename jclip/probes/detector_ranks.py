"""Ranks of right captions by a detector, on all boxes and on those whose captions it can read."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int

from jclip.data.box_table import BoxTable
from jclip.data.features import Features
from jclip.data.fg_ovd import FineGrainedSet
from jclip.errors import InputError
from jclip.probes.detection import Rule
from jclip.probes.fine_grained import PAPER_SETS, RankedSet, rank_sets, table_negatives
from jclip.probes.fine_grained_table import (
    ModelComparison,
    SetSummary,
    compare_models,
    summarise_sets,
)
from jclip.statistics.ranks import positive_ranks
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
class Scope:
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
    found = []
    for name in dict.fromkeys(table.sets):
        own = table.of_set(name)
        found.append(
            Truncation(
                set=name,
                boxes=int(own.sum()),
                cut=int((own & cut).sum()),
                alike=int((own & alike).sum()),
                annotations=table.annotations[own & ~cut],
            )
        )
    return found


def detector_ranks(
    table: BoxTable, scores: Mapping[Rule, Float[np.ndarray, "n k"]], model: str
) -> list[RankedSet]:
    """Ranks of every set's right captions under every rule, in the order of the paper's figure.

    Args:
        table: N boxes.
        scores: of their captions, in the order of `caption_rows`; NaN where there is none.
        model: the detector; the rule joins its name.
    """
    names = dict.fromkeys(table.sets)
    order = [name for name in PAPER_SETS if name in names]
    order += [name for name in names if name not in PAPER_SETS]
    ranked = []
    for rule, found in scores.items():
        for name in order:
            own = table.of_set(name)
            most = int((table.caption_rows[own] >= 0).sum(axis=1).max())
            part = found[own, :most]
            ranked.append(
                RankedSet(
                    model=f"{model}, {rule}",
                    set=name,
                    annotations=table.annotations[own],
                    reference=positive_ranks(part, "reference"),
                    averaged=positive_ranks(part, "averaged"),
                    negatives=table_negatives(name, most - 1),
                )
            )
    return ranked


def clip_ranks(features: Features, sets: Sequence[FineGrainedSet]) -> list[RankedSet]:
    """CLIP's ranks on the same boxes, from the cosines of its features.

    Raises:
        InputError: a set's features are missing, of another annotation file, or not of all boxes.
    """
    name = str(features.origin.model["name"])
    for one in sets:
        if features.origin.data.get(one.name) != one.sha256:
            raise InputError(
                f"the features of {name} are not of {one.name}.json as it is here: extract them "
                "from the same annotation files"
            )
        if len(features.sets[one.name].annotations) != len(one.boxes):
            raise InputError(f"the features of {name} lack boxes of {one.name}")
    wanted = {one.name for one in sets}
    return [ranked for ranked in rank_sets(features, name) if ranked.set in wanted]


def rank_scopes(
    ranked: Sequence[RankedSet], truncated: Sequence[Truncation], context: int
) -> list[Scope]:
    """Summaries and tests on all boxes, then on those of which every caption is read in full.

    The second is not there where it would be the first again, or has no boxes.
    """
    if not any(one.cut for one in truncated):
        return [_scope("all boxes", "Every model reads every caption in full.", ranked)]
    kept = {one.set: one.annotations for one in truncated}
    short = [rows for one in ranked if (rows := _only(one, kept[one.set])) is not None]
    scopes = [_scope("all boxes", "CLIP reads every caption in full, the detector not.", ranked)]
    if short:
        meaning = f"Boxes all of whose captions have at most {context} tokens, read by every model."
        scopes.append(_scope("boxes with short captions", meaning, short))
    return scopes


def _scope(name: str, meaning: str, ranked: Sequence[RankedSet]) -> Scope:
    return Scope(name, meaning, summarise_sets(ranked), compare_models(ranked))


def _only(one: RankedSet, annotations: Int[np.ndarray, " n"]) -> RankedSet | None:
    """The ranks of some boxes, by id; None if none has the negatives that the table is about."""
    rows = np.isin(one.annotations, annotations)
    if not np.isfinite(one.reference[rows, one.negatives - 1]).any():
        return None
    return dataclasses.replace(
        one,
        annotations=one.annotations[rows],
        reference=one.reference[rows],
        averaged=one.averaged[rows],
    )
