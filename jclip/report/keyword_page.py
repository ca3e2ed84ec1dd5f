"""The page of a keyword probe."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from jclip.probes.keyword import KeywordScores
from jclip.probes.keyword_tables import keyword_statistics_table, keyword_summary
from jclip.report.keyword_figures import difference_figure, effect_figure
from jclip.report.page import Column, Illustration, Page, Section, Table, page_title
from jclip.report.style import png
from jclip.report.tables import P, labelled, page_table
from jclip.statistics.keyword import KeywordStatistics

_DIFFERENCE, _SHARE = "+.3f", ".1%"
# More cases than these are counted in the first sentence, not listed.
_MOST_NAMED = 4


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
        "are a family of their own.",
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
