"""The page of generated panoramas."""

import dataclasses
import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float

from jclip.data.image_sets import ImageSet
from jclip.data.panorama_sets import pair_key
from jclip.images.fits import SUPPLIED
from jclip.probes.panorama_scores import PanoramaScores
from jclip.probes.panorama_tables import EXCESS, common_rows
from jclip.report.page import Column, Illustration, Page, Section, page_title
from jclip.report.panorama_figures import (
    difference_figure,
    panorama_figure,
    seam_figure,
    shown_fit,
    shown_panoramas,
    yaw_figure,
)
from jclip.report.panorama_tables import HEADINGS, MAIN, score_names, score_table
from jclip.report.style import png
from jclip.report.tables import CHANGE, P, page_table

_MOST_PAIRS = 12
_COMPARED = {
    "first": Column("from"),
    "second": Column("to"),
    "model": None,
    "score": Column("score"),
    "n": Column("pairs"),
    "difference": Column("mean difference", f"+{CHANGE}"),
    ("low", "high"): Column("95 % interval", f"+{CHANGE}"),
    "median": Column("Hodges-Lehmann", f"+{CHANGE}"),
    "rank_biserial": Column("rank-biserial", "+.2f"),
    "sign_test_p": Column("sign test p", P),
    "holm_p": None,
}
_MAIN_COMPARED = {
    name: column
    for name, column in _COMPARED.items()
    if name not in ("n", "median", "rank_biserial", "sign_test_p")
}
_METHOD = """A score is 100 x cosine of the unit embeddings of a picture and a text. Orbit is the
score of the mean of the unit embeddings of the panorama at equal yaws, squashed to the tower's
square (supplied: as that encoder has it): it does not change under these yaws. Range and sd over
yaws are a panorama's own. Views are eight of 90 degrees around the horizon, antialiased and
wrapping, against the panorama's caption or their own; views at the seam look at yaw 180. DS is the
Discontinuity Score at the seam; its excess is over the mean of the other seven eighths of the turn,
which nobody had to close.

Intervals are bootstraps over panoramas. Generators are compared on the panoramas that both have, by
the exact two-sided sign test; Holm's correction is over all scores and pairs of generators."""


@dataclasses.dataclass(frozen=True)
class PanoramaTables:
    """The tables that a run wrote: sets, comparisons, distances, and a wide one."""

    sets: pa.Table
    comparisons: pa.Table
    distances: pa.Table
    wide: pa.Table


Values = Mapping[str, Float[np.ndarray, "_"]]


def panorama_page(
    results: Sequence[PanoramaScores],
    values: Sequence[Values],
    tables: PanoramaTables,
    sets: Sequence[ImageSet],
    alpha: float = 0.01,
) -> Page:
    """The report of scores of panoramas.

    Args:
        results: of every set and model.
        values: a score per panorama of each result, from `panorama_values`.
        tables: that the run wrote.
        sets: of images, to show some.
        alpha: level of the tests.

    Raises:
        ValueError: no results.
    """
    if not results:
        raise ValueError("no results")
    models = list(dict.fromkeys(result.model for result in results))
    main = score_names(tables.wide, MAIN)
    rest = [name for name in score_names(tables.wide) if name not in main]
    caption = "Mean over panoramas"
    sections = [
        Section(
            "Scores",
            "",
            *([score_table(caption, tables.wide, main)] if main else []),
            Section(
                "All scores by their names",
                "",
                score_table(caption, tables.wide, rest),
                folded=bool(main),
            ),
            method=_METHOD,
        ),
        *_distances(tables.distances),
        *_comparisons(results, values, tables.comparisons),
        *_figures([result for result in results if result.fits], sets),
        *_shown(results, values, sets),
    ]
    lead = _finding(tables, alpha)
    return Page(page_title("Generated panoramas", models), lead, tuple(sections))


def _finding(tables: PanoramaTables, alpha: float) -> str:
    """What differs between generators, or what the one scores."""
    found = tables.comparisons.filter(pc.field("name").isin(MAIN))
    rows = found.to_pylist()
    if not rows:
        return " ".join(map(_alone, tables.wide.to_pylist()))
    first = rows[0]["first"]
    by = {row["model"] for row in rows}
    told = []
    for second, own in itertools.groupby(
        (row for row in rows if row["first"] == first),
        key=lambda row: (row["second"], row["model"]),
    ):
        own = list(own)
        # Holm's first step: the smallest p of n signs, times all tests.
        if len(tables.comparisons) * 2.0 ** (1 - own[0]["n"]) >= alpha:
            told.append(f"{second[0]} and {first} share too few panoramas ({own[0]['n']}) to tell")
            continue
        moved = [row for row in own if row["holm_p"] < alpha]
        said = [
            f"{HEADINGS.get(row['name'], row['name'])} ({row['difference']:+.2f})" for row in moved
        ]
        changes = ", ".join(said) if said else "no score"
        judge = f" by {second[1]}" if len(by) > 1 else ""
        told.append(f"{second[0]} differs from {first} in {changes}{judge}")
    which = f" by {by.pop()}" if len(by) == 1 else ""
    return f"At p < {alpha:g}{which}: {'; '.join(told)}."


def _alone(row: Mapping[str, Any]) -> str:
    kinds, fits = ("orbit", "yaw_range"), ("squash", SUPPLIED)
    said = [
        f"{HEADINGS[name]} {row[name]:.2f} ({row[f'{name}_low']:.2f} to {row[f'{name}_high']:.2f})"
        for name in (*(f"{kind}.{fit}" for fit in fits for kind in kinds), EXCESS)
        if row.get(name) is not None
    ]
    if not said and row.get("mvdiffusion.CS") is not None:
        said = [f"views against their captions {row['mvdiffusion.CS']:.2f}"]
    return f"{row['image_set']}, {row['n']} panoramas by {row['model']}: {', '.join(said)}."


def _distances(distances: pa.Table) -> list[Section]:
    if not len(distances):
        return []
    columns = {
        "image_set": None,
        "reference": Column("to"),
        "model": None,
        "name": Column("distance"),
        "n": Column("panoramas"),
        "n_reference": Column("of the reference"),
        "distance": Column("value", ".4g"),
        ("low", "high"): Column("95 % interval", ".4g"),
    }
    table = page_table("Distances with basic bootstrap intervals", distances, columns)
    text = (
        "How far the embeddings of the panoramas lie from those of real ones. CMMD is of unit "
        "vectors, in float64; its biased form is above zero for two halves of one set, the "
        "unbiased one is not. CLIP-Frechet is of embeddings that are not normalised."
    )
    return [Section("Distances to real panoramas", text, table)]


def _comparisons(
    results: Sequence[PanoramaScores], values: Sequence[Values], comparisons: pa.Table
) -> list[Section]:
    if not len(comparisons):
        return []
    named = [HEADINGS.get(name, name) for name in comparisons["name"].to_pylist()]
    table = comparisons.append_column("score", pa.array(named))
    first = table["first"][0].as_py()
    main = table.filter(pc.field("name").isin(MAIN) & (pc.field("first") == first))
    parts = []
    if len(main):
        parts.append(page_table("Paired differences in the main scores", main, _MAIN_COMPARED))
    changes, compared = {}, {*table["first"].to_pylist(), *table["second"].to_pylist()}
    for one, other in itertools.combinations(range(len(results)), 2):
        score = "orbit.squash"
        if results[one].image_set != first or results[one].model != results[other].model:
            continue
        # A reference with captions is scored, and compared with nobody.
        if score not in values[other] or results[other].image_set not in compared:
            continue
        pairs = common_rows(results[one].images, results[other].images, pair_key)
        if pairs and score in values[one] and len(changes) < _MOST_PAIRS:
            left, right = map(list, zip(*pairs, strict=True))
            name = f"{results[one].image_set} to {results[other].image_set}"
            name += f" · {results[one].model}" * (len({r.model for r in results}) > 1)
            changes[name] = values[other][score][right] - values[one][score][left]
    if changes:
        figure = png(difference_figure(changes, "orbit"))
        parts.append(
            Illustration("by-prompt", "Difference in the orbit score, prompt by prompt.", figure)
        )
    every = page_table("Every score and pair of generators", table, _COMPARED)
    every = Section("Every score and pair", "", every, folded=True)
    return [Section("Differences between generators", "", *parts, every)]


def _figures(results: Sequence[PanoramaScores], sets: Sequence[ImageSet]) -> list[Section]:
    if not results:
        return []
    sizes = [
        f"{one.name} {', '.join(sorted({f'{i.width} x {i.height}' for i in one.images})[:3])}"
        for one in sets
        if not one.stacked
    ]
    fits = " and ".join(dict.fromkeys(map(shown_fit, results)))
    return [
        Section(
            "Around the turn",
            "",
            Illustration(
                "score-against-yaw",
                f"Score of the panorama turned to the right, fit {fits}: median and quartiles of "
                "the difference from the panorama's mean over yaws.",
                png(yaw_figure(results)),
            ),
            Illustration(
                "seam",
                "Discontinuity Score at eighths of a turn: median and quartiles. A seam that does "
                "not close stands out at 0. The score depends on the size of the panoramas, in "
                f"pixels: {'; '.join(sizes)}.",
                png(seam_figure(results)),
            ),
        )
    ]


def _shown(
    results: Sequence[PanoramaScores], values: Sequence[Values], sets: Sequence[ImageSet]
) -> list[Section]:
    opened = {one.name: one for one in sets}
    figures = []
    for result, own in zip(results, values, strict=True):
        known = ("orbit.squash", "orbit.crop", "orbit.supplied")
        by = next((name for name in known if name in own), None)
        if by is None or result.model != results[0].model:
            continue
        shown = shown_panoramas(result, own, opened[result.image_set], by, EXCESS)
        name = re.sub(r"[^a-z0-9]+", "-", result.image_set.lower()).strip("-")
        said = "; ".join(f"{one.label}: “{one.caption}”" for one in shown)
        caption = f"{result.image_set}, by the orbit score and by the seam's excess. {said}."
        picture = png(panorama_figure(shown))
        figures.append(Illustration(f"panoramas-{len(figures)}-{name}", caption, picture))
    return [Section("The best, the worst, and the worst seam", "", *figures)] if figures else []
