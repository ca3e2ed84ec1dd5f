"""Everything that is timed on a chip, one measurement after the other, as rows."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.accelerator.parity import known_goldens, parity_rows
from benchmarks.heads import HELD_OUT, draw_pairs, train_at_once
from benchmarks.lora_step import prepared_steps
from benchmarks.sweep import SHIFTS
from benchmarks.throughput import stages
from benchmarks.timing import Seconds, Work, peak_memory, take_turns, timed
from jclip.checkpoints import Checkpoint
from jclip.checkpoints.flops import image_flops
from jclip.data.image_sets import ImageSet
from jclip.data.images import decode
from jclip.images import plan_sphere, ring, sphere_views
from jclip.models.attention import attend

Rows = Iterator[dict[str, Any]]
HEAD_EPOCHS, HEAD_SEEDS = 2, 8


@dataclasses.dataclass(frozen=True)
class Measurement:
    """One thing to measure: which part of the report it belongs to, what it is, how it is done."""

    part: str
    name: str
    rows: Callable[[], Rows]


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How much of everything: panoramas per training step, pairs of a head, timed repetitions."""

    tuning_batch: int
    head_pairs: int
    repetitions: int


def measurements(
    checkpoints: dict[str, Checkpoint],
    panoramas: ImageSet,
    batch_sizes: tuple[int, ...],
    sizes: Sizes,
    goldens: Path,
) -> list[Measurement]:
    """All of them, the most telling first.

    Args:
        checkpoints: the network by precision; fine-tuning is in the first.
        panoramas: enough for the largest batch.
        batch_sizes: views per step of the network.
        sizes: of the rest.
        goldens: folder of the small checkpoints.
    """
    rounds = sizes.repetitions
    listed = [
        Measurement(
            "parity", name, lambda name=name, wanted=wanted: parity_rows(name, wanted, goldens)
        )
        for name, wanted in known_goldens(goldens).items()
    ]
    for precision, checkpoint in checkpoints.items():
        how = dict(checkpoint=checkpoint, precision=precision, rounds=rounds)
        for batch in batch_sizes:
            more = how | {"batch": batch}
            listed += [
                _one("tower", _tower, **more),
                _one("sweep", _sweep, panoramas=panoramas, **more),
                _one("attention", _attention, **more),
            ]
    precision, first = next(iter(checkpoints.items()))
    more = {"precision": precision, "batch": sizes.tuning_batch, "rounds": rounds}
    listed.append(_one("fine-tuning", _tuning, checkpoint=first, **more))
    listed.append(_one("resizing", _resizing, checkpoint=first, panoramas=panoramas, rounds=rounds))
    listed.append(_one("sphere", _sphere, checkpoint=first, panoramas=panoramas, rounds=rounds))
    listed.append(_one("heads", _heads, pairs=sizes.head_pairs))
    return listed


def _one(part: str, rows: Callable[..., Rows], **arguments: Any) -> Measurement:
    said = [str(arguments[name]) for name in ("precision", "batch") if name in arguments]
    return Measurement(part, " ".join([part, *said]), lambda: rows(**arguments))


def _timed(work: Work, rounds: int) -> Seconds:
    return take_turns({"work": work}, rounds)["work"]


def _tower(checkpoint: Checkpoint, precision: str, batch: int, rounds: int) -> Rows:
    """The image tower alone, and what share of the chip's own matrix products it reaches."""
    tower = _timed(stages.tower(checkpoint, batch), rounds)
    work, flops = stages.products(checkpoint, batch, jnp.dtype(precision))
    rate = flops / _timed(work, rounds).median
    reached = batch * image_flops(checkpoint.clip.config) / tower.median
    how = {"precision": precision, "batch_size": batch}
    compile_s = max(tower.first - tower.median, 0.0)
    per_second = batch / tower.median
    yield {"what": "tower", "value": per_second, "unit": "images/s", "compile_s": compile_s, **how}
    yield {"what": "bare matrix products", "value": rate / 1e12, "unit": "TFLOP/s", **how}
    yield {"what": "tower's share of them", "value": 100 * reached / rate, "unit": "%", **how}


