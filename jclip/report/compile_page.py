"""The page of programs that were compiled for TPUs: memory, work, communication, roofline."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from jclip.report.page import Column, Illustration, Page, Section, Table
from jclip.report.provenance import settings_section
from jclip.report.style import COLOURS, INK, panels, png, tidy

Row = Mapping[str, Any]
NOT_RUN = "compiled for, not run on: no number here was measured on a TPU"
KINDS = ("arguments", "outputs", "temporaries", "code")
GIGA, TERA = 1e9, 1e12


def compile_page(
    rows: Sequence[Row], *, settings: Mapping[str, object], notices: Sequence[str]
) -> Page:
    """Assembles the report.

    Args:
        rows: of `jclip.compilation.compile_rows.compile_row`.
        settings: what was compiled.
        notices: warnings that precede everything else.

    Raises:
        ValueError: no rows.
    """
    if not rows:
        raise ValueError("nothing was compiled")
    return Page(
        title="What the chips would do",
        lead="Does the program fit, what bounds it, and does it communicate? "
        f"Everything is {NOT_RUN}.",
        notices=tuple(notices),
        sections=(_memory(rows), _work(rows), settings_section(settings)),
    )


def _memory(rows: Sequence[Row]) -> Section:
    columns = (
        Column("topology"),
        Column("images per chip", ","),
        *(Column(f"{kind}, GB", ".3f") for kind in (*KINDS, "total")),
        Column("the chip's, GB", ".0f"),
        Column("share", ".1%"),
        Column("fits"),
    )
    cells = tuple(
        (
            row["topology"],
            row["images_per_chip"] or None,
            *(_scaled(row[f"{kind}_bytes"], GIGA) for kind in (*KINDS, "total")),
            row["capacity_bytes"] / GIGA,
            row["memory_share"],
            row["fits"],
        )
        for row in rows
    )
    refused = [f"{row['topology']}: {row['problem']}" for row in rows if row["problem"]]
    return Section(
        heading="Memory",
        text="Main memory (HBM) of each chip by kind, as the compiler lays it out; a GB is 10^9 "
        "bytes. Outputs that take the place of arguments count once in the total. Images of a "
        "sweep are its shifted views and one mirror image per panorama.\n\n" + "\n\n".join(refused),
        tables=(Table("Memory per chip", columns, cells),),
        figures=(
            Illustration(
                "compiled",
                "Left, memory per chip by kind, with the chip's own (line). Right, the least time "
                "of one run: computing at peak rate, and moving bytes at full bandwidth. "
                "Compiled for, not run on.",
                png(compile_figure(rows)),
            ),
        ),
    )


def _work(rows: Sequence[Row]) -> Section:
    columns = (
        Column("topology"),
        Column("TFLOP", ".3f"),
        Column("over the formula", ".4f"),
        Column("XLA's over ours, loops once", ".3f"),
        Column("GB moved", ".1f"),
        Column("FLOP per byte", ".1f"),
        Column("the chip's", ".1f"),
        Column("computing, ms", ".1f"),
        Column("moving, ms", ".1f"),
        Column("least time, ms", ".1f"),
        Column("bound by"),
        Column("images/s at most", ",.0f"),
        Column("collectives"),
        Column("seconds to compile", ".1f"),
    )
    cells = tuple(
        (
            row["topology"],
            row["flops"] / TERA,
            row["formula_ratio"],
            row["xla_ratio"],
            _scaled(row["moved_bytes"], GIGA),
            row["intensity"],
            row["ridge"],
            row["compute_ms"],
            row["memory_ms"],
            row["roofline_ms"],
            row["bound"],
            _rate(row),
            row["collectives"],
            row["compile_s"],
        )
        for row in rows
    )
    return Section(
        heading="Work, traffic and communication",
        text="Per chip and run. FLOP are the multiplications and additions of matrix products, "
        "loops counted as often as they run; the formula counts the image tower's. XLA counts the "
        "body of a loop once: beside ours counted so, a number near 1 says that the chips share "
        "the work evenly; what it has above 1 is element-wise. Bytes are those that the compiled "
        "instructions read from and write to main memory, without padding to tiles.\n\n"
        "The least time takes peak bfloat16 rate and full bandwidth, which no program reaches: it "
        "is a bound, no prediction. Collectives are instructions in the compiled program.",
        tables=(Table("Work per chip", columns, cells),),
    )


def _scaled(value: int | float | None, unit: float) -> float | None:
    return None if value is None else value / unit


def _rate(row: Row) -> float | None:
    """Images per second of all chips together."""
    if row["roofline_ms"] is None or not row["images_per_chip"]:
        return None
    return 1e3 * row["images_per_chip"] * row["chips"] / row["roofline_ms"]


def compile_figure(rows: Sequence[Row]) -> Figure:
    """Memory by kind against the chip's, and the two times of the roofline, per topology."""
    figure, (memory, times) = panels(2, 2, (5.4, 0.45 * len(rows) + 1.2))
    heights = np.arange(len(rows))[::-1]
    left = np.zeros(len(rows))
    for kind, colour in zip(KINDS, COLOURS, strict=False):
        widths = np.array([(row[f"{kind}_bytes"] or 0) / GIGA for row in rows])
        memory.barh(heights, widths, left=left, height=0.6, color=colour, label=kind)
        left += widths
    capacity = [row["capacity_bytes"] / GIGA for row in rows]
    memory.vlines(capacity, heights - 0.4, heights + 0.4, color=INK, linewidth=2, label="chip")
    for height, row in zip(heights, rows, strict=True):
        if row["total_bytes"] is None:
            memory.text(0, height, " does not fit", va="center", fontsize=9, color=INK)
    for offset, name, colour in ((0.15, "compute_ms", COLOURS[4]), (-0.15, "memory_ms", INK)):
        lengths = [row[name] or 0 for row in rows]
        label = {"compute_ms": "computing", "memory_ms": "moving bytes"}[name]
        times.barh(heights + offset, lengths, height=0.28, color=colour, label=label)
    for axes, label in ((memory, "GB per chip"), (times, "ms per run, at least")):
        tidy(axes)
        axes.set_yticks(heights, [row["topology"] for row in rows])
        axes.set_xlabel(label, fontsize=9)
    figure.legend(loc="outside lower center", ncols=7, frameon=False, fontsize=9)
    return figure
