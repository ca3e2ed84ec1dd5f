"""The page of a keyword probe."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from jaxtyping import Float
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from jclip.probes.keyword import KeywordScores
from jclip.probes.keyword_tables import keyword_statistics_table, keyword_summary
from jclip.report.page import Column, Illustration, Page, Section, Table, page_title
from jclip.report.style import COLOURS, INK, draw_boxes, drawable, legend_below, panels, png
from jclip.report.tables import PROBABILITY_METHOD, P, labelled, page_table
from jclip.statistics.keyword import KeywordStatistics

_DIFFERENCE, _SHARE = "+.3f", ".1%"
_PROBABILITIES = ("identifier_probability", "generic_probability")
# More cases than these are counted in the first sentence, not listed.
_MOST_NAMED = 4
# Cells darker than this share of the darkest have white numbers.
_DARK = 0.6


def keyword_page(
    results: Sequence[KeywordScores],
    statistics: Sequence[KeywordStatistics],
    adjusted_p: Sequence[Float[np.ndarray, "v u"]],
    alpha: float,
) -> Page:
    """The report of a keyword probe.

    Every result has its statistics and p values after Holm's adjustment, in the same order; a
    difference counts as found below `alpha`.

    Raises:
        ValueError: no results, or not one statistics per result.
    """
    if not results or not len(results) == len(statistics) == len(adjusted_p):
        raise ValueError(f"{len(results)} results with {len(statistics)} statistics")
    found = list(zip(results, statistics, adjusted_p, strict=True))
    models = list(dict.fromkeys(result.model for result in results))
    summary = keyword_summary(results, statistics, adjusted_p, alpha)
    differences = Illustration(
        "differences",
        "Hodges-Lehmann difference of score, identifier minus generic word. Bold: found after "
        "Holm's adjustment.",
        png(effect_figure(found, alpha)),
    )
    distributions = Illustration(
        "distributions",
        "Score with an identifier minus the mean score with the generic words, per image: median, "
        "quartiles and whiskers at 1.5 times the quartiles' distance.",
        png(difference_figure(results)),
    )
    table = keyword_statistics_table(results, statistics, adjusted_p)
    pairs = {
        model: [_pair_table(r, table) for r in results if r.model == model] for model in models
    }
    sections = (
        _summary(results[0], summary, alpha),
        Section("Difference of every pair of words", "", differences),
        Section("Panoramas and control beside each other", "", distributions),
        Section(
            "All pairs",
            "Differences with the Hodges-Lehmann estimate and its 95 % interval; the rank-biserial "
            "effect runs from -1 to 1; shares of images won with their Clopper-Pearson interval.",
            *(Section(m, "", *pairs[m], folded=len(models) > 1) for m in models),
        ),
    )
    return Page(page_title("Keyword probe", models), _finding(summary), sections)


def _finding(summary: pa.Table) -> str:
    """What the probe found, in a sentence or two."""
    rows = summary.to_pylist()
    if len(rows) > _MOST_NAMED:
        tested = [row for row in rows if not row["control"]]
        noticed = sum(row["pairs_found"] == row["pairs"] for row in tested)
        return (
            "Words that say a picture is a 360-degree panorama raise the score in all pairs of "
            f"words in {noticed} of {len(tested)} cases of set, model and fit."
        )
    cases = (
        f"{row['median_difference']:+.2f} on {row['image_set']}"
        f"{' (control)' if row['control'] else ''} ({row['model']}, {row['fit']}; higher in "
        f"{row['pairs_found']} of {row['pairs']} pairs of words)"
        for row in rows
    )
    return (
        "Words that say a picture is a 360-degree panorama change its score by a median of "
        f"{', '.join(cases)}."
    )


def _summary(first: KeywordScores, summary: pa.Table, alpha: float) -> Section:
    rows = summary.to_pylist()
    sets = [f"{r['image_set']} (control)" if r["control"] else r["image_set"] for r in rows]
    found = [f"{row['pairs_found']} of {row['pairs']}" for row in rows]
    table = summary.append_column("set", pa.array(sets)).append_column("found", pa.array(found))
    columns = {
        "set": Column("image set"),
        **dict.fromkeys(("model", "fit", "n")),
        "found": Column("identifier higher (pairs found)"),
        "location": Column("median of the pairs' differences", _DIFFERENCE),
        "fewest_wins": Column("images won: fewest", _SHARE),
        "most_wins": Column("images won: most", _SHARE),
    }
    probable = [name for name in _PROBABILITIES if name in summary.column_names]
    columns |= dict.fromkeys(probable)
    return Section(
        "Summary",
        "",
        page_table("Identifiers against generic words", table, columns),
        method=f"{len(first.identifiers)} identifiers of 360-degree panoramas and "
        f"{len(first.generics)} generic words are put before the same content. A positive "
        "difference means that the identifier scores higher than the generic word on the same "
        "image (score = 100 x cosine). A model that understands the identifiers shows positive "
        "differences on panoramas, and negative ones on perspective photos, the control.\n\n"
        "A difference counts as found where the paired one-sided Wilcoxon test, adjusted by Holm's "
        f"method over all pairs of words, models, fits and sets, gives p < {alpha:g}. Control sets "
        "are a family of their own." + f"\n\n{PROBABILITY_METHOD}" * bool(probable),
    )


def _pair_table(result: KeywordScores, table: pa.Table) -> Table:
    columns = {
        **dict.fromkeys(("identifier", "generic")),
        "median_difference": Column("median difference", _DIFFERENCE),
        "hodges_lehmann": Column("Hodges-Lehmann", _DIFFERENCE),
        "hodges_lehmann_low": Column("from", _DIFFERENCE),
        "hodges_lehmann_high": Column("to", _DIFFERENCE),
        "rank_biserial": Column("effect", _DIFFERENCE),
        "share_of_wins": Column("images won", _SHARE),
        "wins_low": Column("from", _SHARE),
        "wins_high": Column("to", _SHARE),
        "wilcoxon_statistic": None,
        "wilcoxon_p": Column("p", P),
        "holm_p": None,
    }
    control = ", control" if result.control else ""
    caption = f"{result.image_set}{control}, fit {result.fit}, {len(result.images)} images"
    return page_table(caption, labelled(table, result.label), columns)


def effect_figure(
    found: Sequence[tuple[KeywordScores, KeywordStatistics, Float[np.ndarray, "v u"]]],
    alpha: float,
) -> Figure:
    """A grid of identifiers by generic words per result, each cell with its difference."""
    first = found[0][0]
    size = max(1.1 * len(first.generics) + 2.4, 4.5), 0.42 * len(first.identifiers) + 1.6
    figure, axes = panels(len(found), 2, size, [_title(result) for result, _, _ in found])
    largest = max(float(np.abs(own.location).max()) for _, own, _ in found) or 1.0
    scale = TwoSlopeNorm(0.0, -largest, largest)
    for number, (panel, (result, own, p)) in enumerate(zip(axes, found, strict=True)):
        panel.imshow(own.location, cmap="PuOr_r", norm=scale, aspect="auto")
        panel.grid(visible=False)
        panel.spines[:].set_visible(False)
        for (v, u), value in np.ndenumerate(own.location):
            panel.text(
                u,
                v,
                f"{value:+.2f}",
                ha="center",
                va="center",
                fontsize=9,
                fontweight="bold" if p[v, u] < alpha else "normal",
                color="white" if abs(value) > _DARK * largest else INK,
            )
        panel.set_xticks(range(len(result.generics)), [drawable(w) for w in result.generics])
        panel.set_yticks(range(len(result.identifiers)), [drawable(w) for w in result.identifiers])
        panel.tick_params(labelsize=8.5, length=0, labelleft=number % 2 == 0 or len(found) == 1)
    return figure


def difference_figure(results: Sequence[KeywordScores]) -> Figure:
    """Boxes of score differences per identifier, panoramas beside control, a panel per model."""
    groups: dict[str, list[KeywordScores]] = {}
    for result in results:
        groups.setdefault(f"{result.model}, {result.fit}", []).append(result)
    most = max(map(len, groups.values()))
    size = max(5.0, 0.5 * most * len(results[0].identifiers) + 2.4), 3.6
    figure, axes = panels(len(groups), 2, size, list(groups), y="difference of score")
    for panel, own in zip(axes, groups.values(), strict=True):
        panel.axhline(0, color=INK, linewidth=1.0)
        width = 0.8 / len(own)
        for place, result in enumerate(own):
            centres = np.arange(len(result.identifiers)) + (place - (len(own) - 1) / 2) * width
            differences = result.identifier_scores - result.generic_scores.mean(1, keepdims=True)
            draw_boxes(panel, differences, centres, 0.75 * width, COLOURS[result.control])
        words = [drawable(word) for word in own[0].identifiers]
        panel.set_xticks(range(len(words)), words, fontsize=8.5)
        panel.set_xlim(-0.6, len(words) - 0.4)
    handles = [Patch(color=COLOURS[0], alpha=0.5, label="panoramas")]
    if any(result.control for result in results):
        handles.append(Patch(color=COLOURS[1], alpha=0.5, label="perspective photos (control)"))
    legend_below(figure, 2, handles)
    return figure


def _title(result: KeywordScores) -> str:
    control = " (control)" if result.control else ""
    return f"{drawable(result.model)}, {result.fit}: {drawable(result.image_set)}{control}"
