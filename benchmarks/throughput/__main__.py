"""How fast is a shift sweep, what bounds it, and how does PyTorch compare?

    python -m benchmarks.throughput --model ViT-B-32 --compare open_clip --torch-python PYTHON

Sweeps panoramas of the paper's size (the samples, enlarged) at eight shifts, from files to scores,
in every precision, batch size and fit; times every stage apart, and the tower against bare matrix
products of its own shapes. With `--compare`, PyTorch takes turns with the same weights in another
Python. Writes throughput_DEVICE_PRECISION_jax-VERSION.csv, comparison.csv, figures/ and
report.html. Ten minutes on two CPU cores with ViT-B/32 and one library.
"""

import contextlib
import dataclasses
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.sweep import SHIFTS
from benchmarks.throughput import stages
from benchmarks.throughput.comparison import TorchSide, comparison_rows
from benchmarks.throughput.page import throughput_page
from benchmarks.throughput.speed_rows import speed_rows
from benchmarks.timing import Work, peak_memory, take_turns, timed
from benchmarks.torch_process import torch_process
from jclip.checkpoints import Checkpoint, describe_checkpoint, load_checkpoint, save_clip
from jclip.checkpoints.architectures import ARCHITECTURES
from jclip.data.images import decode
from jclip.errors import InputError
from jclip.images.fits import fits_of
from jclip.runs.command import run_command
from jclip.runs.options import Fits, Integers, Names, OutFolder
from jclip.runs.record import Silent
from jclip.runs.run import open_run

SCRIPT = Path(__file__).with_name("sweep_in_torch.py")
PRECISIONS, LIBRARIES = ("float32", "bfloat16"), ("open_clip", "transformers")


@dataclasses.dataclass(frozen=True)
class Options:
    """What is timed."""

    model: str = "ViT-B-32"
    """An architecture, with random weights, or a checkpoint."""
    batch_sizes: Integers = (64,)
    """Views per step of the network; multiples of 8 fill every step."""
    precision: Names = PRECISIONS
    """Of matrix products: float32, bfloat16."""
    fits: Fits = ("crop", "squash")
    """How a panorama becomes a square."""
    compare: Names = ()
    """Libraries to take turns with: open_clip, transformers."""
    torch_python: Annotated[str, Silent] = "python"
    """A Python that has torch and those libraries."""
    repetitions: int = 20
    """Timed repetitions of everything, after a warm-up."""
    out: OutFolder = None


