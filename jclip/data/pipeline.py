"""From image files to a stream of same-sized batches, decoded by workers ahead of the device."""

import dataclasses
import itertools
import os
import threading
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
    images: Sequence[ImageFile],
    plans: Sequence[BatchPlan],
    *,
    record_failures: bool,
    workers: int | None = None,
) -> Iterator[Batch]:
    """Decode the planned batches in order, a few ahead of their use.

    Args:
        images: what the plans' indices refer to.
        plans: from `plan_batches`; those already done may be left out.
        record_failures: return undecodable images as `Batch.failures` instead of raising.
        workers: threads that decode, by default one for each core.

    Raises:
        InputError: an image cannot be decoded, unless `record_failures`.
    """
    for _, alike in itertools.groupby(plans, lambda plan: _size(images[plan.indices[0]])):
        yield from _stream_of_one_size(images, list(alike), record_failures, workers)


def _size(image: ImageFile) -> tuple[int, int]:
    return image.height, image.width


def _rows(plan: BatchPlan) -> range:
    return range(len(plan.indices))


def _stream_of_one_size(
    images: Sequence[ImageFile],
    plans: Sequence[BatchPlan],
    record_failures: bool,
    workers: int | None,
) -> Iterator[Batch]:
    places = [(number, row) for number, plan in enumerate(plans) for row in _rows(plan)]
    height, width = _size(images[plans[0].indices[0]])
    waiting: dict[int, np.ndarray] = {}
    guard = threading.Lock()

    def batch(number: int) -> np.ndarray:
        with guard:
            if number not in waiting:
                waiting[number] = np.empty((plans[number].rows, height, width, 3), np.uint8)
            return waiting[number]

    def load(place: int) -> int | Failure:
        """Decode an image into its row: each on its own, so that all workers share every batch."""
        number, row = places[place]
        image = images[index := plans[number].indices[row]]
        try:
            batch(number)[row] = decode(image)
        except InputError as error:
            if not record_failures:
                raise
            return Failure(index, image.name, str(error))
        return row

    # Grain takes a third of a second to import, and a command's --help has no need of it.
    import grain

    ahead = BATCHES_AHEAD * max(len(plan.indices) for plan in plans)
    threads = workers or os.cpu_count() or 1
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=ahead)
    loaded = iter(grain.MapDataset.range(len(places)).map(load).to_iter_dataset(options))
    for number, plan in enumerate(plans):
        outcomes = list(itertools.islice(loaded, len(plan.indices)))
        # Where no image could be decoded, there is none yet.
        pixels = batch(number)
        del waiting[number]
        yield _batch(plan, pixels, outcomes)


def _batch(plan: BatchPlan, pixels: np.ndarray, outcomes: Sequence[int | Failure]) -> Batch:
    """What was decoded comes first, the last of it repeated in the rows that are left."""
    failures = tuple(outcome for outcome in outcomes if isinstance(outcome, Failure))
    rows = [row for row in outcomes if isinstance(row, int)]
    if failures and rows:
        pixels[: len(rows)] = pixels[rows]
    pixels[len(rows) :] = pixels[len(rows) - 1] if rows else 0
    return Batch(tuple(plan.indices[row] for row in rows), pixels, failures)
