"""Embeddings of several kinds that a run makes, kept part by part and found again."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float32, Int64

from jclip.data.pipeline import Batch
from jclip.runs.run import Run

Embedded = dict[str, Float32[np.ndarray, "n d"]]
"""By kind; NaN where nothing is embedded yet."""


def done_rows(embedded: Embedded) -> dict[str, Bool[np.ndarray, " n"]]:
    """Of each kind, which rows are embedded."""
    return {kind: np.isfinite(own).all(axis=1) for kind, own in embedded.items()}


def keep_embeddings(
    run: Run,
    embedded: Embedded,
    kind: str,
    stream: Iterable[tuple[Batch, Float32[np.ndarray, "b d"] | None]],
    *,
    planned: int,
    unit: str,
) -> None:
    """Run a stream to its end, `planned` rows in all, and keep what it embeds, part by part.

    The indices of a batch are rows of its kind.

    Raises:
        RunStopped: an image or a disk failed; what was computed is kept.
    """
    target = embedded[kind]
    done = int(done_rows(embedded)[kind].sum())

    def store(batch: Batch, values: Float32[np.ndarray, "b d"]) -> None:
        target[list(batch.indices)] = values

    def part(rows: Sequence[int]) -> pa.Table:
        flat = pa.array(target[list(rows)].ravel())
        values = pa.FixedSizeListArray.from_arrays(flat, target.shape[1])
        return pa.table({"kind": [kind] * len(rows), "row": list(rows), "embedding": values})

    run.keep(stream, store, part, name=kind, total=done + planned, done=done, unit=unit)


def fill_embeddings(embedded: Embedded, parts: Iterable[pa.Table]) -> None:
    """Write the rows that some parts hold into the embeddings, in place."""
    for part in parts:
        target = embedded[part["kind"][0].as_py()]
        values = part["embedding"].combine_chunks().flatten().to_numpy()
        target[part["row"].to_numpy()] = values.reshape(-1, target.shape[1])


def by_box(
    stream: Iterable[tuple[Batch, Float32[np.ndarray, "n b d"] | None]],
    boxes: Sequence[Int64[np.ndarray, " _"]],
) -> Iterator[tuple[Batch, Float32[np.ndarray, "k d"] | None]]:
    """A stream of pictures as one of the boxes in them.

    Args:
        stream: with a row of embeddings for every box of a picture, and padding after them.
        boxes: of each picture, by the index that a batch has for it.
    """
    for batch, found in stream:
        own = [boxes[picture].tolist() for picture in batch.indices]
        rows = tuple(row for some in own for row in some)
        parts = None
        if found is not None:
            parts = np.concatenate(
                [values[: len(some)] for values, some in zip(found, own, strict=True)]
            )
        yield Batch(rows, batch.pixels, batch.failures), parts
