"""One command for a real chip: is it right there, how fast is everything, what bounds it?

    python -m benchmarks.accelerator --model ViT-L-14 --batch-sizes 512,2048

Embeds the goldens of the repository (float32 by full-precision products, and bfloat16), times the
image tower and its share of the chip's own matrix products, the whole sweep from files to scores,
attention in both forms, resizing, views on the sphere, a step of fine-tuning and heads. What does
not fit into `--minutes` is left out and named. Writes accelerator.csv, report.html and results.md,
the Markdown of docs/results.md. Runs on a CPU too, where smaller sizes are the default.
"""

import dataclasses
import datetime
import os
import platform
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from time import monotonic
from typing import Any

import jax
import jax.extend
import jax.numpy as jnp
import pyarrow as pa

from benchmarks.accelerator.measurements import Measurement, Sizes, measurements
from benchmarks.accelerator.page import accelerator_page, finding, markdown, strayed
from benchmarks.accelerator.parity import GOLDENS
from benchmarks.sweep import SHIFTS
from benchmarks.throughput.stages import enlarged_samples
from jclip.checkpoints import describe_checkpoint, load_checkpoint
from jclip.checkpoints.architectures import ARCHITECTURES
from jclip.errors import InputError
from jclip.files.atomic import replacing
from jclip.runs.command import STOPPED, run_command
from jclip.runs.options import Integers, OutFolder
from jclip.runs.record import typed_command
from jclip.runs.run import open_run

SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("part", "what", "precision")]
    + [("batch_size", pa.int64()), ("value", pa.float64()), ("unit", pa.string())]
    + [("compile_s", pa.float64())]
)


@dataclasses.dataclass(frozen=True)
class Options:
    """What is measured."""

    model: str | None = None
    """An architecture, with random weights, or a checkpoint: ViT-L-14, on a CPU ViT-B-32."""
    batch_sizes: Integers = ()
    """Views per step of the network: 512,2048, on a CPU 16."""
    minutes: float = 10
    """What has not begun by then is left out."""
    out: OutFolder = None


def main(options: Options) -> int:
    """Check, measure one thing after the other, write what came of it."""
    # What compiling takes is one of the results.
    jax.config.update("jax_enable_compilation_cache", False)
    begun = monotonic()
    if any(size < 1 for size in options.batch_sizes):
        raise InputError("positive numbers are needed", "batch_sizes")
    if not options.minutes > 0:
        raise InputError(f"{options.minutes:g}: a positive number is needed", "minutes")
    small = jax.default_backend() == "cpu"
    model = options.model or ("ViT-B-32" if small else "ViT-L-14")
    batch_sizes = options.batch_sizes or ((16,) if small else (512, 2048))
    sizes = Sizes(4, 4_096, 3) if small else Sizes(64, 50_000, 10)
    described = describe_checkpoint(f"random:{model}" if model in ARCHITECTURES else model)
    with open_run("accelerator", options, out=options.out, model=model) as run:
        machine = _machine()
        for fact in ("card", "driver"):
            run.confirm(fact, machine[fact])
        checkpoints = {
            name: load_checkpoint(described, dtype=jnp.dtype(name))
            for name in ("bfloat16", "float32")
        }
        with tempfile.TemporaryDirectory() as folder:
            panoramas = enlarged_samples(Path(folder) / "p", max(1, max(batch_sizes) // SHIFTS))
            planned = measurements(checkpoints, panoramas, batch_sizes, sizes, GOLDENS)
            rows, left_out, failed = _measured(planned, begun + 60 * options.minutes)
        if left_out:
            run.note(f"left out after {options.minutes:g} minutes: {', '.join(left_out)}")
        run.note(*(f"failed: {reason}" for reason in failed))
        table = pa.Table.from_pylist(rows, SCHEMA)
        rows = table.to_pylist()
        run.write("accelerator", table)
        with replacing(run.folder / "results.md") as path:
            path.write_text(markdown(table, machine, typed_command()), encoding="utf-8")
        status = run.publish(accelerator_page(table, machine), lines=_lines(rows, machine))
        return STOPPED if failed or strayed(rows) else status


def _measured(
    planned: list[Measurement], end: float
) -> tuple[list[dict[str, Any]], list[str], list[str]]:
    """Rows of all measurements that begin before `end`, names of the others, and what failed.

    A chip that refuses one program, for want of memory or of a kernel, may do the others.
    """
    rows, left_out, failed = [], [], []
    for one in planned:
        if monotonic() > end:
            left_out.append(one.name)
            continue
        print(f"{one.name} ...", file=sys.stderr, flush=True)
        try:
            rows += [{"part": one.part, **row} for row in one.rows()]
        except (jax.errors.JaxRuntimeError, NotImplementedError) as error:
            failed.append(f"{one.name}: {' '.join(str(error).split())[:300]}")
    return rows, left_out, failed


def _machine() -> dict[str, str]:
    """The chip and what drives it, by name."""
    device = jax.devices()[0]
    card = f"{jax.device_count()} x {device.device_kind}"
    if device.platform == "cpu":
        card = f"{os.cpu_count()} cores of {_processor()}"
    driver = " ".join(jax.extend.backend.get_backend().platform_version.split())
    kernel = Path("/proc/driver/nvidia/version")
    if kernel.exists():
        driver += f", {kernel.read_text('utf-8').splitlines()[0]}"
    return {
        "card": card,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "driver": driver,
        **{package: version(package) for package in ("jax", "jaxlib", "flax")},
        "python": platform.python_version(),
    }


def _processor() -> str:
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text("utf-8").splitlines() if facts.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(names), platform.processor() or platform.machine())


def _lines(rows: list[dict[str, Any]], machine: dict[str, str]) -> list[str]:
    shown = [row for row in rows if row["part"] != "parity"]
    return [
        finding(rows, machine),
        *(f"{row['part']}: {row['what']}: {row['value']:,.4g} {row['unit']}" for row in shown),
    ]


if __name__ == "__main__":
    run_command(Options, main, __doc__)
