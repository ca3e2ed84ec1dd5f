"""The shift sweep as benchmarks time it: the programs of the probe, called in one place."""

from collections.abc import Callable, Sequence

import jax
import numpy as np
from jaxtyping import Float

from jclip.checkpoints import Checkpoint
from jclip.data.image_sets import ImageSet
from jclip.data.images import ImageFile
from jclip.data.pipeline import plan_batches, stream_batches
from jclip.images import Fit
from jclip.probes.probe import stream_scores
from jclip.probes.shift import ShiftProbe, shifts_by_width
from jclip.probes.subjects import make_subjects

SHIFTS = 8


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
    """Embed the prompts of N panoramas, one each, and return the sweep that is left to do.

    Steps of the network have `batch` views.

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
