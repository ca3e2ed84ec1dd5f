"""The shift sweep as benchmarks time it: the programs of the probe, called in one place."""

from collections.abc import Callable, Sequence

import jax
import numpy as np
import pyarrow as pa
from jaxtyping import Array, Float

from jclip.checkpoints import Checkpoint
from jclip.data.image_sets import ImageSet
from jclip.data.images import ImageFile
from jclip.data.pipeline import plan_batches, stream_batches
from jclip.images import Fit
from jclip.probes.embed import TEXT_BATCH, embed_texts
from jclip.probes.probe import stream_scores
from jclip.probes.scores import score_table
from jclip.probes.shift import ShiftProbe, shifts_by_width
from jclip.probes.subjects import make_subjects

SHIFTS = 8
TEXTS_AT_ONCE = TEXT_BATCH
"""Prompts that a sweep embeds in one step."""


def prompts_of(panoramas: ImageSet) -> list[str]:
    """As the papers' scripts write them."""
    return [f"This is {caption}" for caption in panoramas.captions]


def equal_shifts(width: int) -> tuple[int, ...]:
    """The eight shifts of paper 1 in pixels, for panoramas of a width."""
    return shifts_by_width([width], SHIFTS)[width]


def prepared_sweep(
    checkpoint: Checkpoint,
    fit: Fit,
    images: Sequence[ImageFile],
    prompts: Sequence[str],
    batch: int,
) -> Callable[[int | None], Float[np.ndarray, "n s"]]:
    """Embed the prompts of N panoramas, and return the sweep that is left to do.

    Args:
        checkpoint: the model.
        fit: how a panorama becomes a square.
        images: N panoramas.
        prompts: one each.
        batch: views per step of the network.

    Returns:
        A function from files to scores `[N, 8]`. Its argument is how many batches to sweep, all for
        None; rows that it does not reach are NaN.
    """
    widths = [image.width for image in images]
    probe = ShiftProbe(widths, SHIFTS, fits=[fit], views_per_step=batch)
    subjects, _ = make_subjects(checkpoint, [fit], [[prompt] for prompt in prompts])

    def sweep(batches: int | None) -> Float[np.ndarray, "n s"]:
        scores = np.full((len(images), SHIFTS), np.nan, np.float32)
        plans = plan_batches(images, max(1, batch // SHIFTS), jax.local_device_count())
        stream = stream_batches(images, plans[:batches], record_failures=False)
        for done, found in stream_scores(stream, subjects, probe):
            if found is not None:
                scores[list(done.indices)] = found[0]
        return scores

    return sweep


def prepared_texts(
    checkpoint: Checkpoint, prompts: Sequence[str]
) -> Callable[[], Float[Array, "n e"]]:
    """Tokenize prompts, and return a function that embeds them."""
    tokens = checkpoint.tokenizer(prompts)
    return lambda: embed_texts(checkpoint.clip, tokens)


def prepared_table(panoramas: ImageSet, fit: Fit) -> Callable[[], pa.Table]:
    """A function that makes the table of a sweep's scores, as it is written to disk."""
    widths = [image.width for image in panoramas.images]
    probe = ShiftProbe(widths, SHIFTS, fits=[fit], views_per_step=SHIFTS)
    result = probe.empty(panoramas, "model", fit)
    return lambda: score_table([result])
