"""The tables of a shift sweep with a row per shift, and those that compare its sets of images."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from jclip.probes.shift import ShiftScores, same_views
from jclip.report.page import Column, Section, Table
from jclip.report.shift_figures import by_panel
from jclip.report.tables import CHANGE, SCORE, SHARE, P, labelled, page_table
from jclip.statistics.multiple import holm
from jclip.statistics.set_comparison import compare_sets
from jclip.statistics.stability import CorrectedTest, ShiftStatistics

# Longer tables are for the run's own files; the page shows shifts evenly spaced among them.
_MOST_ROWS = 64


def listed_shifts(count: int) -> list[int]:
    """Which of `count` shifts a table lists: all of few, 64 of many, evenly spaced."""
    rows = min(count, _MOST_ROWS)
    return [row * count // rows for row in range(rows)]


def per_shift_section(
    results: Sequence[ShiftScores], statistics: Sequence[ShiftStatistics], table: pa.Table
) -> Section:
    """Two tables per result, grouped and folded by model (and set), from `statistics_table`."""
    groups = by_panel(results, statistics)
    parts = []
    for name, group in groups.items():
        tables = []
        for result, summary in group:
            own = labelled(table, result.label)
            own = own.take(listed_shifts(len(own)))
            tables.append(_description_table(result, own))
            if summary.corrected:
                tables.append(_test_table(result, own, summary.corrected))
        parts.append(Section(name, "", *tables, folded=len(groups) > 1))
    return Section("Statistics per shift", _explanation(statistics), *parts)


def _explanation(statistics: Sequence[ShiftStatistics]) -> str:
    text = (
        "Intervals have a level of 95 % and hold for one shift at a time. That of the median |d| "
        "lies between two of the observed |d|, counted from either end by the binomial "
        "distribution, and is n/a below 6 panoramas. The Shapiro-Wilk test asks whether |d| is "
        "normally distributed: a small p says that it is not."
    )
    if any(s.corrected for s in statistics):
        text += (
            " That of the share of panoramas with |d| > beta is Clopper and Pearson's exact one."
        )
    if any(s.corrected and s.corrected.median_excess for s in statistics):
        text += (
            " That of the median |d| - beta is a bootstrap over panoramas which estimates beta "
            "anew in every resample, because beta comes from the same panoramas: below zero means "
            "stable."
        )
    most = max(len(s.shift_index) for s in statistics)
    if most > _MOST_ROWS:
        text += (
            f"\n\n{_MOST_ROWS} of {most} shifts are listed, evenly spaced; the run's statistics "
            "file has them all."
        )
    return text


def _description_table(result: ShiftScores, table: pa.Table) -> Table:
    columns = {
        **dict.fromkeys(("shift_index", "yaw")),
        ("shift_least", "shift_most"): Column("shift (pixels)"),
        "n": Column("panoramas"),
        **dict.fromkeys(("median_abs_d", ("median_low", "median_high"), "mean_abs_d")),
        **dict.fromkeys(("shapiro_statistic", "shapiro_p")),
    }
    return page_table(f"Fit {result.fit}: |d|", table, columns)


def _test_table(result: ShiftScores, table: pa.Table, corrected: CorrectedTest) -> Table:
    columns = {
        **dict.fromkeys(("shift_index", "yaw")),
        "median_excess": Column("median |d| - beta", CHANGE),
        ("median_excess_low", "median_excess_high"): None,
        "share_above_beta": Column("share with |d| > beta", SHARE),
        ("share_above_low", "share_above_high"): None,
        "sign_test_p": Column("sign test p", P),
        "sign_test_holm_p": Column("Holm p", P),
        **dict.fromkeys(("stable", "wilcoxon_statistic", "wilcoxon_p")),
        "stable_by_wilcoxon": Column("stable (Wilcoxon)"),
    }
    if corrected.median_excess is None:
        del columns["median_excess_low", "median_excess_high"]
    caption = f"Fit {result.fit}: tests against beta = {corrected.beta:.5g}"
    return page_table(caption, table, columns)


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
        _set_test_table(groups),
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


def _set_test_table(groups: _Groups) -> Table:
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
