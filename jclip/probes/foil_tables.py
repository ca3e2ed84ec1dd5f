"""Summaries of hard-negative sets, tests between models, and both as tables."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool

from jclip.data.foils import FoilSet
from jclip.probes.foils import (
    TIES,
    FoilScores,
    chance,
    class_shares,
    least_of_class,
    metrics_of,
    outcomes,
    own_ties,
)
from jclip.statistics.clusters import cluster_interval, cluster_sign_flip
from jclip.statistics.mcnemar import mcnemar
from jclip.statistics.multiple import holm

_FOR, _AGAINST, _HALF = range(3)
PUBLISHED: Mapping[tuple[str, str], tuple[str, float]] = {
    ("winoground", "text"): ("CLIP ViT-B/32", 30.75),
    ("winoground", "image"): ("CLIP ViT-B/32", 10.50),
    ("winoground", "group"): ("CLIP ViT-B/32", 8.00),
    ("half_truths/relations", "accuracy"): ("CLIP", 32.9),
}
"""Published figures in per cent by set and metric, with the model, as far as they were seen.

Winoground's are those of its paper's table (OpenAI's weights), the half-truths' those of CS-CLIP's
abstract, which says 40.6 for all of its test and does not say how texts are joined. Figures of
SugarCrepe, SugarCrepe++, ARO and ColorSwap could not be verified and are not here.
"""


def right_records(scored: FoilScores, metric: str) -> Bool[np.ndarray, " n"]:
    """Which records are right, ties against: what tests compare."""
    return outcomes(scored)[metric][:, _AGAINST] == 1


def summary_table(
    results: Sequence[FoilScores],
    without: Mapping[tuple[str, str], FoilScores],
    left_out: Sequence[str] = (),
    seed: int = 0,
) -> pa.Table:
    """A row per set, model and metric, shares in per cent.

    `accuracy` counts ties as the benchmark's own code does; `ties_for`, `ties_against`, `ties_half`
    count them every way, and `decided_by_ties` is how many records they decide. `low` and `high`
    are the interval of `ties_against`, pictures resampled. `shuffled` is the same metric with the
    pictures of other records. `macro` is ARO's mean over relations or pairs of attributes.

    Args:
        results: the scores.
        without: the same with other pictures, by model and set; where there is none, null.
        left_out: relations that do not count in `macro`.
        seed: of the bootstrap.
    """
    return pa.Table.from_pylist(
        [row for scored in results for row in _rows(scored, without, left_out, seed)],
        schema=_SUMMARY,
    )


_TEXTS = ("set", "benchmark", "model", "metric", "published_model")
_COUNTS = ("records", "pictures", "decided_by_ties", "classes")
_SHARES = (
    "accuracy",
    "ties_for",
    "ties_against",
    "ties_half",
    "low",
    "high",
    "chance",
    "shuffled",
    "macro",
    "published",
)
_SUMMARY = pa.schema(
    [(name, pa.string()) for name in _TEXTS]
    + [(name, pa.int64()) for name in _COUNTS]
    + [(name, pa.float64()) for name in _SHARES]
)


def _rows(scored, without, left_out, seed) -> list[dict[str, Any]]:
    foils, found, rows = scored.foils, outcomes(scored), []
    other = without.get((scored.model, foils.name))
    shuffled = {} if other is None else outcomes(other)
    for metric in metrics_of(foils, texts=scored.text_pairs is not None):
        shares = dict(zip(TIES, 100 * found[metric].mean(axis=0), strict=True))
        against = found[metric][:, _AGAINST]
        (low,), (high,) = cluster_interval(against[:, None], foils.clusters, seed=seed)
        published = PUBLISHED.get((foils.name, metric), (None, None))
        decided = found[metric][:, _FOR] != against
        row: dict[str, Any] = {
            "set": foils.name,
            "benchmark": foils.benchmark,
            "model": scored.model,
            "metric": metric,
            "records": len(foils.records),
            "pictures": len(np.unique(foils.clusters)),
            "accuracy": shares[own_ties(foils)],
            **{f"ties_{name}": share for name, share in shares.items()},
            "decided_by_ties": int(decided.sum()),
            "low": 100 * low,
            "high": 100 * high,
            "chance": 100 * chance(foils, metric),
            "published_model": published[0],
            "published": published[1],
        }
        if metric in shuffled and metric != "text-only":
            row["shuffled"] = 100 * float(shuffled[metric][:, _AGAINST].mean())
        if (least := least_of_class(foils)) is not None:
            classes = class_shares(foils.groups, against, least, left_out)
            row["classes"] = len(classes)
            if classes:
                row["macro"] = 100 * float(np.mean([share for _, share in classes.values()]))
        rows.append(row)
    return rows


def class_table(results: Sequence[FoilScores]) -> pa.Table:
    """A row per set, model, metric and group (relation, attributes, tag), shares in per cent."""
    rows = [
        {
            "set": scored.foils.name,
            "model": scored.model,
            "metric": metric,
            "group": group,
            "records": count,
            "ties_against": 100 * share,
        }
        for scored in results
        if any(scored.foils.groups)
        for metric in metrics_of(scored.foils, texts=False)
        for group, (count, share) in class_shares(
            scored.foils.groups, right_records(scored, metric).astype(float), 1
        ).items()
    ]
    texts = [(name, pa.string()) for name in ("set", "model", "metric", "group")]
    schema = pa.schema([*texts, ("records", pa.int64()), ("ties_against", pa.float64())])
    return pa.Table.from_pylist(rows, schema=schema)


def comparison_table(results: Sequence[FoilScores], seed: int = 0) -> pa.Table:
    """Every two models on the records of a set, metric by metric; ties against.

    `difference` is the first one's share minus the second's, in per cent, with an interval that
    resamples pictures. `p` is McNemar's exact test and `mid_p` its mid-p, of records; `picture_p`
    flips the signs of pictures, whose records depend. Holm's method adjusts `p` and `picture_p`
    over all rows.
    """
    rows = []
    for foils in {r.foils.name: r.foils for r in results}.values():
        own = [r for r in results if r.foils.name == foils.name]
        for first, second in itertools.combinations(own, 2):
            common = set(outcomes(first)) & set(outcomes(second))
            for metric in metrics_of(foils):
                if metric in common:
                    right = right_records(first, metric), right_records(second, metric)
                    names = {"set": foils.name, "metric": metric}
                    names |= {"first": first.model, "second": second.model}
                    rows.append({**names, **compare_right(foils, *right, seed)})
    for name in ("p", "picture_p"):
        adjusted = holm(np.array([row[name] for row in rows], float))
        for row, p in zip(rows, adjusted, strict=True):
            row[f"holm_{name}"] = float(p)
    texts = [(name, pa.string()) for name in ("set", "metric", "first", "second")]
    counts = [(name, pa.int64()) for name in ("records", "only_first", "only_second")]
    return pa.Table.from_pylist(
        rows, schema=pa.schema([*texts, *counts, *[(name, pa.float64()) for name in _NUMBERS]])
    )


_NUMBERS = ("difference", "low", "high", "p", "mid_p", "picture_p", "holm_p", "holm_picture_p")


def compare_right(
    foils: FoilSet, first: Bool[np.ndarray, " n"], second: Bool[np.ndarray, " n"], seed: int = 0
) -> dict[str, int | float]:
    """The tests of `comparison_table` for two models' right records, but for Holm's method."""
    tested = mcnemar(first, second)
    differences = first.astype(np.float64) - second
    (low,), (high,) = cluster_interval(differences[:, None], foils.clusters, seed=seed)
    return {
        "records": len(first),
        "only_first": tested.only_first,
        "only_second": tested.only_second,
        "difference": 100 * tested.difference,
        "low": 100 * low,
        "high": 100 * high,
        "p": tested.p_exact,
        "mid_p": tested.p_mid,
        "picture_p": cluster_sign_flip(differences, foils.clusters),
    }


def record_table(results: Sequence[FoilScores]) -> pa.Table:
    """A row per set, model, record and metric: right or not, with ties every way."""
    tables = []
    for scored in results:
        n = len(scored.foils.records)
        for metric, found in outcomes(scored).items():
            names = {"set": scored.foils.name, "model": scored.model}
            columns = {name: pa.repeat(value, n) for name, value in names.items()}
            columns |= {"record": list(scored.foils.records), "metric": pa.repeat(metric, n)}
            ties = {f"ties_{name}": found[:, i] for i, name in enumerate(TIES)}
            tables.append(pa.table(columns | ties))
    return pa.concat_tables(tables)


def score_table(results: Sequence[FoilScores]) -> pa.Table:
    """A row per set, model, record, picture and text of it, both from 0: the score."""
    tables = []
    for scored in results:
        row, picture, text = np.nonzero(np.isfinite(scored.values))
        names = {"set": scored.foils.name, "model": scored.model}
        tables.append(
            pa.table(
                {
                    **{name: pa.repeat(value, len(row)) for name, value in names.items()},
                    "record": pa.array(scored.foils.records).take(row),
                    "picture": picture,
                    "text": text,
                    "right": scored.foils.right[row, picture, text],
                    "score": scored.values[row, picture, text],
                }
            )
        )
    return pa.concat_tables(tables)
