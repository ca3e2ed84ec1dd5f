"""The page of a measurement of speed: rates, stages, and other libraries beside it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from jclip.report.page import Column, Illustration, Page, Section, Table
from jclip.report.provenance import settings_section
from jclip.report.style import COLOURS, INK, drawable, panels, png, tidy
from jclip.speed.rates import STAGES

Row = Mapping[str, Any]
_RATES = {
    "panoramas_per_s": ("panoramas/s", ".2f"),
    "images_per_s": ("images/s", ".1f"),
    "step_ms": ("ms per step", ".1f"),
    "compile_s": ("seconds to compile", ".1f"),
    "tower_images_per_s": ("tower alone, images/s", ".1f"),
    "tower_gflops_per_s": ("its dense layers, GFLOP/s", ".0f"),
    "product_gflops_per_s": ("bare products, GFLOP/s", ".0f"),
    "tower_share": ("tower's share of that", ".0%"),
    "peak_memory_mib": ("peak memory so far, MiB", ".0f"),
}
_COMPARED = {
    "library": ("library", ""),
    "method": ("its way", ""),
    "their_precision": ("its precision", ""),
    "their_form": ("by", ""),
    "theirs_per_s": ("per second", ".2f"),
    "our_precision": ("our precision", ""),
    "ours_per_s": ("ours per second", ".2f"),
    "unit": ("of", ""),
}


def throughput_page(
    rows: Sequence[Row],
    compared: Sequence[Row],
    *,
    settings: Mapping[str, object],
    notices: Sequence[str],
) -> Page:
    """Assembles the report.

    Args:
        rows: of `jclip.speed.rates.speed_rows`.
        compared: of `jclip.speed.torch_side.comparison_rows`; may be empty.
        settings: what was run.
        notices: warnings that precede everything else.

    Raises:
        ValueError: no rows.
    """
    if not rows:
        raise ValueError("nothing was timed")
    sections = [_speed(rows), _stages(rows)]
    if compared:
        sections.append(_comparison(compared))
    return Page(
        title="Speed of the shift sweep",
        lead="How many panoramas a second at eight shifts, from files to scores, and what bounds "
        "that?",
        notices=tuple(notices),
        sections=(*sections, settings_section(settings)),
    )


def _label(row: Row) -> str:
    return f"{row['precision']}, batch {row['batch_size']}, {row['fit']}"


def _speed(rows: Sequence[Row]) -> Section:
    columns = (Column("sweep"), *(Column(*heading) for heading in _RATES.values()))
    cells = tuple((_label(row), *(row[name] for name in _RATES)) for row in rows)
    return Section(
        heading="Speed",
        text="Medians of repetitions that took turns, after a warm-up. A step is one batch of "
        "views. Prompts are embedded in the time, loading and compiling are not. Bare products are "
        "those of one block's dense layers, in the same precision and at the same batch size; the "
        "tower's rate counts its dense layers only, as many as it computes.",
        tables=(Table("Decoding to scores", columns, cells),),
    )


def _stages(rows: Sequence[Row]) -> Section:
    columns = (
        Column("sweep"),
        *(Column(f"{stage}, ms", ".2f") for stage in STAGES),
        Column("whole sweep, ms", ".2f"),
        Column("resize of the whole", ".1%"),
        Column("bound by"),
    )
    cells = tuple(
        (
            _label(row),
            *(row[f"{stage}_ms"] for stage in STAGES),
            1e3 / row["panoramas_per_s"],
            row["resize_share"],
            row["bound_by"],
        )
        for row in rows
    )
    return Section(
        heading="Stages",
        text="Each stage alone, per panorama of eight views: decode (one core), resize (from the "
        "host's pixels to normalised views), text (the prompt), tower (eight images), write (the "
        "table of scores). In a sweep decoding goes on while the tower computes.",
        tables=(Table("Milliseconds per panorama", columns, cells),),
        figures=(
            Illustration(
                "stages",
                "Milliseconds per panorama of every stage alone, and the whole sweep (line).",
                png(stage_figure(rows)),
            ),
        ),
    )


def stage_figure(rows: Sequence[Row]) -> Figure:
    """Stacked bars of stages per sweep, with the time of the whole sweep as a line across."""
    figure, (panel,) = panels(1, 1, (8.4, 0.5 * len(rows) + 1.2))
    tidy(panel)
    heights = np.arange(len(rows))[::-1]
    left = np.zeros(len(rows))
    for stage, colour in zip(STAGES, COLOURS, strict=False):
        widths = np.array([row[f"{stage}_ms"] for row in rows])
        panel.barh(heights, widths, left=left, height=0.6, color=colour, label=stage)
        left += widths
    whole = [1e3 / row["panoramas_per_s"] for row in rows]
    panel.vlines(whole, heights - 0.4, heights + 0.4, color=INK, linewidth=2, label="whole sweep")
    panel.set_yticks(heights, [drawable(_label(row)) for row in rows])
    panel.set_xlabel("ms per panorama of eight views", fontsize=9)
    figure.legend(loc="outside lower center", ncols=6, frameon=False, fontsize=9)
    return figure


def _comparison(compared: Sequence[Row]) -> Section:
    columns = (
        *(Column(*heading) for heading in _COMPARED.values()),
        Column("times as fast", ".2f"),
        Column("quartiles over rounds", ".2f"),
    )
    cells = tuple(
        (
            *(row[name] for name in _COMPARED),
            row["ratio"],
            (row["ratio_low"], row["ratio_high"]),
        )
        for row in compared
    )
    return Section(
        heading="Beside PyTorch",
        text="The same weights, the same files, in turns. A ratio is the median over rounds of "
        "their time over ours, our sweep under the crop at its faster batch size. In bfloat16 the "
        "faster of autocast and of weights in bfloat16 stands for PyTorch.",
        tables=(Table("Rates and ratios", columns, cells),),
        figures=(
            Illustration(
                "comparison",
                "How many times as fast our sweep (or tower) is; 1 is as fast.",
                png(comparison_figure(compared)),
            ),
        ),
    )


def comparison_figure(compared: Sequence[Row]) -> Figure:
    """One bar per row, the ratio with its quartiles."""
    figure, (panel,) = panels(1, 1, (9.6, 0.42 * len(compared) + 1.0))
    tidy(panel)
    heights = np.arange(len(compared))[::-1]
    precisions = list(dict.fromkeys(row["our_precision"] for row in compared))
    for precision, colour in zip(precisions, COLOURS, strict=False):
        own = [i for i, row in enumerate(compared) if row["our_precision"] == precision]
        ratios = np.array([compared[i]["ratio"] for i in own])
        ends = np.array([[compared[i]["ratio_low"], compared[i]["ratio_high"]] for i in own]).T
        panel.barh(
            heights[own],
            ratios,
            xerr=np.abs(ends - ratios),
            height=0.6,
            color=colour,
            ecolor=INK,
            label=f"ours in {precision}",
        )
    panel.axvline(1, color=INK, linewidth=1)
    panel.set_yticks(
        heights,
        [f"{row['library']}, {row['their_precision']}: {row['method']}" for row in compared],
    )
    panel.set_xlabel("times as fast", fontsize=9)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure
