"""Crops against regions as tables: shares of first places, ranks, sizes of boxes, and tests."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from jclip.probes.region_ranks import SIZES, JudgedSet
from jclip.statistics.clusters import cluster_interval, cluster_sign_flip
from jclip.statistics.mcnemar import mcnemar
from jclip.statistics.multiple import holm


def result_table(judged: Sequence[JudgedSet], seed: int = 0) -> pa.Table:
    """A row per set, model and protocol; shares are in percent, intervals resample pictures."""
    rows = []
    for own in _by_set(judged):
        values = [column for one in own for column in (_shared(one), one.ranked.in_table)]
        low, high = cluster_interval(np.stack(values, axis=1), own[0].pictures, seed=seed)
        for number, one in enumerate(own):
            top, rank = 2 * number, 2 * number + 1
            rows.append(
                _name(one)
                | {
                    "boxes": int(one.counted.sum()),
                    "pictures": len(np.unique(one.pictures[one.counted])),
                    "top1": _share(_shared(one)),
                    "top1_low": 100 * float(low[top]),
                    "top1_high": 100 * float(high[top]),
                    "top1_ties_for": _share(one.among_counted(one.places.ties_for)),
                    "top1_ties_against": _share(one.among_counted(one.places.ties_against)),
                    "decided_by_ties": int((one.counted & one.places.decided).sum()),
                    "chance_top1": _share(one.among_counted(one.places.chance)),
                    "short_lists": one.short,
                    "top1_short_lists": _share(_shared(one, counted=False)),
                    "negatives": one.ranked.negatives,
                    "mean_rank": _mean(one.ranked.in_table),
                    "mean_rank_low": float(low[rank]),
                    "mean_rank_high": float(high[rank]),
                    "mean_rank_ties_averaged": _mean(
                        one.ranked.averaged[:, one.ranked.negatives - 1]
                    ),
                }
            )
    return pa.Table.from_pylist(rows)


def size_table(judged: Sequence[JudgedSet], seed: int = 0) -> pa.Table:
    """The same by the size of boxes in patches of their pictures; without sizes that have none."""
    rows = []
    for one in judged:
        for number, size in enumerate(SIZES):
            there = one.counted & (one.sizes == number)
            if not there.any():
                continue
            values = np.stack([_shared(one), one.ranked.in_table], axis=1)[there]
            low, high = cluster_interval(values, one.pictures[there], seed=seed)
            rows.append(
                _name(one)
                | {
                    "size": size,
                    "boxes": int(there.sum()),
                    "top1": _share(values[:, 0]),
                    "top1_low": 100 * float(low[0]),
                    "top1_high": 100 * float(high[0]),
                    "decided_by_ties": int((there & one.places.decided).sum()),
                    "mean_rank": _mean(values[:, 1]),
                    "mean_rank_low": float(low[1]),
                    "mean_rank_high": float(high[1]),
                }
            )
    return pa.Table.from_pylist(rows)


_COMPARED: dict[str, pa.DataType] = {
    **dict.fromkeys(("set", "name", "first", "second"), pa.string()),
    "boxes": pa.int64(),
    **dict.fromkeys(("difference", "difference_low", "difference_high"), pa.float64()),
    **dict.fromkeys(("only_first", "only_second"), pa.int64()),
    **dict.fromkeys(("p", "holm_p", "mcnemar_p", "mcnemar_mid_p"), pa.float64()),
    **dict.fromkeys(("rank_difference", "rank_p", "rank_holm_p"), pa.float64()),
}


def region_comparison_table(judged: Sequence[JudgedSet], seed: int = 0) -> pa.Table:
    """Protocols by one model, and models by one protocol, on the same boxes.

    Differences are first minus second: of shares of first places in percent, ties shared, and of
    mean ranks. `p` and `rank_p` flip the signs of pictures, `holm_p` adjusts each over its column;
    McNemar's tests, of first places with ties against the right caption, take boxes as independent.
    """
    rows = []
    for own in _by_set(judged):
        for first, second in itertools.combinations(own, 2):
            if (first.model == second.model) == (first.protocol == second.protocol):
                continue
            top = _shared(first) - _shared(second)
            ranks = first.ranked.in_table - second.ranked.in_table
            there, ranked = np.isfinite(top), np.isfinite(ranks)
            low, high = cluster_interval(top[:, None], first.pictures, seed=seed)
            wins = (one.places.ties_against[there] > 0 for one in (first, second))
            tested = mcnemar(*wins)
            rows.append(
                {
                    "set": first.ranked.set,
                    "name": first.ranked.name,
                    "first": first.ranked.model,
                    "second": second.ranked.model,
                    "boxes": int(there.sum()),
                    "difference": _share(top),
                    "difference_low": 100 * float(low[0]),
                    "difference_high": 100 * float(high[0]),
                    "only_first": tested.only_first,
                    "only_second": tested.only_second,
                    "p": cluster_sign_flip(top[there], first.pictures[there], seed),
                    "mcnemar_p": tested.p_exact,
                    "mcnemar_mid_p": tested.p_mid,
                    "rank_difference": _mean(ranks),
                    "rank_p": cluster_sign_flip(ranks[ranked], first.pictures[ranked], seed)
                    if ranked.any()
                    else np.nan,
                }
            )
    for name in ("", "rank_"):
        adjusted = holm(np.array([row[f"{name}p"] for row in rows], float))
        for row, p in zip(rows, adjusted.tolist(), strict=True):
            row[f"{name}holm_p"] = p
    # The types are given, since there may be no comparison.
    columns = {
        name: pa.array([row[name] for row in rows], kind) for name, kind in _COMPARED.items()
    }
    return pa.table(columns)


def place_table(judged: Sequence[JudgedSet]) -> pa.Table:
    """A row per set, model, protocol and box: its place, rank and size."""
    return pa.concat_tables(
        pa.table(
            {
                **{key: pa.repeat(value, len(one.cells)) for key, value in _name(one).items()},
                "annotation": one.ranked.annotations,
                "cells": one.cells,
                "above": one.places.above,
                "tied": one.places.tied,
                "captions": one.places.captions,
                "rank": one.ranked.in_table,
                "rank_ties_averaged": one.ranked.averaged[:, one.ranked.negatives - 1],
            }
        )
        for one in judged
    )


def _by_set(judged: Sequence[JudgedSet]) -> Iterator[list[JudgedSet]]:
    for name in dict.fromkeys(one.ranked.set for one in judged):
        yield [one for one in judged if one.ranked.set == name]


def _name(one: JudgedSet) -> dict[str, Any]:
    return {
        "set": one.ranked.set,
        "name": one.ranked.name,
        "model": one.model,
        "protocol": one.protocol,
    }


def _shared(one: JudgedSet, *, counted: bool = True) -> np.ndarray:
    """First places, ties shared, of the boxes that count, or of those with too few captions."""
    if counted:
        return one.among_counted(one.places.ties_shared)
    short = one.places.captions - 1 < one.ranked.negatives
    return np.where(short, one.places.ties_shared, np.nan)


def _mean(values: np.ndarray) -> float:
    there = values[np.isfinite(values)]
    return float(there.mean()) if len(there) else float("nan")


def _share(values: np.ndarray) -> float:
    return 100 * _mean(values)
