"""Figures of a shift sweep: score changes per shift, and against yaw."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.projections.polar import PolarAxes
from matplotlib.ticker import MaxNLocator

from jclip.probes.shift import ShiftScores
from jclip.probes.shift_tables import median_yaws
from jclip.report.style import INK, MUTED, draw_boxes, fit_colours, legend_below, panels, spread

# More boxes than this stand too close to be read: quantile bands over yaw instead.
_MOST_BOXES = 16
# Room for this many, lest one box fill the panel.
_FEWEST_BOXES = 5
# More points than this hide the boxes beneath them.
_MOST_POINTS = 40
# Further apart than this, two neighbouring yaws say little about what lies between them.
_WIDEST_GAP = 90.0


def yaw_label(yaw: float) -> str:
    """Yaw in degrees as a reader wants it: 45, 22.5, 0.3516."""
    return f"{yaw:.4g}"


def by_panel(results: Sequence[ShiftScores], *beside: Sequence[Any]) -> dict[str, list[Any]]:
    """Results, each in a tuple with what else belongs to it, by panel.

    A panel is named by its model and, among several sets, its set.
    """
    several = len({result.image_set for result in results}) > 1
    groups: dict[str, list[Any]] = {}
    for result, *others in zip(results, *beside, strict=True):
        name = f"{result.model} · {result.image_set}" if several else result.model
        groups.setdefault(name, []).append((result, *others))
    return groups


def change_figure(results: Sequence[ShiftScores], betas: Sequence[float | None]) -> Figure:
    """Distribution of |d| per shift, one panel per model (and set) and one colour per fit.

    Up to 16 shifts are drawn as boxes (quartiles, whiskers to 1.5 interquartile ranges) with a
    point per panorama where those are few; more shifts as median, quartiles and 95th percentile
    over yaw. `betas` holds one stability bound per result, drawn as a dashed line.

    Raises:
        ValueError: no results, or not one beta per result.
    """
    groups, fits = _checked(results, betas)
    boxes = max(result.scores.shape[1] - 1 for result in results)
    as_boxes = boxes <= _MOST_BOXES
    one_beta = len({beta for beta in betas if beta is not None}) == 1
    wide = (as_boxes and boxes * len(fits) > 36) or len(groups) == 1
    figure, axes = panels(
        len(groups),
        1 if wide else 2,
        (9.6, 3.6) if wide else (6.0, 3.5),
        list(groups),
        x="yaw (degrees)",
        y="|d| (score = 100 x cosine)",
    )
    colours = fit_colours(fits)
    for own, panel in zip(groups.values(), axes, strict=True):
        for result, beta in own:
            if as_boxes:
                _boxes(panel, result, fits, colours[result.fit])
            else:
                _bands(panel, result, colours[result.fit])
            if beta is not None:
                colour = INK if one_beta else colours[result.fit]
                panel.axhline(beta, color=colour, linestyle=(0, (5, 3)), linewidth=1.2, zorder=4)
        if not as_boxes:
            panel.set_xlim(0, 360)
            panel.set_xticks(range(0, 361, 45))
    top = max(np.max(np.abs(r.scores[:, 1:] - r.scores[:, :1])) for r in results)
    axes[0].set_ylim(0, 1.06 * max([top, *(b for b in betas if b is not None)]) or 1)
    _legend(figure, fits, colours, betas, as_boxes)
    figure.suptitle("Score change |d| = |score - unshifted score| per shift", fontsize=12.5)
    return figure


def yaw_figure(results: Sequence[ShiftScores], betas: Sequence[float | None]) -> Figure:
    """Score against yaw on a circle: change from the unshifted score, median and quartiles.

    One polar panel per model (and set), one colour per fit. The heavy ring is the unshifted score;
    changes are paired by panorama, so that differences between panoramas do not widen the
    quartiles. A grey zone marks changes within beta where all results share one.

    Raises:
        ValueError: no results, or not one beta per result.
    """
    groups, fits = _checked(results, betas)
    columns = {1: 1, 2: 2, 4: 2}.get(len(groups), 3)
    size = {1: (6.4, 5.6), 2: (5.2, 4.6), 3: (4.0, 3.9)}[columns]
    figure, axes = panels(len(groups), columns, size, list(groups), polar=True)
    colours = fit_colours(fits)
    bound = betas[0] if len(set(betas)) == 1 else None
    quartiles = [np.percentile(r.scores - r.scores[:, :1], (25, 50, 75), axis=0) for r in results]
    reach = [value for q in quartiles for value in (q.min(), q.max())]
    low, high = min([0.0, *reach, -(bound or 0)]), max([0.0, *reach, bound or 0])
    span = (high - low) or 1.0
    circle = np.linspace(0, 2 * np.pi, 361)
    for own, panel in zip(by_panel(results, quartiles).values(), axes, strict=True):
        _dial(panel, low - 0.45 * span, high + 0.06 * span)
        if bound is not None:
            panel.fill_between(circle, -bound, bound, color="#8c959f", alpha=0.16, linewidth=0)
        panel.plot(circle, np.zeros_like(circle), color=INK, linewidth=1.3, zorder=3)
        for result, lines in own:
            # An orbit's scores repeat at each of its yaws.
            turns = np.arange(result.orbit)[:, None] * (360 / result.orbit)
            yaws, lines = (turns + median_yaws(result)).ravel(), np.tile(lines, result.orbit)
            _around(panel, yaws, lines, colours[result.fit])
    handles: list[Patch | Line2D] = [Patch(color=colours[fit], label=fit) for fit in fits]
    handles.append(Line2D([], [], color=INK, linewidth=1.3, label="unshifted score"))
    if bound is not None:
        handles.append(Patch(color="#8c959f", alpha=0.3, label=f"within ± beta = {bound:g}"))
    legend_below(figure, 3 if columns == 1 else 6, handles)
    figure.suptitle(
        "Score against yaw (degrees): score - unshifted score (100 x cosine),\n"
        "median (line) and quartiles (band) over panoramas",
        fontsize=12 if columns > 1 else 11,
    )
    return figure


def _checked(
    results: Sequence[ShiftScores], betas: Sequence[float | None]
) -> tuple[dict[str, list[Any]], list[str]]:
    """Results and betas by panel, and all fits."""
    if not results or len(results) != len(betas):
        raise ValueError(f"{len(results)} results and {len(betas)} betas: need one each, or more")
    return by_panel(results, betas), list(dict.fromkeys(result.fit for result in results))


def _boxes(panel: Axes, result: ShiftScores, fits: Sequence[str], colour: str) -> None:
    order = np.argsort(median_yaws(result)[1:], kind="stable")
    change = np.abs(result.scores[:, 1:] - result.scores[:, :1])[:, order]
    width = 0.8 / len(fits)
    offset = (fits.index(result.fit) - (len(fits) - 1) / 2) * width
    centres = np.arange(1, change.shape[1] + 1) + offset
    few = len(change) <= _MOST_POINTS
    draw_boxes(panel, change, centres, 0.72 * width, colour, outliers=not few)
    if few:
        across = centres + spread(len(change), 0.5 * width)[:, None]
        panel.plot(across.ravel(), change.ravel(), ".", color=colour, markersize=4, alpha=0.75)
    middle, half = (change.shape[1] + 1) / 2, max(change.shape[1], _FEWEST_BOXES) / 2 + 0.1
    panel.set_xlim(middle - half, middle + half)
    panel.set_xticks(
        range(1, change.shape[1] + 1), [yaw_label(yaw) for yaw in median_yaws(result)[1:][order]]
    )


def _bands(panel: Axes, result: ShiftScores, colour: str) -> None:
    yaw = median_yaws(result)
    order = np.argsort(yaw, kind="stable")
    change = np.abs(result.scores - result.scores[:, :1])[:, order]
    low, median, high, top = np.percentile(change, (25, 50, 75, 95), axis=0)
    panel.fill_between(yaw[order], low, high, color=colour, alpha=0.2, linewidth=0)
    panel.plot(yaw[order], median, color=colour, linewidth=1.8)
    panel.plot(yaw[order], top, color=colour, linewidth=0.8, alpha=0.7)


def _legend(
    figure: Figure,
    fits: Sequence[str],
    colours: dict[str, str],
    betas: Sequence[float | None],
    as_boxes: bool,
) -> None:
    handles: list[Patch | Line2D] = [Patch(color=colours[fit], label=fit) for fit in fits]
    if not as_boxes:
        handles.append(Line2D([], [], color=MUTED, linewidth=1.8, label="median"))
        handles.append(Patch(color=MUTED, alpha=0.3, label="quartiles"))
        handles.append(Line2D([], [], color=MUTED, linewidth=0.8, label="95th percentile"))
    bounds = sorted({beta for beta in betas if beta is not None})
    if bounds:
        one = len(bounds) == 1
        label = f"beta = {bounds[0]:g}" if one else "beta, in the colour of its fit"
        colour = INK if one else MUTED
        handles.append(Line2D([], [], color=colour, linestyle=(0, (5, 3)), label=label))
    legend_below(figure, len(handles), handles)


def _dial(panel: PolarAxes, low: float, high: float) -> None:
    panel.set_theta_zero_location("N")
    panel.set_theta_direction(-1)
    panel.set_ylim(low, high)
    panel.set_xticks(np.radians(range(0, 360, 45)))
    ticks = np.asarray(MaxNLocator(5).tick_values(low, high))
    panel.set_yticks(ticks[(ticks > low) & (ticks < high)])
    # Between two spokes, where the fewest curves have their points.
    panel.set_rlabel_position(22.5)
    panel.tick_params(labelsize=8.5, colors=MUTED, labelcolor=INK)
    panel.grid(color="#d0d7de", linewidth=0.6)
    panel.spines["polar"].set_visible(False)


def _around(
    panel: PolarAxes,
    yaw: Float[np.ndarray, " s"],
    quartiles: Float[np.ndarray, "3 s"],
    colour: str,
) -> None:
    order = np.argsort(yaw, kind="stable")
    yaw = np.append(yaw[order], yaw[order[0]] + 360)
    quartiles = np.column_stack([quartiles[:, order], quartiles[:, order[0]]])
    if len(yaw) <= 64:
        panel.plot(np.radians(yaw[:-1]), quartiles[1, :-1], "o", color=colour, markersize=3.5)
    runs = np.split(np.arange(len(yaw)), np.flatnonzero(np.diff(yaw) > _WIDEST_GAP) + 1)
    for run in runs:
        # Straight chords would show a constant score as a dent: points are joined along the circle.
        steps = np.arange(float(yaw[run[0]]), float(yaw[run[-1]]))
        degrees = np.union1d(yaw[run], steps)
        low, middle, high = (np.interp(degrees, yaw[run], line[run]) for line in quartiles)
        if len(run) == 1:
            panel.plot(np.radians([degrees[0]] * 2), [low[0], high[0]], color=colour, alpha=0.5)
        panel.fill_between(np.radians(degrees), low, high, color=colour, alpha=0.17, linewidth=0)
        panel.plot(np.radians(degrees), middle, color=colour, linewidth=1.8)
