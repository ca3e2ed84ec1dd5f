"""Shuffled batches of a set of images, for training."""

import os
from collections.abc import Callable, Sequence
from typing import Any, Literal

import grain
import jax
import numpy as np

from jclip.data.images import ImageFile, decode
from jclip.errors import InputError

TrainingBatch = dict[str, np.ndarray]
LastBatch = Literal["dropped", "short"]
"""What becomes of the images of an epoch that fill no batch."""


def steps_per_epoch(
    images: Sequence[ImageFile], batch_size: int, last_batch: LastBatch = "dropped"
) -> int:
    """Batches in a set of images, all of one size; a short one at the end counts if it is kept.

    It is kept where there is no other.

    Raises:
        InputError: the images differ in size.
    """
    first = images[0]
    for image in images:
        if (image.height, image.width) != (first.height, first.width):
            raise InputError(
                f"{image.name} is {image.width} x {image.height} and {first.name} "
                f"{first.width} x {first.height}: training needs images of one size"
            )
    full, rest = divmod(len(images), batch_size)
    return full + bool(rest and (last_batch == "short" or not full))


def image_batches(
    images: Sequence[ImageFile],
    batch_size: int,
    epochs: int,
    seed: int,
    to_device: Callable[[TrainingBatch], Any] = lambda batch: batch,
    last_batch: LastBatch = "dropped",
) -> grain.DatasetIterator:
    """Yields `{"images": [B, H, W, 3] uint8, "rows": [B] int32}`, every image once an epoch.

    Each epoch has an order of its own. What fills no batch is left out; or, where that is kept, the
    last batch is filled up with black images, and every batch has `present` [B] bool too. `rows`
    are positions in `images`. Of several processes each gets its slice of every batch, of B / P
    rows, and decodes no more. `to_device` puts a batch where it is used. The iterator's state is a
    position, the same in all processes, so training resumes exactly.

    Raises:
        InputError: see `steps_per_epoch`; while iterating, an image cannot be decoded.
    """
    steps = steps_per_epoch(images, batch_size, last_batch)
    filled_up = steps * batch_size > len(images)
    kept, own = min(steps * batch_size, len(images)), batch_size // jax.process_count()
    pixels = (images[0].height, images[0].width, 3)

    def load(row: int) -> TrainingBatch:
        return {"images": decode(images[row]), "rows": np.asarray(row, np.int32)}

    dataset = grain.MapDataset.range(len(images)).seed(seed).shuffle()[:kept]
    examples = dataset.repeat(epochs).map(load)

    def load_own(position: int) -> TrainingBatch | None:
        batch, row = divmod(position, own)
        epoch, step = divmod(batch, steps)
        number = step * batch_size + jax.process_index() * own + row
        if number >= kept:
            black = {"images": np.zeros(pixels, np.uint8), "rows": np.asarray(0, np.int32)}
            return {**black, "present": np.asarray(False)}
        example = examples[epoch * kept + number]
        if filled_up and example is not None:
            example["present"] = np.asarray(True)
        return example

    slices = grain.MapDataset.range(steps * epochs * own).map(load_own)
    # Threads decode that many images ahead, one batch's worth.
    options = grain.ReadOptions(num_threads=os.cpu_count() or 1, prefetch_buffer_size=own)
    return iter(slices.to_iter_dataset(options).batch(own).map(to_device))
