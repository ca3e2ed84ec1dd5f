"""Figures of the keyword probe."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from jclip.probes.keyword import KeywordScores
from jclip.report.style import COLOURS, INK, MUTED, drawable, panels, tidy
from jclip.statistics.keyword import KeywordStatistics

_PANORAMAS, _CONTROL = COLOURS[0], COLOURS[1]
_DARK = 0.6


def effect_figure(
    found: Sequence[tuple[KeywordScores, KeywordStatistics, Float[np.ndarray, "v u"]]],
    alpha: float,
) -> Figure:
    """A grid of identifiers by generic words per result, each cell with its difference."""
    first = found[0][0]
    wide = 1.1 * len(first.generics) + 2.4
    figure, axes = panels(len(found), 2, (max(wide, 4.5), 0.42 * len(first.identifiers) + 1.6))
    largest = max(float(np.abs(own.location).max()) for _, own, _ in found) or 1.0
    scale = TwoSlopeNorm(0.0, -largest, largest)
    for number, (panel, (result, own, p)) in enumerate(zip(axes, found, strict=True)):
        panel.imshow(own.location, cmap="PuOr_r", norm=scale, aspect="auto")
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
        panel.set_title(_title(result), fontsize=10, color=INK)
    return figure


def difference_figure(results: Sequence[KeywordScores]) -> Figure:
    """Boxes of score differences per identifier, panoramas beside control, a panel per model."""
    groups: dict[tuple[str, str], list[KeywordScores]] = {}
    for result in results:
        groups.setdefault((result.model, result.fit), []).append(result)
    most = max(map(len, groups.values()))
    wide = max(5.0, 0.5 * most * len(results[0].identifiers) + 2.4)
    figure, axes = panels(len(groups), 2, (wide, 3.6))
    for number, (panel, ((model, fit), own)) in enumerate(zip(axes, groups.items(), strict=True)):
        tidy(panel)
        panel.axhline(0, color=INK, linewidth=1.0)
        for place, result in enumerate(own):
            colour = _CONTROL if result.control else _PANORAMAS
            width = 0.8 / len(own)
            centres = np.arange(len(result.identifiers)) + (place - (len(own) - 1) / 2) * width
            generic = result.generic_scores.mean(axis=1, keepdims=True)
            panel.boxplot(
                result.identifier_scores - generic,
                positions=centres,
                widths=0.75 * width,
                manage_ticks=False,
                patch_artist=True,
                boxprops={"facecolor": colour, "alpha": 0.35, "edgecolor": colour},
                whiskerprops={"color": colour},
                capprops={"color": colour},
                medianprops={"color": colour, "linewidth": 2.2},
                flierprops={"marker": ".", "markersize": 3, "markeredgecolor": colour},
            )
        words = [drawable(word) for word in own[0].identifiers]
        panel.set_xticks(range(len(words)), words, fontsize=8.5)
        panel.set_xlim(-0.6, len(words) - 0.4)
        if number % 2 == 0:
            panel.set_ylabel("difference of score", fontsize=9)
        panel.set_title(f"{drawable(model)}, {fit}", fontsize=10, color=INK)
    handles = [Patch(color=_PANORAMAS, alpha=0.5, label="panoramas")]
    if any(result.control for result in results):
        handles.append(Patch(color=_CONTROL, alpha=0.5, label="perspective photos (control)"))
    figure.legend(
        handles=handles, loc="outside lower center", ncols=2, frameon=False, labelcolor=MUTED
    )
    return figure


def _title(result: KeywordScores) -> str:
    control = " (control)" if result.control else ""
    return f"{drawable(result.model)}, {result.fit}: {drawable(result.image_set)}{control}"