def main(options: Options, script: Path = SCRIPT) -> int:
    """Check, prepare all work, let it take turns, and write what came of it."""
    # What compiling takes is one of the results.
    jax.config.update("jax_enable_compilation_cache", False)
    _check(options)
    name = f"random:{options.model}" if options.model in ARCHITECTURES else options.model
    described = describe_checkpoint(name)
    _ = described.tokenizer
    count = max(1, max(options.batch_sizes) // SHIFTS)
    with open_run("throughput", options, out=options.out) as run:
        checkpoints = {
            precision: load_checkpoint(described, dtype=jnp.dtype(precision))
            for precision in options.precision
        }
        # Random weights are as fast as any.
        run.note(*(() if described.identity.random else described.identity.notices))
        memory: dict[Any, float] = {}
        with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as stack:
            panoramas = stages.enlarged_samples(Path(scratch) / "panoramas", count)
            work, flops, scores = _work(options, checkpoints, panoramas, Path(scratch))
            weights, sides = Path(scratch) / "checkpoint", []
            if options.compare:
                save_clip(weights, checkpoints[options.precision[0]])
            for library in options.compare:
                print(f"starting {library} ...", flush=True)
                command = [options.torch_python, str(script), library, str(weights)]
                ask, said = stack.enter_context(torch_process(command))
                versions, batches = said["versions"], options.batch_sizes
                side = TorchSide.ready(library, ask, versions, panoramas, stages.WIDTH, batches)
                work |= side.work()
                sides.append(side)

            def remember(name) -> None:
                memory[name] = peak_memory()

            seconds = take_turns(work, options.repetitions, remember)
        rows = speed_rows(described.config, seconds, flops, memory, count)
        compared = [row for side in sides for row in comparison_rows(side, seconds, scores, count)]
        speeds = pa.Table.from_pylist([{"model": options.model, **row} for row in rows])
        for precision in options.precision:
            name = f"throughput_{jax.default_backend()}_{precision}_jax-{jax.__version__}"
            run.write(name, speeds.filter(pc.field("precision") == precision))
        comparison = pa.Table.from_pylist(compared) if compared else None
        if comparison is not None:
            run.write("comparison", comparison)
        lines = [*map(_line, rows), *map(_compared_line, compared)]
        return run.publish(throughput_page(speeds, comparison), lines)


def _check(options: Options) -> None:
    """Refuse what cannot be timed."""
    for option, given, known in (
        ("--precision", options.precision, PRECISIONS),
        ("--compare", options.compare, LIBRARIES),
    ):
        if unknown := [name for name in given if name not in known]:
            raise InputError(f"{option} {unknown[0]}: not one of {', '.join(known)}")
    if not options.batch_sizes or min(options.batch_sizes) < 1:
        raise InputError("--batch-sizes: needs positive numbers")
    if options.repetitions < 1:
        raise InputError(f"--repetitions {options.repetitions}: at least 1")
    if options.compare and "crop" not in options.fits:
        raise InputError("--compare: the papers crop, so --fits needs crop too")


def _work(options: Options, checkpoints: Mapping[str, Checkpoint], panoramas, scratch):
    """Everything of ours that is timed, by name; FLOPs of bare products; scores to be filled."""
    first = next(iter(checkpoints.values()))
    fits = fits_of(options.fits, first.image_config)
    decoding = timed(lambda: [decode(image) for image in panoramas.images])
    work: dict[Any, Work] = {("decode",): decoding}
    work["write",] = stages.writing(panoramas, fits[0], scratch / "scores.parquet")
    work |= {("resize", fit): stages.resizing(first, fit, panoramas) for fit in fits}
    flops, scores = {}, {}
    for precision, checkpoint in checkpoints.items():
        work["text", precision] = stages.text_tower(checkpoint, panoramas)
        for batch in options.batch_sizes:
            work["tower", precision, batch] = stages.tower(checkpoint, batch)
            name = ("products", precision, batch)
            work[name], flops[name] = stages.products(checkpoint, batch, jnp.dtype(precision))
            for fit in fits:
                name = ("sweep", precision, batch, fit)
                scores[name] = np.zeros((len(panoramas.images), SHIFTS), np.float32)
                work[name] = stages.sweep(checkpoint, fit, panoramas, batch, scores[name])
    return work, flops, scores


def _line(row: dict[str, Any]) -> str:
    return (
        f"{row['precision']}, batch {row['batch_size']}, {row['fit']}: "
        f"{row['panoramas_per_s']:.2f} panoramas/s, {row['images_per_s']:.1f} images/s, "
        f"{row['step_ms']:.0f} ms per step; bound by {row['bound_by']}; "
        f"resize {row['resize_share']:.1%}; tower {row['tower_images_per_s']:.1f} images/s, "
        f"{row['tower_share']:.0%} of {row['product_gflops_per_s']:.0f} GFLOP/s of bare products; "
        f"compiled in {row['compile_s']:.1f} s; peak {row['peak_memory_mib']:.0f} MiB"
    )


def _compared_line(row: dict[str, Any]) -> str:
    return (
        f"{row['ratio']:.2f} x {row['library']} ({row['method']}; {row['their_precision']} by "
        f"{row['their_form']}: {row['theirs_per_s']:.2f}) in {row['our_precision']}: "
        f"{row['ours_per_s']:.2f} {row['unit']}"
    )


if __name__ == "__main__":
    run_command(Options, main, __doc__)
