"""Does a run fit a chip, what bounds it, and does it communicate? Asked without the chip.

    python -m benchmarks.compile_report --model ViT-L-14 --topology h100:8,a100:1,l4:1,v5e:16x16

Compiles the program of an experiment for GPUs (extra `cuda`) and TPUs (extra `tpu`) that need not
be there: compiled for, not run on. Memory, kernels, collectives and bytes are read off the compiled
program, operations counted; peak rates give the least time. Writes compiled.csv, figures/ and
report.html. A program takes half a minute to compile on two CPU cores with ViT-L/14.
"""

import dataclasses
from typing import Annotated, Any, Literal

import jax
import pyarrow as pa
import tyro

from benchmarks.compile_report.compile_row import compile_row
from benchmarks.compile_report.page import GIGA, KINDS, NOT_RUN, TERA, compile_page
from benchmarks.compile_report.programs import (
    Program,
    head_program,
    sweep_program,
    tuning_program,
)
from benchmarks.compile_report.topology import (
    Topology,
    compiler_version,
    describe_topology,
    open_topology,
    take_no_chip,
)
from benchmarks.sweep import SHIFTS
from jclip.checkpoints import CheckpointDescription, describe_checkpoint
from jclip.checkpoints.architectures import ARCHITECTURES
from jclip.errors import InputError
from jclip.images import Fit
from jclip.runs.command import run_command
from jclip.runs.options import Flag, Names, OutFolder
from jclip.runs.run import open_run
from jclip.training.lora import LORA_RECIPES


@dataclasses.dataclass(frozen=True)
class Options:
    """What is compiled, and for which chips."""

    model: str = "ViT-L-14"
    """An architecture, or a checkpoint; weights are not read."""
    topology: Annotated[Names, tyro.conf.arg(aliases=["--topologies"])] = ("v5e:4x4",)
    """Of GPUs kind and number: h100:8, a100:1, l4:1, ..; of TPUs generation and chips along each
    side: v5e:4x4, v4:2x2x4, ..; an unknown one lists all."""
    program_of: Annotated[
        Literal["shift_sweep", "lora_finetune", "train_heads"], tyro.conf.arg(name="experiment")
    ] = "shift_sweep"
    """Whose program: a step of a sweep, a training step, an epoch of five heads on one chip."""
    views_per_chip: int | None = None
    """Images per step and chip. A sweep: shifted ones, eight per panorama, 2048. Fine-tuning: two
    per panorama; the recipe's batch over all chips."""
    fit: Fit = "crop"
    """How a panorama becomes a square."""
    split_parameters: Flag = False
    """Fine-tuning: parameters and optimiser state split over the chips, as lora_finetune's."""
    out: OutFolder = None


def main(options: Options) -> int:
    """Check, compile for one topology after the other, report."""
    # What compiling takes is one of the results.
    jax.config.update("jax_enable_compilation_cache", False)
    _check(options)
    name = f"random:{options.model}" if options.model in ARCHITECTURES else options.model
    described = describe_checkpoint(name)
    topologies = [open_topology(one) for one in options.topology]
    with open_run("compile_report", options, out=options.out) as run:
        for package, version in dict.fromkeys(compiler_version(one.chip) for one in topologies):
            run.confirm(package, version)
        run.note(NOT_RUN)
        rows = []
        for topology in topologies:
            print(f"compiling for {topology.name} ...", flush=True)
            row = compile_row(topology, _program(options, described, topology))
            rows.append({"experiment": options.program_of, "model": options.model, **row})
        table = pa.Table.from_pylist(rows)
        run.write("compiled", table)
        return run.publish(compile_page(table), lines=[_line(row) for row in rows])


def _check(options: Options) -> None:
    """Refuse what cannot be compiled."""
    if not options.topology or len(set(options.topology)) < len(options.topology):
        raise InputError("--topology: none is given, or one twice")
    if options.split_parameters and options.program_of != "lora_finetune":
        raise InputError("--split-parameters: of fine-tuning only")
    for name in options.topology:
        describe_topology(name)
    views = options.views_per_chip
    if views is None:
        return
    if options.program_of == "train_heads":
        raise InputError("--views-per-chip: heads are trained on embeddings, not on views")
    per_panorama = SHIFTS if options.program_of == "shift_sweep" else 2
    if views < 1 or views % per_panorama:
        raise InputError(f"--views-per-chip {views}: a multiple of {per_panorama} is expected")


def _program(options: Options, described: CheckpointDescription, topology: Topology) -> Program:
    mesh, views = topology.mesh, options.views_per_chip
    if options.program_of == "train_heads":
        return head_program(described, topology.one_chip)
    if options.program_of == "shift_sweep":
        return sweep_program(described, mesh, views or 2048, options.fit)
    views = views or 2 * max(1, LORA_RECIPES["corrected"].batch_size_train // mesh.size)
    return tuning_program(described, mesh, views, options.fit, options.split_parameters)


def _line(row: dict[str, Any]) -> str:
    begin = f"{row['topology']}, {row['experiment']}, {row['model']}"
    if row["images_per_chip"]:
        begin += f", {row['images_per_chip']:,} images per chip"
    begin += f" ({NOT_RUN.split(':')[0]}): {row['flops'] / TERA:.4g} TFLOP per chip"
    if row["formula_ratio"]:
        begin += f", {row['formula_ratio']:.4f} of the formula"
    if row["problem"]:
        return f"{begin}; does not fit: {row['problem']}"
    kinds = ", ".join(f"{kind} {row[f'{kind}_bytes'] / GIGA:.3g}" for kind in KINDS)
    return (
        f"{begin}; memory {row['total_bytes'] / GIGA:.3g} of {row['capacity_bytes'] / GIGA:.0f} GB "
        f"({kinds}); collectives: {row['collectives']}; kernels: {row['kernels']}; "
        f"{row['moved_bytes'] / GIGA:.4g} GB moved, "
        f"{row['intensity']:.1f} FLOP per byte of {row['ridge']:.1f}; at least "
        f"{row['roofline_ms']:.4g} ms, bound by {row['bound']}; compiled in "
        f"{row['compile_s']:.1f} s"
    )


if __name__ == "__main__":
    # Before `run_command` has JAX find its devices, and so load what compiles for others.
    take_no_chip()
    run_command(Options, main, __doc__)
