"""One compiled program as a row of a table: memory, operations, bytes, talk, roofline."""

import re
import time
from collections.abc import Mapping
from typing import Any

import jax

from benchmarks.compile_report.flops import product_flops, roofline
from benchmarks.compile_report.hlo import collectives, parse_module
from benchmarks.compile_report.kernels import KINDS, count_kernels
from benchmarks.compile_report.memory_traffic import memory_traffic
from benchmarks.compile_report.programs import Program
from benchmarks.compile_report.topology import Topology

_MEMORY = {
    "arguments_bytes": "argument_size_in_bytes",
    "outputs_bytes": "output_size_in_bytes",
    "temporaries_bytes": "temp_size_in_bytes",
    "code_bytes": "generated_code_size_in_bytes",
}
_RATES = ("memory_share", "xla_ratio", "moved_bytes", "collectives", "all_gathers")
_KERNELS = ("kernels", "kernel_runs")
_TIMES = ("intensity", "ridge", "compute_ms", "memory_ms", "roofline_ms", "bound", "compile_s")


def compile_row(topology: Topology, program: Program) -> dict[str, Any]:
    """Compile for the chips of a topology, and read off what is known without running.

    Bytes, operations and times are per chip. `flops` counts matrix products, loops as often as they
    run; `formula_ratio` is that over the tower's formula, `xla_ratio` XLA's own count over the same
    of the program, both with every loop counted once: 1 says that the chips share the work evenly.
    Donated arguments that outputs replace count once in `total_bytes`.

    Returns:
        `fits` is whether there is room in the chip's memory, and `problem` what is wrong if not.
        Where the compiler found that out, as that of TPUs does, what only a compiled program tells
        is None; `xla_ratio` is None for GPUs, of which XLA does not say.

    Raises:
        JaxRuntimeError: it failed for another reason.
    """
    chip, jaxpr = topology.chip, program.traced.jaxpr
    flops = product_flops(jaxpr) / program.chips
    formula = program.formula_flops and program.formula_flops / program.chips
    known: dict[str, Any] = {
        "topology": topology.name,
        "chips": program.chips,
        "images_per_chip": program.images_per_chip,
        "capacity_bytes": int(chip.hbm_bytes),
        "flops": flops,
        "formula_flops": formula,
        "formula_ratio": formula and flops / formula,
    }
    lowered = program.traced.lower()
    start = time.perf_counter()
    try:
        compiled = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        problem = re.sub(r"^\S+ \S+ ", "", " ".join(str(error).splitlines()[0].split()))
        unknown = dict.fromkeys((*_MEMORY, "total_bytes", *_RATES, *_KERNELS, *_TIMES))
        return {**known, **unknown, "fits": False, "problem": problem}
    seconds = time.perf_counter() - start
    module = parse_module(compiled.as_text())
    found, moved = collectives(module), memory_traffic(module)
    once = product_flops(jaxpr, loops_once=True) / program.chips
    memory, counted = _memory(compiled.memory_analysis()), compiled.cost_analysis()
    kernels = count_kernels(module)
    fits = memory["total_bytes"] <= chip.hbm_bytes
    return {
        **known,
        "fits": fits,
        "problem": None if fits else f"it takes {memory['total_bytes'] / 1e9:.1f} GB",
        **memory,
        "memory_share": memory["total_bytes"] / chip.hbm_bytes,
        "xla_ratio": counted and counted["flops"] / once,
        "moved_bytes": moved,
        "collectives": ", ".join(f"{n} {kind}" for kind, n in sorted(found.items())) or "none",
        "all_gathers": found["all-gather"],
        "kernels": ", ".join(f"{kernels[kind]} {kind}" for kind in KINDS if kernels[kind]),
        "kernel_runs": kernels.total(),
        **roofline(flops, float(moved), chip),
        "compile_s": seconds,
    }


def _memory(statistics: Any) -> Mapping[str, int]:
    """Bytes on each chip by kind, and together."""
    kinds = {kind: getattr(statistics, name) for kind, name in _MEMORY.items()}
    return {**kinds, "total_bytes": sum(kinds.values()) - statistics.alias_size_in_bytes}
