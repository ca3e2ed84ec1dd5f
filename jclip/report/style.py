"""The look shared by all figures: palette, panels, safe text, PNG."""

import functools
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib import font_manager
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font
from matplotlib.layout_engine import ConstrainedLayoutEngine

# Okabe and Ito's palette, told apart by readers with any common colour blindness.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
INK = "#1f2328"
MUTED = "#6e7781"

# A fit keeps its colour from figure to figure, whichever others are drawn.
_FIT_COLOURS = dict(zip(("crop", "squash", "pad", "tiles"), COLOURS, strict=False))
_LONGEST_NAME = 44


def fit_colours(fits: Sequence[str]) -> dict[str, str]:
    """One colour per fit: the known fits have theirs, others take what is left of the palette."""
    others = [fit for fit in fits if fit not in _FIT_COLOURS]
    spare = COLOURS[len(_FIT_COLOURS) :]
    return _FIT_COLOURS | {fit: spare[i % len(spare)] for i, fit in enumerate(others)}


def panels(
    count: int,
    columns: int,
    size: tuple[float, float],
    titles: Sequence[str] = (),
    *,
    x: str = "",
    y: str = "",
    share_y: bool = True,
    polar: bool = False,
) -> tuple[Figure, list[Any]]:
    """A figure of `count` tidy panels of `size` (width, height) inches, filled row by row.

    Panels share their vertical axis unless they are polar or `share_y` is off. `x` stands below the
    lowest panels, `y` beside the leftmost.
    """
    columns = min(columns, count)
    rows = -(-count // columns)
    figure = Figure(
        figsize=(size[0] * columns, size[1] * rows + 1.0),
        layout=ConstrainedLayoutEngine(h_pad=0.1, w_pad=0.06),
        facecolor="white",
    )
    grid = figure.subplots(
        rows,
        columns,
        squeeze=False,
        sharey=share_y and not polar,
        subplot_kw={"projection": "polar" if polar else None},
    )
    axes = grid.ravel().tolist()
    while len(axes) > count:
        axes.pop().remove()
    for panel in () if polar else axes:
        tidy(panel)
    for panel, title in zip(axes, titles, strict=False):
        panel.set_title(drawable(title), fontsize=10.5, color=INK, pad=14 if polar else None)
    for panel in axes[-columns:]:
        panel.set_xlabel(x)
    for panel in axes[::columns]:
        panel.set_ylabel(y)
    return figure, axes


def tidy(axes: Axes) -> None:
    """Takes away what carries no data: the frame's upper and right side, heavy ticks."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=MUTED, labelcolor=INK, labelsize=9)
    axes.grid(axis="y", color="#d0d7de", linewidth=0.6)
    axes.set_axisbelow(True)
    for axis in (axes.xaxis, axes.yaxis):
        axis.label.set_fontsize(9)


def legend_below(figure: Figure, columns: int, handles: Sequence[Artist] | None = None) -> None:
    """A legend under all panels: of `handles`, or of what has a label."""
    figure.legend(
        handles=handles, loc="outside lower center", ncols=columns, frameon=False, fontsize=9
    )


def draw_boxes(
    axes: Axes,
    values: Float[np.ndarray, "n k"],
    places: Float[np.ndarray, " k"],
    width: float,
    colour: str,
    *,
    outliers: bool = True,
) -> None:
    """A box per column at its place: median, quartiles, whiskers to 1.5 interquartile ranges."""
    axes.boxplot(
        values,
        positions=places,
        widths=width,
        manage_ticks=False,
        showfliers=outliers,
        patch_artist=True,
        boxprops={"facecolor": colour, "alpha": 0.35, "edgecolor": colour},
        whiskerprops={"color": colour},
        capprops={"color": colour},
        medianprops={"color": colour, "linewidth": 2.2},
        flierprops={"marker": ".", "markersize": 3, "markeredgecolor": colour},
    )


def drawable(text: str) -> str:
    """Text as matplotlib can draw it: no mathematics, no missing glyph, long names cut midway."""
    known = _default_font()
    text = "".join(c if c.isprintable() and known.get_char_index(ord(c)) else "?" for c in text)
    if len(text) > _LONGEST_NAME:
        half = _LONGEST_NAME // 2
        text = f"{text[:half]}…{text[-half + 1 :]}"
    return text.replace("$", r"\$")


@functools.cache
def _default_font() -> FT2Font:
    return font_manager.get_font(font_manager.findfont("DejaVu Sans"))


def png(figure: Figure, dots_per_inch: int = 110) -> bytes:
    """The figure as a PNG file."""
    FigureCanvasAgg(figure)
    file = io.BytesIO()
    # Without the version of matplotlib equal figures are equal files.
    figure.savefig(file, format="png", dpi=dots_per_inch, metadata={"Software": None})
    return file.getvalue()


def spread(count: int, width: float) -> np.ndarray:
    """`count` offsets that fill `width` evenly in no visible order: repeatable jitter."""
    golden_ratio = (np.sqrt(5) - 1) / 2
    return (np.arange(count) * golden_ratio % 1 - 0.5) * width
