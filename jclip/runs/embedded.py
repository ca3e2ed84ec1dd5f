"""Embeddings of several kinds that a run makes, kept part by part and found again."""

from collections.abc import Iterable, Iterator, Sequence

import jax
import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float32, Int64

from jclip.checkpoints import Checkpoint
from jclip.data.images import ImageFile
from jclip.data.pipeline import Batch, plan_batches, stream_batches
from jclip.distributed import own_share
from jclip.probes.embed import stream_square_embeddings, stream_text_embeddings
from jclip.runs.run import Run

EmbeddingsByKind = dict[str, Float32[np.ndarray, "n d"]]
"""NaN where nothing is embedded yet."""


def done_rows(embedded: EmbeddingsByKind) -> dict[str, Bool[np.ndarray, " n"]]:
    """Of each kind, which rows are embedded."""
    return {kind: np.isfinite(own).all(axis=1) for kind, own in embedded.items()}


def keep_squares(
    run: Run,
    embedded: EmbeddingsByKind,
    kind: str,
    checkpoint: Checkpoint,
    squares: Sequence[ImageFile],
    images_per_step: int,
    *,
    unit: str,
    record_failures: bool = False,
) -> None:
    """Embed this process's share of the squares that earlier runs have not.

    Args:
        run: into whose folder parts go.
        embedded: what is embedded already; filled in place.
        kind: of the squares.
        checkpoint: the model.
        squares: pictures as its tower takes them, a row of their kind each.
        images_per_step: squares at a time.
        unit: what they are, for the progress bar.
        record_failures: whether a picture that cannot be decoded is recorded and stops nothing.

    Raises:
        RunStopped: see `keep_embeddings`.
    """
    done = done_rows(embedded)[kind]
    plans = plan_batches(squares, images_per_step, jax.local_device_count())
    plans = own_share([plan for plan in plans if not done[list(plan.indices)].all()])
    batches = stream_batches(squares, plans, record_failures=record_failures)
    stream = stream_square_embeddings(batches, checkpoint.clip, checkpoint.image_config)
    planned = sum(len(plan.indices) for plan in plans)
    keep_embeddings(run, embedded, kind, stream, planned=planned, unit=unit)


def keep_texts(
    run: Run,
    embedded: EmbeddingsByKind,
    kind: str,
    checkpoint: Checkpoint,
    texts: Sequence[str],
    *,
    unit: str,
) -> list[str]:
    """Embed this process's share of the texts that earlier runs have not; see `keep_squares`.

    Returns:
        What a reader should know of all the texts: that some were cut, or are not what they seem.
    """
    tokenizer = checkpoint.tokenizer
    tokens = tokenizer(texts)
    rows = own_share(np.flatnonzero(~done_rows(embedded)[kind]).tolist())
    stream = stream_text_embeddings(checkpoint.clip, tokens, rows)
    keep_embeddings(run, embedded, kind, stream, planned=len(rows), unit=unit)
    notices = tokenizer.notices(texts)
    if cut := int(tokens.truncated.sum()):
        length = tokenizer.context_length
        notices.append(f"{cut} {unit} are longer than {length} tokens and were truncated.")
    return notices


def keep_embeddings(
    run: Run,
    embedded: EmbeddingsByKind,
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


def fill_embeddings(embedded: EmbeddingsByKind, parts: Iterable[pa.Table]) -> None:
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
