"""The page of a keyword probe."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from jclip.probes.keyword_scores import KeywordScores
from jclip.report.keyword_figures import difference_figure, effect_figure
from jclip.report.page import Cell, Column, Illustration, Page, Section, Table
from jclip.report.provenance import FaultChoice, fault_section, settings_section
from jclip.report.shift_tables import written_p
from jclip.report.style import png
from jclip.statistics.keyword import KeywordStatistics

Found = tuple[KeywordScores, KeywordStatistics, Float[np.ndarray, "v u"]]


def keyword_page(
    results: Sequence[KeywordScores],
    statistics: Sequence[KeywordStatistics],
    adjusted_p: Sequence[Float[np.ndarray, "v u"]],
    *,
    alpha: float,
    settings: dict[str, object],
    faults: Sequence[FaultChoice],
    notices: Sequence[str],
) -> Page:
    """Assembles the report of a keyword probe.

    Args:
        results: one per set, model and fit.
        statistics: those of each result, in the same order.
        adjusted_p: p values of each result after Holm's adjustment.
        alpha: level at which a difference counts as found.
        settings: what was run; a mapping inside becomes a table of its own.
        faults: one per fault of the papers' code that the run had a choice in.
        notices: warnings that precede everything else.

    Raises:
        ValueError: no results, or not one statistics per result.
    """
    if not results or not len(results) == len(statistics) == len(adjusted_p):
        raise ValueError(f"{len(results)} results with {len(statistics)} statistics")
    found = list(zip(results, statistics, adjusted_p, strict=True))
    models = list(dict.fromkeys(result.model for result in results))
    title = models[0] if len(models) == 1 else f"{len(models)} models"
    return Page(
        title=f"Keyword probe: {title}",
        lead="Does a CLIP score notice words that say a picture is a 360-degree panorama?",
        notices=tuple(notices),
        sections=(
            _summary(found, alpha, faults),
            _differences(found, alpha),
            _distributions(found),
            _pairs(found, models),
            fault_section(faults),
            settings_section(settings),
        ),
    )


def _summary(found: Sequence[Found], alpha: float, faults: Sequence[FaultChoice]) -> Section:
    first = found[0][0]
    repeated = [choice.fault for choice in faults if choice.choice == "reference"]
    text = [
        f"{len(first.identifiers)} identifiers of 360-degree panoramas and {len(first.generics)} "
        "generic words are put before the same content. A positive difference means that the "
        "identifier scores higher than the generic word on the same image (score = 100 x cosine). "
        "A model that understands the identifiers shows positive differences on panoramas, and "
        "negative ones on perspective photos, the control.",
        f"A difference counts as found where the paired one-sided Wilcoxon test, adjusted by "
        f"Holm's method over all pairs of words, models, fits and sets, gives p < {alpha:g}. "
        "Control sets are a family of their own.",
        f"Faults of the papers' code that this run repeats: {'; '.join(repeated) or 'none'}.",
    ]
    columns = (
        Column("image set"),
        Column("model"),
        Column("fit"),
        Column("images"),
        Column("identifier higher (pairs found)"),
        Column("median of the pairs' differences", "+.3f"),
        Column("images won: fewest", ".1%"),
        Column("images won: most", ".1%"),
    )
    rows = tuple(
        (
            f"{result.image_set} (control)" if result.control else result.image_set,
            result.model,
            result.fit,
            own.n,
            f"{int((p < alpha).sum())} of {p.size}",
            float(np.median(own.location)),
            float(own.wins.min()),
            float(own.wins.max()),
        )
        for result, own, p in found
    )
    table = Table("Identifiers against generic words", columns, rows)
    return Section(heading="Summary", text="\n\n".join(text), tables=(table,))


def _differences(found: Sequence[Found], alpha: float) -> Section:
    figure = effect_figure(found, alpha)
    caption = (
        "Hodges-Lehmann difference of score, identifier minus generic word. Bold: found after "
        "Holm's adjustment."
    )
    return Section(
        heading="Difference of every pair of words",
        figures=(Illustration("differences", caption, png(figure)),),
    )


def _distributions(found: Sequence[Found]) -> Section:
    caption = (
        "Score with an identifier minus the mean score with the generic words, per image: median, "
        "quartiles and whiskers at 1.5 times the quartiles' distance."
    )
    figure = difference_figure([result for result, _, _ in found])
    return Section(
        heading="Panoramas and control beside each other",
        figures=(Illustration("distributions", caption, png(figure)),),
    )


def _pairs(found: Sequence[Found], models: Sequence[str]) -> Section:
    parts = tuple(
        Section(
            heading=model,
            tables=tuple(_pair_table(*own) for own in found if own[0].model == model),
            folded=len(models) > 1,
        )
        for model in models
    )
    text = (
        "Differences with the Hodges-Lehmann estimate and its 95 % interval; the rank-biserial "
        "effect runs from -1 to 1; shares of images won with their Clopper-Pearson interval."
    )
    return Section(heading="All pairs", text=text, parts=parts)


def _pair_table(
    result: KeywordScores, own: KeywordStatistics, adjusted: Float[np.ndarray, "v u"]
) -> Table:
    columns = (
        Column("identifier"),
        Column("generic"),
        Column("median difference", "+.3f"),
        Column("Hodges-Lehmann", "+.3f"),
        Column("from", "+.3f"),
        Column("to", "+.3f"),
        Column("effect", "+.3f"),
        Column("images won", ".1%"),
        Column("from", ".1%"),
        Column("to", ".1%"),
        Column("Wilcoxon statistic", ".10g"),
        Column("p", "#.2g"),
        Column("Holm p", "#.2g"),
    )
    rows = tuple(
        (identifier, generic, *_pair_cells(own, adjusted, (v, u)))
        for v, identifier in enumerate(result.identifiers)
        for u, generic in enumerate(result.generics)
    )
    control = ", control" if result.control else ""
    return Table(f"{result.image_set}{control}, fit {result.fit}, {own.n} images", columns, rows)


def _pair_cells(
    own: KeywordStatistics, adjusted: Float[np.ndarray, "v u"], at: tuple[int, int]
) -> tuple[Cell, ...]:
    return (
        float(own.median[at]),
        float(own.location[at]),
        float(own.location_interval.low[at]),
        float(own.location_interval.high[at]),
        float(own.effect[at]),
        float(own.wins[at]),
        float(own.wins_interval.low[at]),
        float(own.wins_interval.high[at]),
        float(own.statistic[at]),
        written_p(float(own.p[at])),
        written_p(float(adjusted[at])),
    )
