"""Figures of the keyword probe."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from jclip.probes.keyword import KeywordScores
from jclip.report.style import COLOURS, INK, draw_boxes, drawable, legend_below, panels
from jclip.statistics.keyword import KeywordStatistics

_DARK = 0.6


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
