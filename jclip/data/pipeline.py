"""From image files to a stream of same-sized batches, decoded by workers ahead of the device."""

import dataclasses
import os
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Shaped

from jclip.data.images import ImageFile, decode
from jclip.errors import InputError

# Bounds what waits in memory, decoded: a few batches of at most this many bytes.
BATCH_BYTES = 1 << 28
BATCHES_AHEAD = 2


@dataclasses.dataclass(frozen=True)
class BatchPlan:
    """Which images, by index, make a batch: all of one size, padded to `rows` by the stream."""

    indices: tuple[int, ...]
    rows: int


@dataclasses.dataclass(frozen=True)
class Failure:
    """An image that could not be decoded, and why."""

    index: int
    name: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Batch:
    """Decoded images: the first `len(indices)` of `rows` are real, the others repeat the last.

    `pixels` are uint8 as they are decoded; a stream may pass on what a network takes instead.
    """

    indices: tuple[int, ...]
    pixels: Shaped[np.ndarray, "rows h w 3"]
    failures: tuple[Failure, ...]


def plan_batches(images: Sequence[ImageFile], largest: int, devices: int = 1) -> list[BatchPlan]:
    """Group images by size into batches, equally full within a size.

    Every batch of a size has the same number of rows, so that each size is compiled once.

    Args:
        images: of any sizes.
        largest: the most images of a batch.
        devices: over how many a batch is split evenly; rows are rounded up to a multiple.
    """
    groups: dict[tuple[int, int], list[int]] = {}
    for index, image in enumerate(images):
        groups.setdefault((image.height, image.width), []).append(index)
    plans = []
    for (height, width), members in groups.items():
        most = max(1, min(largest, BATCH_BYTES // (3 * height * width)))
        rows = -(-len(members) // -(-len(members) // most))
        rows += -rows % devices
        for start in range(0, len(members), rows):
            plans.append(BatchPlan(tuple(members[start : start + rows]), rows))
    return plans


def stream_batches(
    images: Sequence[ImageFile], plans: Sequence[BatchPlan], *, record_failures: bool
) -> Iterator[Batch]:
    """Decode the planned batches in order, a few ahead of their use.

    Args:
        images: what the plans' indices refer to.
        plans: from `plan_batches`; those already done may be left out.
        record_failures: return undecodable images as `Batch.failures` instead of raising.

    Raises:
        InputError: an image cannot be decoded, unless `record_failures`.
    """

    def load(number: int) -> Batch:
        plan = plans[number]
        decoded, failures = {}, []
        for index in plan.indices:
            try:
                decoded[index] = decode(images[index])
            except InputError as error:
                if not record_failures:
                    raise
                failures.append(Failure(index, images[index].name, str(error)))
        first = images[plan.indices[0]]
        pixels = np.zeros((plan.rows, first.height, first.width, 3), np.uint8)
        for row, image in enumerate(decoded.values()):
            pixels[row] = image
        pixels[len(decoded) :] = pixels[max(len(decoded) - 1, 0)]
        return Batch(tuple(decoded), pixels, tuple(failures))

    # Grain takes a third of a second to import, and a command's --help has no need of it.
    import grain

    options = grain.ReadOptions(num_threads=os.cpu_count() or 1, prefetch_buffer_size=BATCHES_AHEAD)
    dataset = grain.MapDataset.range(len(plans)).map(load).to_iter_dataset(options)
    yield from dataset
