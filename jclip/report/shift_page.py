"""The page of a circular-shift sweep."""

import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from jclip.probes.shift import ShiftScores
from jclip.probes.shift_tables import statistics_table, summary_table
from jclip.report.page import Illustration, Page, Section
from jclip.report.shift_content import content_section
from jclip.report.shift_examples import PanoramaExample, example_figure
from jclip.report.shift_figures import change_figure, yaw_figure
from jclip.report.shift_sets import set_section
from jclip.report.shift_summary import finding, summary_section
from jclip.report.shift_tables import per_shift_section
from jclip.report.style import png
from jclip.statistics.stability import ShiftStatistics


def shift_page(
    results: Sequence[ShiftScores],
    statistics: Sequence[ShiftStatistics],
    examples: Sequence[PanoramaExample] = (),
) -> Page:
    """The report of a shift sweep.

    Args:
        results: one per image set, model and fit; those with mirrored scores are said to have
            their beta from them.
        statistics: those of each result, in the same order.
        examples: panoramas shown with their views, in the order given.

    Raises:
        ValueError: no results, or not one statistics per result.
    """
    if not results or len(results) != len(statistics):
        raise ValueError(f"{len(results)} results with {len(statistics)} statistics")
    betas = [s.reference.beta if s.reference else None for s in statistics]
    models = list(dict.fromkeys(result.model for result in results))
    several_sets = len({result.image_set for result in results}) > 1
    title = models[0] if len(models) == 1 else f"{len(models)} models"
    summary = summary_table(results, statistics)
    return Page(
        title=f"Circular-shift sweep: {title}",
        lead=finding(summary),
        sections=(
            summary_section(results, statistics, summary),
            *_figures(results, betas),
            content_section(results, statistics),
            *((set_section(results),) if several_sets else ()),
            *_examples(
                examples,
                {result.label: beta for result, beta in zip(results, betas, strict=True)},
                several_sets=several_sets,
            ),
            per_shift_section(results, statistics, statistics_table(results, statistics)),
        ),
    )


def _figures(results: Sequence[ShiftScores], betas: Sequence[float | None]) -> Iterator[Section]:
    between = [np.ptp(r.yaws, axis=0).max() for r in results]
    note = (
        f"\n\nThe panoramas differ in width, so one shift is a different yaw in each, by up to "
        f"{max(between):.3g} degrees; the median yaw is drawn."
        if max(between) > 1
        else ""
    )
    yield Section(
        heading="Score change per shift",
        text="How |d| is distributed over panoramas. Lower is more stable." + note,
        figures=(
            Illustration(
                "score-change",
                "Distribution of |d| over panoramas at each shift; a dashed line marks beta "
                "where it was given.",
                png(change_figure(results, betas)),
            ),
        ),
    )
    yield Section(
        heading="Score against yaw",
        text="A model that does not care where a panorama is cut open stays on the ring." + note,
        figures=(
            Illustration(
                "score-against-yaw",
                "Score minus unshifted score of the same panorama: median and quartiles.",
                png(yaw_figure(results, betas)),
            ),
        ),
    )


def _examples(
    examples: Sequence[PanoramaExample],
    betas: Mapping[tuple[str, str, str], float | None],
    *,
    several_sets: bool,
) -> Iterator[Section]:
    groups: dict[str, list[Illustration]] = {}
    for number, example in enumerate(examples, 1):
        sets = [example.image_set] if several_sets else []
        words = [example.model, *sets, example.fit]
        name = re.sub(r"[^a-z0-9]+", "-", f"{' '.join(words)} {example.label}".lower()).strip("-")
        beta = betas.get((example.image_set, example.model, example.fit))
        groups.setdefault(" · ".join(words), []).append(
            Illustration(
                f"example-{number:02d}-{name}",
                f"{example.image}, {example.label}: “{example.caption}”",
                png(example_figure(example, beta)),
            )
        )
    if groups:
        yield Section(
            heading="Most and least stable panoramas",
            text="Ordered by the largest |d| over all shifts. Below each panorama: what the model "
            "sees at yaw 0 and at up to seven other shifts, with the score.",
            parts=tuple(
                Section(heading, figures=tuple(figures), folded=number > 0)
                for number, (heading, figures) in enumerate(groups.items())
            ),
        )
