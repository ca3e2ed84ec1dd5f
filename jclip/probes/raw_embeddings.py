"""Embeddings as the towers give them, not normalised, of prepared squares and of texts, in batches.

Batches are split over the devices of this process, parameters are on each.
"""

import functools
from collections.abc import Iterable, Iterator, Sequence

import jax
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Float32, Int, UInt8

from jclip.checkpoints import Checkpoint, ImageConfig
from jclip.data.pipeline import Batch
from jclip.distributed import local_mesh, replicate, shard_batch
from jclip.images import normalise
from jclip.models import cut_after_end_of_text

_TEXT_BATCH = 256
# A batch of texts has no pixels.
_NO_PIXELS = np.zeros((0, 1, 1, 3), np.uint8)


@functools.partial(jax.jit, static_argnames=("graph", "config"))
def _embed_images(
    graph: nnx.GraphDef, state: nnx.State, images: UInt8[Array, "n s s 3"], config: ImageConfig
) -> Float[Array, "n d"]:
    pixels = normalise(images, config.mean, config.std)
    return nnx.merge(graph, state).encode_image(pixels)


@functools.partial(jax.jit, static_argnames="graph")
def _embed_texts(
    graph: nnx.GraphDef, state: nnx.State, token_ids: Int[Array, "n l"]
) -> Float[Array, "n d"]:
    return nnx.merge(graph, state).encode_text(token_ids)


def _padded(rows: np.ndarray, count: int) -> np.ndarray:
    """The last row repeated up to `count` rows, then to what the devices divide evenly."""
    count = max(count, len(rows))
    missing = count + -count % local_mesh().size - len(rows)
    return np.concatenate([rows, np.repeat(rows[-1:], missing, axis=0)])


def stream_image_embeddings(
    batches: Iterable[Batch], checkpoint: Checkpoint
) -> Iterator[tuple[Batch, Float32[np.ndarray, "n d"]]]:
    """Embed batches of squares `[N, size, size, 3]`, already fitted to the image tower.

    Yields:
        The batch and its embeddings, one batch behind the device so that it never waits.
    """
    mesh = local_mesh()
    graph, state = nnx.split(checkpoint.clip)
    state = replicate(mesh, state)
    waiting: tuple[Batch, Array] | None = None
    for batch in batches:
        pixels = shard_batch(mesh, _padded(batch.pixels, len(batch.pixels)))
        embedded = _embed_images(graph, state, pixels, config=checkpoint.image_config)
        if waiting is not None:
            yield _collect(*waiting)
        waiting = batch, embedded
    if waiting is not None:
        yield _collect(*waiting)


def _collect(batch: Batch, embedded: Array) -> tuple[Batch, Float32[np.ndarray, "n d"]]:
    return batch, np.asarray(embedded)[: len(batch.indices)]


def stream_text_embeddings(
    checkpoint: Checkpoint, texts: Sequence[str], rows: Sequence[int]
) -> Iterator[tuple[Batch, Float32[np.ndarray, "n d"]]]:
    """Embed some of the texts, by row; batches as `keep_parts` takes them, without pixels."""
    if not rows:
        return
    mesh = local_mesh()
    graph, state = nnx.split(checkpoint.clip)
    state = replicate(mesh, state)
    # Shapes follow from all texts, so that what is left of a run rounds as the whole.
    tokens = checkpoint.tokenizer(texts)
    ids = cut_after_end_of_text(tokens.ids, checkpoint.clip.config.text)
    for start in range(0, len(rows), _TEXT_BATCH):
        own = ids[rows[start : start + _TEXT_BATCH]]
        some = shard_batch(mesh, _padded(own, min(_TEXT_BATCH, len(texts))))
        batch = Batch(tuple(rows[start : start + _TEXT_BATCH]), _NO_PIXELS, ())
        yield _collect(batch, _embed_texts(graph, state, some))
