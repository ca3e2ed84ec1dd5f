"""Shuffled batches of a set of images, for training."""

import os
from collections.abc import Callable, Sequence
from typing import Any

import grain
import jax
import numpy as np

from jclip.data.images import ImageFile, decode
from jclip.errors import InputError

TrainingBatch = dict[str, np.ndarray]


def steps_per_epoch(images: Sequence[ImageFile], batch_size: int) -> int:
    """Full batches in a set of images, all of one size.

    Raises:
        InputError: there are fewer images than a batch holds, or they differ in size.
    """
    first = images[0]
    for image in images:
        if (image.height, image.width) != (first.height, first.width):
            raise InputError(
                f"{image.name} is {image.width} x {image.height} and {first.name} "
                f"{first.width} x {first.height}: training needs images of one size"
            )
    if len(images) < batch_size:
        raise InputError(f"{len(images)} training images make no batch of {batch_size}")
    return len(images) // batch_size


def image_batches(
    images: Sequence[ImageFile],
    batch_size: int,
    epochs: int,
    seed: int,
    to_device: Callable[[TrainingBatch], Any] = lambda batch: batch,
) -> grain.DatasetIterator:
    """Yields `{"images": [B, H, W, 3] uint8, "rows": [B] int32}`, every image once an epoch.

    Each epoch has an order of its own and leaves out what fills no batch. `rows` are positions in
    `images`. Of several processes each gets its slice of every batch, of B / P rows, and decodes no
    more. `to_device` puts a batch where it is used. The iterator's state is a position, the same in
    all processes, so training resumes exactly.

    Raises:
        InputError: see `steps_per_epoch`; while iterating, an image cannot be decoded.
    """
    steps_per_epoch(images, batch_size)

    def load(row: int) -> TrainingBatch:
        return {"images": decode(images[row]), "rows": np.asarray(row, np.int32)}

    kept = len(images) // batch_size * batch_size
    dataset = grain.MapDataset.range(len(images)).seed(seed).shuffle()[:kept]
    examples, own = dataset.repeat(epochs).map(load), batch_size // jax.process_count()

    def load_own(position: int) -> TrainingBatch | None:
        batch, row = divmod(position, own)
        return examples[batch * batch_size + jax.process_index() * own + row]

    slices = grain.MapDataset.range(len(examples) // batch_size * own).map(load_own)
    # Threads decode that many images ahead, one batch's worth.
    options = grain.ReadOptions(num_threads=os.cpu_count() or 1, prefetch_buffer_size=own)
    return iter(slices.to_iter_dataset(options).batch(own).map(to_device))
