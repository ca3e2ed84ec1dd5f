"""The page of a measurement of speed: rates, stages, and other libraries beside it."""

from typing import Any

import numpy as np
import pyarrow as pa
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from benchmarks.throughput.speed_rows import STAGES
from jclip.report.page import Column, Illustration, Page, Section
from jclip.report.style import COLOURS, INK, drawable, legend_below, panels, png
from jclip.report.tables import page_table

_RATES: dict[Any, Column | None] = {
    "sweep": None,
    "panoramas_per_s": Column("panoramas/s", ".2f"),
    "images_per_s": Column("images/s", ".1f"),
    "step_ms": Column("ms per step", ".1f"),
    "compile_s": Column("seconds to compile", ".1f"),
    "tower_images_per_s": Column("tower alone, images/s", ".1f"),
    "tower_gflops_per_s": Column("its dense layers, GFLOP/s", ".0f"),
    "product_gflops_per_s": Column("bare products, GFLOP/s", ".0f"),
    "tower_share": Column("tower's share of that", ".0%"),
    "peak_memory_mib": Column("peak memory so far, MiB", ".0f"),
}
_STAGES: dict[Any, Column | None] = {
    "sweep": None,
    **{f"{stage}_ms": Column(f"{stage}, ms", ".2f") for stage in STAGES},
    "sweep_ms": Column("whole sweep, ms", ".2f"),
    "resize_share": Column("resize of the whole", ".1%"),
    "bound_by": None,
}
_COMPARED: dict[Any, Column | None] = {
    "library": None,
    "method": Column("its way"),
    "their_precision": Column("its precision"),
    "their_form": Column("by"),
    "theirs_per_s": Column("per second", ".2f"),
    "our_precision": None,
    "ours_per_s": Column("ours per second", ".2f"),
    "unit": Column("of"),
    "ratio": Column("times as fast", ".2f"),
    ("ratio_low", "ratio_high"): Column("quartiles over rounds", ".2f"),
}


def throughput_page(speeds: pa.Table, compared: pa.Table | None) -> Page:
    """The report of rows of `speed_rows`, with a column `model`, and of `comparison_rows`."""
    rows = speeds.to_pylist()
    labels = [f"{row['precision']}, batch {row['batch_size']}, {row['fit']}" for row in rows]
    speeds = speeds.append_column("sweep", pa.array(labels))
    speeds = speeds.append_column("sweep_ms", pa.array([1e3 / r["panoramas_per_s"] for r in rows]))
    sections = (_speed(speeds), _stages(speeds))
    return Page(
        title="Speed of the shift sweep",
        lead=_finding(speeds, compared),
        sections=sections if compared is None else (*sections, _comparison(compared)),
    )


def _finding(speeds: pa.Table, compared: pa.Table | None) -> str:
    """What came out, in one sentence."""
    best = max(speeds.to_pylist(), key=lambda row: row["panoramas_per_s"])
    finding = (
        f"{best['model']} scores {best['panoramas_per_s']:.2f} panoramas a second at eight shifts, "
        f"from files to scores ({best['sweep']}), and is bound by the stage {best['bound_by']}"
    )
    if compared is None:
        return f"{finding}."
    ratios: dict[tuple[str, str], float] = {}
    for row in compared.to_pylist():
        if row["our_precision"] == best["precision"] and row["unit"] == "panoramas/s":
            way, ratio = (row["library"], row["their_precision"]), float(row["ratio"])
            ratios[way] = min(ratio, ratios.get(way, ratio))
    beside = ", ".join(
        f"{ratio:.2f} times as fast as the faster way of {library} in {precision}"
        for (library, precision), ratio in ratios.items()
    )
    return f"{finding}. Under the crop and in {best['precision']} it is {beside}."


def _speed(speeds: pa.Table) -> Section:
    return Section(
        "Speed",
        "Medians of repetitions that took turns, after a warm-up. A step is one batch of views. "
        "Prompts are embedded in the time, loading and compiling are not. Bare products are those "
        "of one block's dense layers, in the same precision and at the same batch size; the "
        "tower's rate counts its dense layers only, as many as it computes.",
        page_table("Decoding to scores", speeds, _RATES),
    )


def _stages(speeds: pa.Table) -> Section:
    caption = "Milliseconds per panorama of every stage alone, and the whole sweep (line)."
    return Section(
        "Stages",
        "Each stage alone, per panorama of eight views: decode (one core), resize (from the host's "
        "pixels to normalised views), text (the prompt), tower (eight images), write (the table of "
        "scores). In a sweep decoding goes on while the tower computes.",
        page_table("Milliseconds per panorama", speeds, _STAGES),
        Illustration("stages", caption, png(stage_figure(speeds))),
    )


def stage_figure(speeds: pa.Table) -> Figure:
    """Stacked bars of stages per sweep, with the time of the whole sweep as a line across."""
    size = (8.4, 0.5 * len(speeds) + 1.2)
    figure, (panel,) = panels(1, 1, size, x="ms per panorama of eight views")
    heights = np.arange(len(speeds))[::-1]
    left = np.zeros(len(speeds))
    for stage, colour in zip(STAGES, COLOURS, strict=False):
        widths = speeds[f"{stage}_ms"].to_numpy()
        panel.barh(heights, widths, left=left, height=0.6, color=colour, label=stage)
        left += widths
    whole = speeds["sweep_ms"].to_numpy()
    panel.vlines(whole, heights - 0.4, heights + 0.4, color=INK, linewidth=2, label="whole sweep")
    panel.set_yticks(heights, [drawable(label) for label in speeds["sweep"].to_pylist()])
    legend_below(figure, 6)
    return figure


def _comparison(compared: pa.Table) -> Section:
    caption = "How many times as fast our sweep (or tower) is; 1 is as fast."
    return Section(
        "Beside PyTorch",
        "The same weights, the same files, in turns. A ratio is the median over rounds of their "
        "time over ours, our sweep under the crop at its faster batch size. In bfloat16 the faster "
        "of autocast and of weights in bfloat16 stands for PyTorch.",
        page_table("Rates and ratios", compared, _COMPARED),
        Illustration("comparison", caption, png(comparison_figure(compared))),
    )


def comparison_figure(compared: pa.Table) -> Figure:
    """One bar per row, the ratio with its quartiles."""
    figure, (panel,) = panels(1, 1, (9.6, 0.42 * len(compared) + 1.0), x="times as fast")
    rows = compared.to_pylist()
    precisions = list(dict.fromkeys(row["our_precision"] for row in rows))
    for height, row in enumerate(reversed(rows)):
        ends = [abs(row[end] - row["ratio"]) for end in ("ratio_low", "ratio_high")]
        panel.barh(
            height,
            row["ratio"],
            xerr=np.reshape(ends, (2, 1)),
            height=0.6,
            color=COLOURS[precisions.index(row["our_precision"])],
            ecolor=INK,
        )
    panel.axvline(1, color=INK, linewidth=1)
    names = [f"{row['library']}, {row['their_precision']}: {row['method']}" for row in rows]
    panel.set_yticks(range(len(rows))[::-1], names)
    handles = [Patch(color=COLOURS[i], label=f"ours in {p}") for i, p in enumerate(precisions)]
    legend_below(figure, 2, handles)
    return figure
