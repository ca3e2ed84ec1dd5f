"""The page of a circular-shift sweep."""

import re
from collections.abc import Mapping, Sequence

import numpy as np

from jclip.images.fits import SUPPLIED
from jclip.probes.shift import ShiftScores
from jclip.probes.shift_tables import statistics_table, summary_table
from jclip.report.page import Illustration, Page, Section, page_title
from jclip.report.shift_content import content_section
from jclip.report.shift_examples import PanoramaExample, example_figure
from jclip.report.shift_figures import change_figure, yaw_figure
from jclip.report.shift_summary import finding, summary_section
from jclip.report.shift_tables import per_shift_section, set_section
from jclip.report.style import png
from jclip.statistics.stability import ShiftStatistics


def shift_page(
    results: Sequence[ShiftScores],
    statistics: Sequence[ShiftStatistics],
    examples: Sequence[PanoramaExample] = (),
) -> Page:
    """The report of a shift sweep.

    Results are of every image set, model and fit, their statistics in the same order; `examples`
    are panoramas that are shown with their views.

    Raises:
        ValueError: no results, or not one statistics per result.
    """
    if not results or len(results) != len(statistics):
        raise ValueError(f"{len(results)} results with {len(statistics)} statistics")
    betas = [s.reference.beta if s.reference else None for s in statistics]
    models = list(dict.fromkeys(result.model for result in results))
    several_sets = len({result.image_set for result in results}) > 1
    summary = summary_table(results, statistics)
    bounds = {result.label: beta for result, beta in zip(results, betas, strict=True)}
    sections = (
        summary_section(results, statistics, summary),
        *_figures(results, betas),
        content_section(results, statistics),
        *((set_section(results),) if several_sets else ()),
        *((_examples(examples, bounds, several_sets),) if examples else ()),
        per_shift_section(results, statistics, statistics_table(results, statistics)),
    )
    return Page(page_title("Circular-shift sweep", models), finding(summary), sections)


def _figures(
    results: Sequence[ShiftScores], betas: Sequence[float | None]
) -> tuple[Section, Section]:
    between = max(np.ptp(result.yaws, axis=0).max() for result in results)
    note = (
        f"\n\nThe panoramas differ in width, so one shift is a different yaw in each, by up to "
        f"{between:.3g} degrees; the median yaw is drawn."
        if between > 1
        else ""
    )
    changes = Illustration(
        "score-change",
        "Distribution of |d| over panoramas at each shift; a dashed line marks beta where it was "
        "given.",
        png(change_figure(results, betas)),
    )
    circle = Illustration(
        "score-against-yaw",
        "Score minus unshifted score of the same panorama: median and quartiles.",
        png(yaw_figure(results, betas)),
    )
    spread = "How |d| is distributed over panoramas. Lower is more stable." + note
    ring = "A model that does not care where a panorama is cut open stays on the ring." + note
    return (
        Section("Score change per shift", spread, changes),
        Section("Score against yaw", ring, circle),
    )


def _examples(
    examples: Sequence[PanoramaExample],
    betas: Mapping[tuple[str, str, str], float | None],
    several_sets: bool,
) -> Section:
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
    supplied = all(example.fit == SUPPLIED for example in examples)
    seen = "what the encoder was given" if supplied else "what the model sees"
    orbit = max((example.orbit for example in examples), default=1)
    first = f" Shown is the first of the {orbit} yaws of the orbit." if orbit > 1 else ""
    return Section(
        "Most and least stable panoramas",
        f"Ordered by the largest |d| over all shifts. Below each panorama: {seen} at yaw 0 and at "
        f"up to seven other shifts, with the score.{first}",
        *(Section(n, "", *own, folded=i > 0) for i, (n, own) in enumerate(groups.items())),
    )
