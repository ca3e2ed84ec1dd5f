"""Figures of generated panoramas: score against yaw, differences by prompt, best and worst."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from PIL import Image

from jclip.data.image_sets import ImageSet
from jclip.data.images import decode
from jclip.probes.discontinuity import EIGHTHS
from jclip.probes.panorama_scores import PanoramaScores
from jclip.report.style import COLOURS, INK, MUTED, drawable, legend_below, panels

_THUMBNAIL = (720, 360)
# Of the panorama's width, around the seam.
_ENLARGED = 16


@dataclasses.dataclass(frozen=True)
class ShownPanorama:
    """A panorama that a page shows: why, a thumbnail, and its seam enlarged, in the middle."""

    label: str
    image: str
    caption: str
    panorama: UInt8[np.ndarray, "h w 3"]
    seam: UInt8[np.ndarray, "s t 3"]


def shown_fit(result: PanoramaScores) -> str:
    """The fit whose yaws are shown: `squash`, or else the first that there is."""
    return "squash" if "squash" in result.fits else result.fits[0]


def yaw_figure(results: Sequence[PanoramaScores]) -> Figure:
    """Mean score at each of the eight yaws by generator, a panel per model, with quartiles."""
    models = list(dict.fromkeys(result.model for result in results))
    y = "score minus the panorama's own mean"
    figure, axes = panels(len(models), 2, (6.4, 3.4), models, x="yaw (degrees)", y=y)
    sets = list(dict.fromkeys(result.image_set for result in results))
    for result in results:
        panel = axes[models.index(result.model)]
        scores = result.pictures_of(f"yaws.{shown_fit(result)}")
        change = scores - scores.mean(axis=1, keepdims=True)
        change = np.concatenate([change, change[:, :1]], axis=1)
        yaws = np.arange(change.shape[1]) * 45
        low, middle, high = np.quantile(change, (0.25, 0.5, 0.75), axis=0)
        colour = COLOURS[sets.index(result.image_set) % len(COLOURS)]
        panel.plot(yaws, middle, color=colour, marker="o", label=drawable(result.image_set))
        panel.fill_between(yaws, low, high, color=colour, alpha=0.15, lw=0)
        panel.set_xticks(yaws)
    legend_below(figure, len(sets), axes[0].get_legend_handles_labels()[0])
    return figure


def seam_figure(results: Sequence[PanoramaScores]) -> Figure:
    """The Discontinuity Score around the turn by generator: a seam stands out at 0."""
    first = [result for result in results if result.model == results[0].model]
    x, y = "where (degrees from the seam)", "Discontinuity Score"
    figure, (panel,) = panels(1, 1, (6.4, 3.2), x=x, y=y)
    for place, result in enumerate(first):
        around = result.seams[:, np.arange(-EIGHTHS // 2, EIGHTHS // 2 + 1) % EIGHTHS]
        low, middle, high = np.quantile(around, (0.25, 0.5, 0.75), axis=0)
        colour = COLOURS[place % len(COLOURS)]
        degrees = np.arange(-EIGHTHS // 2, EIGHTHS // 2 + 1) * 45
        panel.plot(degrees, middle, color=colour, marker="o", label=drawable(result.image_set))
        panel.fill_between(degrees, low, high, color=colour, alpha=0.15, lw=0)
        panel.set_xticks(degrees)
    panel.set_yscale("log")
    panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
    panel.yaxis.set_major_formatter("{x:g}")
    panel.yaxis.set_minor_formatter(NullFormatter())
    legend_below(figure, len(first))
    return figure


def difference_figure(changes: Mapping[str, Float[np.ndarray, "_"]], name: str) -> Figure:
    """Differences between two generators prompt by prompt, sorted; a panel per pair."""
    x, y = "panorama, sorted by difference", f"difference in {name}"
    figure, axes = panels(len(changes), 3, (4.2, 2.8), list(changes), x=x, y=y, share_y=False)
    for panel, change in zip(axes, changes.values(), strict=True):
        ordered = np.sort(change)
        colours = [COLOURS[0] if value > 0 else COLOURS[1] for value in ordered]
        panel.bar(np.arange(len(ordered)), ordered, color=colours, width=1.0)
        panel.axhline(0, color=INK, linewidth=0.8)
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        share = 100 * np.mean(change > 0)
        above = f"{share:.0f} % above zero"
        # Sorted bars leave the corner free that the larger ones point away from.
        falls = -ordered[0] > ordered[-1]
        x, y, ha, va = (0.97, 0.05, "right", "bottom") if falls else (0.03, 0.95, "left", "top")
        panel.text(x, y, above, transform=panel.transAxes, ha=ha, va=va, fontsize=9, color=INK)
    return figure


def shown_panoramas(
    result: PanoramaScores,
    values: Mapping[str, Float[np.ndarray, " n"]],
    opened: ImageSet,
    by: str,
    seam: str,
) -> list[ShownPanorama]:
    """The best and the worst panorama of a set by one score, and the worst seam by another."""
    at = {image.name: row for row, image in enumerate(opened.images)}
    worst_seam = int(np.argmax(values[seam]))
    order = np.argsort(values[by])
    chosen = [("Best", int(order[-1])), ("Worst", int(order[0])), ("Worst seam", worst_seam)]
    shown = []
    for label, row in chosen:
        place = at[result.images[row]]
        pixels = decode(opened.images[place])
        reach = max(4, pixels.shape[1] // _ENLARGED // 2)
        across = np.concatenate([pixels[:, -reach:], pixels[:, :reach]], axis=1)
        middle = slice(pixels.shape[0] // 2 - reach, pixels.shape[0] // 2 + reach)
        thumbnail = Image.fromarray(pixels)
        thumbnail.thumbnail(_THUMBNAIL)
        said = f"{label}: {values[by][row]:.2f}, seam {values[seam][row]:+.2f}"
        caption, image = opened.captions[place], result.images[row]
        shown.append(ShownPanorama(said, image, caption, np.asarray(thumbnail), across[middle]))
    return shown


def panorama_figure(shown: Sequence[ShownPanorama]) -> Figure:
    """Panoramas side by side, each with the middle of its seam enlarged beneath."""
    columns = len(shown)
    figure = Figure(figsize=(3.9 * columns, 4.6), facecolor="white")
    for place, one in enumerate(shown):
        left = (place + 0.02) / columns
        axes = figure.add_axes((left, 0.5, 0.94 / columns, 0.4))
        axes.imshow(one.panorama)
        axes.set_axis_off()
        axes.set_title(f"{drawable(one.label)}\n{drawable(one.image)}", fontsize=9, color=INK)
        below = figure.add_axes((left, 0.03, 0.94 / columns, 0.38))
        below.imshow(one.seam, interpolation="nearest")
        height, width = one.seam.shape[:2]
        for y in (-0.5, height - 0.5):
            below.plot([width / 2 - 0.5] * 2, [y, y], marker="|", color="red", clip_on=False)
        below.set_xlim(-0.5, width - 0.5)
        below.set_axis_off()
        below.set_title("its seam, enlarged, between the red marks", fontsize=8, color=MUTED)
    return figure