def _sweep(
    checkpoint: Checkpoint, precision: str, batch: int, rounds: int, panoramas: ImageSet
) -> Rows:
    """From files to scores, with the fit of the checkpoint."""
    fit, count = checkpoint.image_config.fit, len(panoramas.images)
    scores = np.zeros((count, SHIFTS), np.float32)
    taken = _timed(stages.sweep(checkpoint, fit, panoramas, batch, scores), rounds)
    how = {"precision": precision, "batch_size": batch}
    compile_s, rate = max(taken.first - taken.median, 0.0), count / taken.median
    yield {
        "what": "sweep, files to scores",
        "value": rate,
        "unit": "panoramas/s",
        "compile_s": compile_s,
        **how,
    }
    yield {"what": "the same", "value": SHIFTS * rate, "unit": "views/s", **how}
    yield {"what": "peak memory so far", "value": peak_memory(), "unit": "MiB", **how}


def _attention(checkpoint: Checkpoint, precision: str, batch: int, rounds: int) -> Rows:
    """One layer's attention, as the towers ask for it and in the plain form, side by side."""
    vision = checkpoint.clip.config.vision
    shape = (batch, vision.tokens, vision.heads, vision.width // vision.heads)
    keys = jax.random.split(jax.random.key(0), 3)
    drawn = [jax.random.normal(key, shape, jnp.dtype(precision)) for key in keys]
    forms = {"as the towers do": jax.jit(attend)}
    forms["plain"] = jax.jit(jax.nn.dot_product_attention)
    work = {name: timed(lambda form=form: form(*drawn)) for name, form in forms.items()}
    taken = take_turns(work, rounds)
    how = {"precision": precision, "batch_size": batch}
    for name, seconds in taken.items():
        yield {"what": name, "value": 1e3 * seconds.median, "unit": "ms a layer", **how}
    ours, plain = (form(*drawn).astype(jnp.float32) for form in forms.values())
    apart = float(jnp.abs(ours - plain).max())
    yield {"what": "one from the other", "value": apart, "unit": "largest deviation", **how}


def _tuning(checkpoint: Checkpoint, precision: str, batch: int, rounds: int) -> Rows:
    """A training step of an adapter."""
    taken = _timed(prepared_steps(checkpoint, batch, 1), rounds)
    yield {
        "what": "training step",
        "precision": precision,
        "batch_size": batch,
        "value": 1e3 * taken.median,
        "unit": "ms",
        "compile_s": max(taken.first - taken.median, 0.0),
    }


def _resizing(checkpoint: Checkpoint, rounds: int, panoramas: ImageSet) -> Rows:
    """Pixels on the host to eight normalised views on the device."""
    fit, count = checkpoint.image_config.fit, len(panoramas.images)
    taken = _timed(stages.resizing(checkpoint, fit, panoramas), rounds)
    yield {
        "what": "eight views, pixels on the host to the device",
        "batch_size": count,
        "value": 1e3 * taken.median / count,
        "unit": "ms a panorama",
        "compile_s": max(taken.first - taken.median, 0.0),
    }


def _sphere(checkpoint: Checkpoint, rounds: int, panoramas: ImageSet) -> Rows:
    """Pixels on the host to eight antialiased perspective views on the device."""
    size = checkpoint.image_config.size
    side = size if isinstance(size, int) else size.square
    pixels = np.stack([decode(image) for image in panoramas.images])
    _, height, width, _ = pixels.shape
    plan = jax.device_put(plan_sphere(height, width, ring(SHIFTS), side))
    taken = _timed(timed(lambda: sphere_views(jax.device_put(pixels), plan)), rounds)
    yield {
        "what": "eight views on the sphere, 4 x 4 samples per pixel, from the host to the device",
        "batch_size": len(pixels),
        "value": 1e3 * taken.median / len(pixels),
        "unit": "ms a panorama",
        "compile_s": max(taken.first - taken.median, 0.0),
    }


def _heads(pairs: int) -> Rows:
    """Eight seeds of a linear head at once, compilation included."""
    images, captions = draw_pairs(pairs + HELD_OUT)
    seconds, _ = train_at_once(images, captions, HEAD_EPOCHS)
    yield {
        "what": f"{HEAD_SEEDS} seeds of a linear head, {HEAD_EPOCHS} epochs of {pairs:,} pairs",
        "precision": "float32",
        "value": seconds,
        "unit": "s",
    }
