"""The page of programs that were compiled for chips: memory, work, communication, roofline."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from matplotlib.figure import Figure

from jclip.report.page import Column, Illustration, Page, Section
from jclip.report.style import COLOURS, INK, legend_below, panels, png
from jclip.report.tables import page_table

NOT_RUN = "compiled for, not run on: no number here was measured on a chip"
KINDS = ("arguments", "outputs", "temporaries", "code")
GIGA, TERA = 1e9, 1e12

_MEMORY = {
    "topology": None,
    "images": Column("images per chip", ","),
    **{f"{kind}_gb": Column(f"{kind}, GB", ".3f") for kind in (*KINDS, "total")},
    "capacity_gb": Column("the chip's, GB", ".0f"),
    "memory_share": Column("share", ".1%"),
    "fits": None,
}
_WORK = {
    "topology": None,
    "tflop": Column("TFLOP", ".3f"),
    "formula_ratio": Column("over the formula", ".4f"),
    "xla_ratio": Column("XLA's over ours, loops once", ".3f"),
    "moved_gb": Column("GB moved", ".1f"),
    "intensity": Column("FLOP per byte", ".1f"),
    "ridge": Column("the chip's", ".1f"),
    "compute_ms": Column("computing, ms", ".1f"),
    "memory_ms": Column("moving, ms", ".1f"),
    "roofline_ms": Column("least time, ms", ".1f"),
    "bound": Column("bound by"),
    "images_per_s": Column("images/s at most", ",.0f"),
}
_KERNELS = {
    "topology": None,
    "kernel_runs": Column("kernels", ",.0f"),
    "kernels": Column("by kind"),
    "collectives": None,
    "compile_s": Column("seconds to compile", ".1f"),
}


def compile_page(compiled: pa.Table) -> Page:
    """The report of rows of `compile_row`, with columns `experiment` and `model`."""
    shown = pa.Table.from_pylist([_in_units(row) for row in compiled.to_pylist()])
    return Page(
        title="What the chips would do",
        lead=_finding(shown.to_pylist()[0], len(shown)),
        sections=(_memory(shown), _work(shown), _kernels(shown)),
    )


def _in_units(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with gigabytes, TFLOP, and images per second of all chips together."""

    def gigabytes(name: str) -> float | None:
        return None if row[name] is None else row[name] / GIGA

    images, least_ms = row["images_per_chip"] or None, row["roofline_ms"]
    return {
        **row,
        **{f"{name}_gb": gigabytes(f"{name}_bytes") for name in (*KINDS, "total", "moved")},
        "images": images,
        "capacity_gb": gigabytes("capacity_bytes"),
        "tflop": row["flops"] / TERA,
        "images_per_s": images and least_ms and 1e3 * images * row["chips"] / least_ms,
    }


def _finding(row: Mapping[str, Any], rows: int) -> str:
    """What came out for the first topology, in one sentence."""
    program = f"{row['experiment']} of {row['model']}, compiled for {row['topology']}"
    if not row["fits"]:
        finding = f"{program}, does not fit"
    else:
        finding = (
            f"{program} and not run on it, takes {row['total_gb']:.3g} of {row['capacity_gb']:.0f} "
            f"GB on each chip and at least {row['roofline_ms']:.4g} ms a run, bound by "
            f"{'computing' if row['bound'] == 'compute' else 'moving bytes'}; collectives: "
            f"{row['collectives']}"
        )
    return f"{finding}." + (" The other topologies are in the tables." if rows > 1 else "")


def _memory(shown: pa.Table) -> Section:
    refused = [f"\n\n{r['topology']}: {r['problem']}" for r in shown.to_pylist() if r["problem"]]
    compiled = Illustration(
        "compiled",
        "Left, memory per chip by kind, with the chip's own (line). Right, the least time of one "
        "run: computing at peak rate, and moving bytes at full bandwidth. Compiled for, not run "
        "on.",
        png(compile_figure(shown)),
    )
    return Section(
        "Memory",
        "Main memory (HBM) of each chip by kind, as the compiler lays it out; a GB is 10^9 bytes. "
        "Outputs that take the place of arguments count once in the total. Images of a sweep are "
        "its shifted views and one mirror image per panorama." + "".join(refused),
        page_table("Memory per chip", shown, _MEMORY),
        compiled,
    )


def _work(shown: pa.Table) -> Section:
    return Section(
        "Work and traffic",
        "Per chip and run. FLOP are the multiplications and additions of matrix products, loops "
        "counted as often as they run; the formula counts the image tower's. XLA counts the body "
        "of a loop once: beside ours counted so, a number near 1 says that the chips share the "
        "work evenly; what it has above 1 is element-wise; of GPUs it does not say. Bytes are "
        "those that the compiled instructions read from and write to main memory, without padding "
        "to tiles.\n\n"
        "The least time takes peak bfloat16 rate and full bandwidth, which no program reaches: it "
        "is a bound, no prediction.",
        page_table("Work per chip", shown, _WORK),
    )


def _kernels(shown: pa.Table) -> Section:
    return Section(
        "Kernels and communication",
        "Per chip and run. Kernels are what runs one after the other on a chip, loops "
        "counted as often as they run; copies move data unchanged, attention is one kernel where "
        "no scores go through memory. Collectives are instructions in the compiled program. For "
        "GPUs, no card was there to try which form of a product is fastest, as XLA does on one: "
        "there, products may take other kernels.",
        page_table("Kernels per chip", shown, _KERNELS),
    )


def compile_figure(shown: pa.Table) -> Figure:
    """Memory by kind against the chip's, and the two times of the roofline, per topology."""
    rows = shown.to_pylist()
    figure, (memory, times) = panels(2, 2, (5.4, 0.45 * len(rows) + 1.2))
    heights = np.arange(len(rows))[::-1]
    left = np.zeros(len(rows))
    for kind, colour in zip(KINDS, COLOURS, strict=False):
        widths = np.array([row[f"{kind}_gb"] or 0 for row in rows])
        memory.barh(heights, widths, left=left, height=0.6, color=colour, label=kind)
        left += widths
    capacity = [row["capacity_gb"] for row in rows]
    memory.vlines(capacity, heights - 0.4, heights + 0.4, color=INK, linewidth=2, label="chip")
    for height, row in zip(heights, rows, strict=True):
        if row["total_bytes"] is None:
            memory.text(0, height, " does not fit", va="center", fontsize=9, color=INK)
    for offset, name, label, colour in (
        (0.15, "compute_ms", "computing", COLOURS[4]),
        (-0.15, "memory_ms", "moving bytes", INK),
    ):
        lengths = [row[name] or 0 for row in rows]
        times.barh(heights + offset, lengths, height=0.28, color=colour, label=label)
    for axes, label in ((memory, "GB per chip"), (times, "ms per run, at least")):
        axes.set_yticks(heights, [row["topology"] for row in rows])
        axes.set_xlabel(label)
    legend_below(figure, 7)
    return figure
