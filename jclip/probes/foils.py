"""Does a right text score higher than its foils? Scores of records, and who is right under ties.

The benchmarks' own definitions: a list of texts is right where the least of the right ones scores
above the largest of the wrong ones; a record of two pictures and two texts is right by text, where
each picture prefers its own text, by image, where each text prefers its own picture, and as a
group, where both hold (Winoground).
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
import scipy
from jaxtyping import Array, Bool, Float, Float32

from jclip.data.foils import FoilSet
from jclip.data.supplied_rows import Embedded, Scored
from jclip.errors import InputError
from jclip.heads import Head
from jclip.heads.attention import AttentionHead
from jclip.heads.scoring import unit_length
from jclip.models.unit_norm import unit_rows
from jclip.probes.fine_grained import Scores

Ties = Literal["for", "against", "half"]
TIES = get_args(Ties)
# Rows scored at once, as in the probe of boxes.
_BLOCK = 256
# SugarCrepe++'s text-only task compares its three texts: caption, caption2 and the negative.
_TEXT_PAIRS = ((0, 1), (0, 2), (1, 2))


@dataclasses.dataclass(frozen=True)
class FoilScores:
    """Scores of one set's records by one model.

    Attributes:
        model: its name, with that of a head.
        foils: the set.
        values: `[N, I, T]`, every picture with every text of its record; NaN where there is none.
        text_pairs: `[N, 3]`, of SugarCrepe++: caption with caption2, with the negative, and
            caption2 with the negative; None of others, and of heads that compare no texts.
    """

    model: str
    foils: FoilSet
    values: Float32[np.ndarray, "n i t"]
    text_pairs: Float32[np.ndarray, "n 3"] | None = None


type Outcomes = Mapping[str, Float[np.ndarray, "n 3"]]
"""By metric, each record right or not with ties for it, against it, and broken at random."""


def metrics_of(foils: FoilSet, *, texts: bool = True) -> tuple[str, ...]:
    """The metrics of a set, the one that stands for it first; `texts`: those between texts too."""
    if foils.two_by_two:
        return "group", "text", "image"
    if foils.benchmark == "sugar_crepe_pp":
        return "image-text", "first", "second", *(("text-only",) if texts else ())
    return ("accuracy",)


def score_foils(
    sets: Sequence[FoilSet],
    pictures: Float32[np.ndarray, "p d"],
    texts: Float32[np.ndarray, "m d"],
    model: str,
    head: Head | None = None,
) -> list[FoilScores]:
    """Score the records of some sets, each distinct text and picture as it was embedded once.

    Args:
        sets: whose rows are those of the embeddings.
        pictures: embeddings, not normalised.
        texts: likewise.
        model: what to call the model, and the head.
        head: what scores; None for the cosine.

    Raises:
        InputError: a score is not finite; the record is named.
    """
    if head is None:
        pictures, texts = unit_rows(pictures), unit_rows(texts)
    program, found, tables = jax.jit(head.scores if head else _dot), [], (pictures, texts)
    # A CPU gathers rows faster by NumPy than by XLA; elsewhere they must not cross to the device.
    if jax.default_backend() != "cpu":
        tables = jax.device_put(tables)
    for foils in sets:
        values = _score_rows(foils, *tables, program=program)
        pairs = None
        if foils.benchmark == "sugar_crepe_pp" and (said := _comparable(texts, head)) is not None:
            own = said[foils.texts]
            pairs = np.stack([np.sum(own[:, i] * own[:, j], axis=1) for i, j in _TEXT_PAIRS], 1)
        found.append(FoilScores(model, foils, values, pairs))
    return found


def score_supplied_foils(
    sets: Sequence[FoilSet], supplied: Embedded | Scored, model: str
) -> list[FoilScores]:
    """The same of what another program made of the pictures and texts; scores stand as they are.

    Raises:
        InputError: see `score_foils`; or a score is missing.
    """
    if isinstance(supplied, Embedded):
        return score_foils(sets, supplied.views, supplied.texts, model)
    found = []
    for foils in sets:
        shape = foils.right.shape
        there = np.broadcast_to(foils.present[:, None], shape)
        seen = np.broadcast_to(foils.pictures[..., None], shape)[there]
        said = np.broadcast_to(foils.texts[:, None], shape)[there]
        values = np.full(shape, np.nan, np.float32)
        values[there] = supplied.scores(seen[:, None], said[:, None])[:, 0]
        found.append(FoilScores(model, foils, values))
    return found


def _dot(images: Float[Array, "n d"], texts: Float[Array, "n k d"]) -> Float[Array, "n k"]:
    """Summed in one order for every text, so that equal texts tie."""
    return jnp.sum(images[:, None] * texts, axis=-1)


def _comparable(
    texts: Float32[np.ndarray, "m d"], head: Head | None
) -> Float32[np.ndarray, "m d"] | None:
    """Texts as two of them are compared: by direction; None where a head has no text embedding."""
    if head is None:
        return texts
    if isinstance(head, AttentionHead):
        return None
    return np.asarray(unit_length(head.project_texts(jnp.asarray(texts))))


def _score_rows(foils: FoilSet, pictures, texts, program: Scores) -> Float32[np.ndarray, "n i t"]:
    """A block of pictures at a time, the last one filled up, so that one shape is compiled."""
    n, i = foils.pictures.shape
    seen, said = foils.pictures.ravel(), np.repeat(np.maximum(foils.texts, 0), i, axis=0)
    padding = -len(seen) % _BLOCK
    seen = np.pad(seen, (0, padding), mode="edge").reshape(-1, _BLOCK)
    said = np.pad(said, ((0, padding), (0, 0)), mode="edge").reshape(*seen.shape, -1)
    parts = [
        np.asarray(program(pictures.take(a, axis=0), texts.take(b, axis=0)))
        for a, b in zip(seen, said, strict=True)
    ]
    values = np.concatenate(parts)[: n * i].reshape(n, i, -1)
    if not np.isfinite(values).all():
        row = int(np.argmin(np.isfinite(values).all(axis=(1, 2))))
        raise InputError(f"{foils.name}, record {foils.records[row]}: a score is not finite")
    values[np.broadcast_to(~foils.present[:, None], values.shape)] = np.nan
    return values


def ordered(
    scores: Float[np.ndarray, "m k"], right: Bool[np.ndarray, "m k"]
) -> Float[np.ndarray, "m 3"]:
    """Whether all right entries of a row are above all wrong ones: ties for, against and half.

    Half is the chance that it is so when ties are broken at random, 1 / (1 + ties) of one right
    entry. NaN entries are not there.
    """
    least = np.where(right, scores, np.inf).min(axis=1)
    wrong = np.where(right | np.isnan(scores), -np.inf, scores)
    most = wrong.max(axis=1)
    tied_right = np.sum(right & (scores == least[:, None]), axis=1)
    tied_wrong = np.sum(wrong == least[:, None], axis=1)
    half = (least >= most) / scipy.special.comb(tied_right + tied_wrong, tied_wrong)
    return np.stack([least >= most, least > most, half], axis=1).astype(float)


def outcomes(scored: FoilScores) -> Outcomes:
    """Every metric of a set, record by record."""
    foils, values = scored.foils, scored.values
    if foils.two_by_two:
        sides = {"text": (values, foils.right)}
        sides["image"] = (values.swapaxes(1, 2), foils.right.swapaxes(1, 2))
        found = {
            name: ordered(v[:, 0], r[:, 0]) * ordered(v[:, 1], r[:, 1])
            for name, (v, r) in sides.items()
        }
        return {"group": found["text"] * found["image"], **found}
    values, right = values[:, 0], foils.right[:, 0]
    if foils.benchmark != "sugar_crepe_pp":
        return {"accuracy": ordered(values, right)}
    one = np.broadcast_to([True, False], (len(values), 2))
    found = {
        "image-text": ordered(values, right),
        "first": ordered(values[:, [0, 2]], one),
        "second": ordered(values[:, [1, 2]], one),
    }
    if scored.text_pairs is None:
        return found
    first = np.broadcast_to([True, False, False], scored.text_pairs.shape)
    return {**found, "text-only": ordered(scored.text_pairs, first)}


def chance(foils: FoilSet, metric: str) -> float:
    """The share that a model gets right whose scores are drawn at random."""
    fixed = {"group": 1 / 6, "text": 1 / 4, "image": 1 / 4, "first": 1 / 2, "second": 1 / 2}
    fixed["text-only"] = 1 / 3
    if metric in fixed:
        return fixed[metric]
    right, texts = foils.right[:, 0].sum(axis=1), foils.present.sum(axis=1)
    return float(np.mean(1 / scipy.special.comb(texts, right)))


def own_ties(foils: FoilSet) -> Ties:
    """How the benchmark's own code counts ties: for the right caption only in ARO's order sets."""
    return "for" if foils.benchmark == "aro_order" else "against"


def other_pictures(foils: FoilSet, seed: int) -> FoilSet | None:
    """The same records with the pictures of others, none its own: what the texts alone decide.

    None of a set of one picture, for which there is no other.
    """
    rng = np.random.default_rng(seed)
    _, first, of = np.unique(foils.clusters, return_index=True, return_inverse=True)
    if len(first) < 2:
        return None
    order = rng.permutation(len(first))
    following = np.empty_like(order)
    following[order] = np.roll(order, -1)
    return dataclasses.replace(foils, pictures=foils.pictures[first[following[of]]])


def class_shares(
    groups: Sequence[str],
    right: Float[np.ndarray, " n"],
    least: int,
    left_out: Sequence[str] = (),
) -> dict[str, tuple[int, float]]:
    """By group, how many records it has and the share of right ones; ARO's macro average is theirs.

    Args:
        groups: of each record.
        right: 1 or 0.
        least: groups of fewer records do not count.
        left_out: groups that do not count either.
    """
    names, of = np.unique(np.array(groups, str), return_inverse=True)
    counts = np.bincount(of)
    shares = np.bincount(of, weights=right) / counts
    return {
        name: (int(count), float(share))
        for name, count, share in zip(names.tolist(), counts, shares, strict=True)
        if count >= least and name not in left_out
    }


def least_of_class(foils: FoilSet) -> int | None:
    """The smallest group of ARO's macro average; None of sets that have none."""
    return {"aro_relation": 1, "aro_attribution": 25}.get(foils.benchmark)
