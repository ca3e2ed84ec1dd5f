"""The page of a measurement of speed: rates, stages, and other libraries beside it."""

import numpy as np
import pyarrow as pa
from matplotlib.figure import Figure

from benchmarks.throughput.speed_rows import STAGES
from jclip.report.page import Column, Illustration, Page, Section
from jclip.report.style import COLOURS, INK, drawable, panels, png, tidy
from jclip.report.tables import page_table

_Columns = dict[str | tuple[str, str], Column | None]
_RATES: _Columns = {
    "sweep": Column("sweep"),
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
_STAGES: _Columns = {
    "sweep": Column("sweep"),
    **{f"{stage}_ms": Column(f"{stage}, ms", ".2f") for stage in STAGES},
    "sweep_ms": Column("whole sweep, ms", ".2f"),
    "resize_share": Column("resize of the whole", ".1%"),
    "bound_by": Column("bound by"),
}
_COMPARED: _Columns = {
    "library": Column("library"),
    "method": Column("its way"),
    "their_precision": Column("its precision"),
    "their_form": Column("by"),
    "theirs_per_s": Column("per second", ".2f"),
    "our_precision": Column("our precision"),
    "ours_per_s": Column("ours per second", ".2f"),
    "unit": Column("of"),
    "ratio": Column("times as fast", ".2f"),
    ("ratio_low", "ratio_high"): Column("quartiles over rounds", ".2f"),
}


def throughput_page(speeds: pa.Table, compared: pa.Table | None) -> Page:
    """Assembles the report.

    Args:
        speeds: rows of `speed_rows`, at least one, with a column `model`.
        compared: rows of `comparison_rows`.
    """
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
        heading="Speed",
        text="Medians of repetitions that took turns, after a warm-up. A step is one batch of "
        "views. Prompts are embedded in the time, loading and compiling are not. Bare products are "
        "those of one block's dense layers, in the same precision and at the same batch size; the "
        "tower's rate counts its dense layers only, as many as it computes.",
        tables=(page_table("Decoding to scores", speeds, _RATES),),
    )


def _stages(speeds: pa.Table) -> Section:
    return Section(
        heading="Stages",
        text="Each stage alone, per panorama of eight views: decode (one core), resize (from the "
        "host's pixels to normalised views), text (the prompt), tower (eight images), write (the "
        "table of scores). In a sweep decoding goes on while the tower computes.",
        tables=(page_table("Milliseconds per panorama", speeds, _STAGES),),
        figures=(
            Illustration(
                "stages",
                "Milliseconds per panorama of every stage alone, and the whole sweep (line).",
                png(stage_figure(speeds)),
            ),
        ),
    )


def stage_figure(speeds: pa.Table) -> Figure:
    """Stacked bars of stages per sweep, with the time of the whole sweep as a line across."""
    figure, (panel,) = panels(1, 1, (8.4, 0.5 * len(speeds) + 1.2))
    tidy(panel)
    heights = np.arange(len(speeds))[::-1]
    left = np.zeros(len(speeds))
    for stage, colour in zip(STAGES, COLOURS, strict=False):
        widths = speeds[f"{stage}_ms"].to_numpy()
        panel.barh(heights, widths, left=left, height=0.6, color=colour, label=stage)
        left += widths
    whole = speeds["sweep_ms"].to_numpy()
    panel.vlines(whole, heights - 0.4, heights + 0.4, color=INK, linewidth=2, label="whole sweep")
    panel.set_yticks(heights, [drawable(label) for label in speeds["sweep"].to_pylist()])
    panel.set_xlabel("ms per panorama of eight views", fontsize=9)
    figure.legend(loc="outside lower center", ncols=6, frameon=False, fontsize=9)
    return figure


def _comparison(compared: pa.Table) -> Section:
    return Section(
        heading="Beside PyTorch",
        text="The same weights, the same files, in turns. A ratio is the median over rounds of "
        "their time over ours, our sweep under the crop at its faster batch size. In bfloat16 the "
        "faster of autocast and of weights in bfloat16 stands for PyTorch.",
        tables=(page_table("Rates and ratios", compared, _COMPARED),),
        figures=(
            Illustration(
                "comparison",
                "How many times as fast our sweep (or tower) is; 1 is as fast.",
                png(comparison_figure(compared)),
            ),
        ),
    )


def comparison_figure(compared: pa.Table) -> Figure:
    """One bar per row, the ratio with its quartiles."""
    figure, (panel,) = panels(1, 1, (9.6, 0.42 * len(compared) + 1.0))
    tidy(panel)
    heights = np.arange(len(compared))[::-1]
    ratios, *ends = (compared[name].to_numpy() for name in ("ratio", "ratio_low", "ratio_high"))
    precisions = np.array(compared["our_precision"].to_pylist())
    for precision, colour in zip(dict.fromkeys(precisions.tolist()), COLOURS, strict=False):
        own = precisions == precision
        panel.barh(
            heights[own],
            ratios[own],
            xerr=np.abs(np.stack(ends)[:, own] - ratios[own]),
            height=0.6,
            color=colour,
            ecolor=INK,
            label=f"ours in {precision}",
        )
    panel.axvline(1, color=INK, linewidth=1)
    panel.set_yticks(
        heights,
        [f"{r['library']}, {r['their_precision']}: {r['method']}" for r in compared.to_pylist()],
    )
    panel.set_xlabel("times as fast", fontsize=9)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure
