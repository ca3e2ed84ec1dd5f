"""The image sets of a shift sweep beside each other."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from jclip.probes.shift import ShiftScores, same_views
from jclip.report.page import Column, Section, Table
from jclip.report.tables import CHANGE, SCORE, P, page_table
from jclip.statistics.multiple import holm
from jclip.statistics.set_comparison import compare_sets

_Groups = dict[tuple[str, str], dict[str, ShiftScores]]


def set_section(results: Sequence[ShiftScores]) -> Section:
    """Per model and fit: what each set shows, and a test between every two of them."""
    groups: _Groups = {}
    for result in results:
        groups.setdefault((result.model, result.fit), {})[result.image_set] = result
    return Section(
        "Image sets compared",
        "For every panorama the mean |d| over its shifts says how much its score moves; the "
        "median over panoramas stands for the set. Shifts that map the views onto themselves by "
        "construction do not count.\n\n"
        "The two-sided Mann-Whitney U test asks whether panoramas of one set move more than those "
        "of the other. The probability of superiority is the chance that a panorama drawn from "
        "the first set moves more than one drawn from the second; 0.5 is no difference. Holm's "
        "method adjusts p over all comparisons of this section. The sets are taken as independent "
        "samples: the same scene in both would count twice.",
        _median_table(groups),
        _test_table(groups),
    )


def _mean_change(result: ShiftScores) -> Float[np.ndarray, " n"]:
    """Mean |d| of every panorama over the shifts that change its views."""
    moved = ~same_views(result)
    change = np.abs(result.scores.astype(np.float64) - result.scores[:, :1])
    return np.mean(change[:, moved], axis=1)


def _median_table(groups: _Groups) -> Table:
    rows = [
        {
            "model": model,
            "fit": fit,
            "image_set": image_set,
            "n": len(result.images),
            "mean_change": float(np.median(_mean_change(result))),
            "unshifted": float(np.median(result.scores[:, 0])),
        }
        for (model, fit), sets in groups.items()
        for image_set, result in sets.items()
    ]
    columns = {
        **dict.fromkeys(("model", "fit", "image_set")),
        "n": Column("panoramas"),
        "mean_change": Column("median of mean |d|", CHANGE),
        "unshifted": Column("median unshifted score", SCORE),
    }
    return page_table("Each set", pa.Table.from_pylist(rows), columns)


def _test_table(groups: _Groups) -> Table:
    found = [
        {"model": model, "fit": fit, **dataclasses.asdict(comparison)}
        for (model, fit), sets in groups.items()
        for comparison in compare_sets({name: _mean_change(r) for name, r in sets.items()})
    ]
    table = pa.Table.from_pylist(found)
    table = table.append_column("holm_p", pa.array(holm(table["p"].to_numpy())))
    columns = {
        **dict.fromkeys(("model", "fit")),
        "first": Column("first set"),
        "second": Column("second set"),
        "superiority": Column("probability of superiority", ".3f"),
        "statistic": Column("U", ".10g"),
        "p": Column("p", P),
        "holm_p": None,
    }
    return page_table("Mean |d| between sets", table, columns)
