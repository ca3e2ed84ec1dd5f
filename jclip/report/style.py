"""The look shared by all figures: palette, panels, safe text, PNG."""

import functools
import io
from collections.abc import Sequence

import numpy as np
from matplotlib import font_manager
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
    projection: str | None = None,
    *,
    share_y: bool = True,
) -> tuple[Figure, list[Axes]]:
    """A figure of `count` panels of `size` (width, height) inches, filled row by row.

    Panels share their vertical axis unless they are polar or `share_y` is off.
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
        sharey=share_y and projection is None,
        subplot_kw={"projection": projection},
    )
    axes = list(grid.flat)
    for empty in axes[count:]:
        empty.remove()
    return figure, axes[:count]


def tidy(axes: Axes) -> None:
    """Takes away what carries no data: the frame's upper and right side, heavy ticks."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=MUTED, labelcolor=INK, labelsize=9)
    axes.grid(axis="y", color="#d0d7de", linewidth=0.6)
    axes.set_axisbelow(True)


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
