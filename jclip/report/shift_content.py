"""How much of a score change is content that a fit no longer shows."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from jclip.images.fits import SUPPLIED
from jclip.probes.shift import ShiftScores, period, same_views
from jclip.probes.shift_tables import median_yaws
from jclip.report.page import Column, Illustration, Section, Table
from jclip.report.shift_figures import by_panel
from jclip.report.shift_tables import listed_shifts
from jclip.report.style import fit_colours, legend_below, panels, png
from jclip.report.tables import page_table
from jclip.statistics.stability import ShiftStatistics

# Points that share an abscissa stand beside each other, this far apart at most (in per cent).
_WIDEST_STEP = 1.1
_WIDEST_GROUP = 22.0
_MOST_QUARTILE_BARS = 64


def shared_content(
    shifts: Int[np.ndarray, "n s"],
    heights: Int[np.ndarray, " n"],
    widths: Int[np.ndarray, " n"],
    fit: str,
    orbit: int = 1,
) -> Float[np.ndarray, "n s"]:
    """Share of the columns seen in the unshifted view that the shifted view still shows, `[N, S]`.

    `crop` keeps a window as wide as the panorama is high (fault 1 of paper 1), `tiles` two of them
    half a turn apart, an orbit as many as it has yaws, `squash` and `pad` every column. Of
    `supplied` views all is given to the encoder, and what it does with them is not known here.
    Shifts are in pixels, to either side.
    """
    if fit not in ("crop", "tiles"):
        return np.ones(shifts.shape)
    # Windows at equal turns repeat from each to the next.
    part = (widths / period(fit, orbit))[:, None]
    window = np.minimum(heights[:, None], part)
    turned = shifts % part
    # A window wider than half the circle meets the shifted one at both of its ends.
    overlap = np.maximum(window - turned, 0) + np.maximum(window - (part - turned), 0)
    return overlap / window


def content_section(
    results: Sequence[ShiftScores], statistics: Sequence[ShiftStatistics]
) -> Section:
    """|d| against the share of content that both views show, and what that says of the crop."""
    shares = [_median_share(result) for result in results]
    lost = any(np.any(share < 1) for share in shares)
    groups = by_panel(results, statistics, shares)
    return Section(
        "Where does the change come from?",
        _reading({result.fit for result in results}, lost),
        *((_illustration(results),) if lost else ()),
        *(_table(name, own) for name, own in groups.items()),
    )


def _illustration(results: Sequence[ShiftScores]) -> Illustration:
    return Illustration(
        "shared-content",
        "Median |d| with quartiles over panoramas, one point per shift, against the share of the "
        "unshifted view's content that the shifted view still shows. Points with the same share "
        "stand side by side, those that share everything in the grey band; shifts that map the "
        "views onto themselves by construction are left out.",
        png(content_figure(results)),
    )


def _reading(fits: set[str], lost: bool) -> str:
    if fits == {SUPPLIED}:
        return (
            "The encoder was given the whole panorama at every turn. How it makes a picture what "
            "its network sees (supplied) is not known here: if it crops, a part of the change is "
            "content that came and went."
        )
    if not lost:
        return (
            "Every score of this run is of the whole panorama, turned or not: no content is lost, "
            "and what changes the score is the network's answer to where things are."
        )
    text = (
        "The crop keeps a window as wide as the panorama is high, half of a 2:1 panorama. A turn "
        "moves content out of that window and other content into it, so that a score under crop "
        "may change because the view shows something else. Squash, pad and tiles show the whole "
        "panorama at every turn of a 2:1 panorama: under them a change is the network's answer "
        "to where things are, not to what there is."
    )
    if {"crop", "squash"} <= fits:
        text += (
            "\n\nThe median |d| under squash is what the network does. The median |d| under crop "
            "minus that under squash is what the crop adds by removing content; where it is not "
            "positive, the crop is not what moves the score. Squash also distorts the picture, so "
            "read the difference as a size, not as an exact share."
        )
    elif "crop" in fits:
        text += (
            "\n\nThis run has no fit that keeps all content in view; without one it cannot say how "
            "much of a change is the crop's and how much the network's."
        )
    return text


def _median_share(result: ShiftScores) -> Float[np.ndarray, " s"]:
    shares = shared_content(result.shifts, result.heights, result.widths, result.fit, result.orbit)
    return np.median(shares, axis=0)


def _table(
    title: str, group: Sequence[tuple[ShiftScores, ShiftStatistics, Float[np.ndarray, " s"]]]
) -> Table:
    """One row per shift: what each fit still shows, the median |d| under it, crop minus squash."""
    result, some, _ = group[0]
    found = {"yaw": median_yaws(result)[some.shift_index]}
    columns: dict[str, Column | None] = {"yaw": None}
    for own, _, share in group:
        if np.any(share < 1):
            found[own.fit] = 100 * share[some.shift_index]
            columns[own.fit] = Column(f"content shared under {own.fit} (%)", ".4g")
    medians = {own.fit: statistics.median for own, statistics, _ in group}
    # What the network does, and then what the crop adds, stand last.
    for fit in sorted(medians, key="squash".__eq__):
        found[f"{fit} d"] = medians[fit]
        what = ": what the network does" if fit == "squash" else ""
        columns[f"{fit} d"] = Column(f"median |d|, {fit}{what}", ".3f")
    if {"crop", "squash"} <= medians.keys():
        found["both"] = medians["crop"] - medians["squash"]
        columns["both"] = Column("crop - squash: what the crop removes", ".3f")
    listed = listed_shifts(len(some.shift_index))
    return page_table(title, pa.table(found).take(listed), columns)


def content_figure(results: Sequence[ShiftScores]) -> Figure:
    """Median |d| with quartiles against shared content, a panel per model (and set)."""
    groups = by_panel(results)
    fits = list(dict.fromkeys(result.fit for result in results))
    colours = fit_colours(fits)
    figure, axes = panels(
        len(groups),
        2,
        (8.4, 3.6) if len(groups) == 1 else (6.0, 3.5),
        list(groups),
        x="content shared with the unshifted view (%)",
        y="median |d| (score = 100 x cosine)",
    )
    for panel, own in zip(axes, groups.values(), strict=True):
        _points(panel, [result for (result,) in own], colours)
    axes[0].set_ylim(bottom=0)
    style = {"marker": "o", "linewidth": 1.2}
    handles = [Line2D([], [], color=colours[fit], label=fit, **style) for fit in fits]
    legend_below(figure, len(handles), handles)
    figure.suptitle("Score change against what the two views share", fontsize=12.5)
    return figure


def _points(panel: Axes, results: Sequence[ShiftScores], colours: Mapping[str, str]) -> None:
    moved = [~same_views(result) for result in results]
    changes = [
        np.abs(r.scores[:, turned] - r.scores[:, :1])
        for r, turned in zip(results, moved, strict=True)
    ]
    shares = [100 * _median_share(r)[turned] for r, turned in zip(results, moved, strict=True)]
    places = _side_by_side(np.concatenate(shares))
    everything = places[np.concatenate(shares) > 100 - 1e-9]
    if len(everything) > 2:
        edges = everything.min() - _WIDEST_STEP, everything.max() + _WIDEST_STEP
        panel.axvspan(*edges, color="#8c959f", alpha=0.13, linewidth=0)
    start = 0
    for result, change in zip(results, changes, strict=True):
        x = places[start : start + change.shape[1]]
        start += change.shape[1]
        low, median, high = np.percentile(change, (25, 50, 75), axis=0)
        colour = colours[result.fit]
        if len(x) <= _MOST_QUARTILE_BARS:
            panel.vlines(x, low, high, color=colour, alpha=0.45, linewidth=1.6)
        panel.plot(x, median, "o", color=colour, markersize=4.5 if len(x) <= 16 else 2.5)
    panel.set_xlim(min(-4.0, places.min() - 3), max(104.0, places.max() + 3))
    panel.set_xticks(range(0, 101, 25))


def _side_by_side(shares: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    """Abscissae at which points of one share stand beside each other, in their order."""
    _, group, counts = np.unique(np.round(shares, 3), return_inverse=True, return_counts=True)
    places = shares.astype(np.float64)
    for number, count in enumerate(counts):
        step = min(_WIDEST_STEP, _WIDEST_GROUP / max(count - 1, 1))
        places[group == number] += step * (np.arange(count) - (count - 1) / 2)
    return places
