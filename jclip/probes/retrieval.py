"""Retrieval: the right caption of an image among others, and the right image of a caption."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow as pa
from jaxtyping import Array, Float, Float32, Int

from jclip.errors import InputError
from jclip.models.unit_norm import unit_rows

Normalisation = Literal["corrected", "reference"]

# Scores at once, in bytes.
_BLOCK_BYTES = 1 << 26


@dataclasses.dataclass(frozen=True)
class RankedQueries:
    """Ranks of one model in one direction, among `gallery` captions or images."""

    model: str
    direction: Literal["image to text", "text to image"]
    gallery: int
    ranks: Int[np.ndarray, " n"]


type Similarity = Callable[[Float[Array, "n d"], Float[Array, "m d"]], Float[Array, "n m"]]
"""Scores `[N, M]` of images `[N, D]` against texts `[M, D]`."""


def rank_captions(
    images: Float32[np.ndarray, "n d"],
    captions: Float32[np.ndarray, "m d"],
    caption_images: Int[np.ndarray, " m"],
    similarity: Similarity,
) -> Int[np.ndarray, " n"]:
    """Per image the rank of its best caption among all captions; ties count against it.

    Args:
        images: `[N, D]`, each with one caption or more.
        captions: `[M, D]`.
        caption_images: `[M]`, the row of the image that each caption is about.
        similarity: such as `head.similarity`; jitted here.

    Raises:
        InputError: an image has no caption, a caption no image, or a score is not finite.
    """
    _check(len(images), caption_images)

    def query(images, rows, captions, caption_images):
        own = rows[:, None] == caption_images
        found = similarity(images, captions)
        best = jnp.max(found, axis=1, where=own, initial=-jnp.inf)
        rank = 1 + jnp.sum((found >= best[:, None]) & ~own, axis=1)
        return jnp.where(jnp.isfinite(found).all(axis=1), rank, 0)

    return _in_blocks(query, images, np.arange(len(images)), (captions, caption_images))


def rank_images(
    images: Float32[np.ndarray, "n d"],
    captions: Float32[np.ndarray, "m d"],
    caption_images: Int[np.ndarray, " m"],
    similarity: Similarity,
) -> Int[np.ndarray, " m"]:
    """Per caption the rank of its image among all images; as `rank_captions`."""
    _check(len(images), caption_images)

    def query(captions, own, images):
        found = similarity(images, captions).T
        right = jnp.take_along_axis(found, own[:, None], axis=1)
        rank = jnp.sum(found >= right, axis=1)
        return jnp.where(jnp.isfinite(found).all(axis=1), rank, 0)

    return _in_blocks(query, captions, caption_images, (images,))


def first_twice(
    images: Float32[np.ndarray, "n d"],
    captions: Float32[np.ndarray, "m d"],
    caption_images: Int[np.ndarray, " m"],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images and captions with those of the first image twice, which is fault 13 of paper 2's code.

    `[1 + N, D]`, `[F + M, D]` and `[F + M]`, the F captions of the first image and the image itself
    in front of all others. Ranks of the two copies: see `settle_ties`.
    """
    first = caption_images == 0
    return (
        np.concatenate([images[:1], images]),
        np.concatenate([captions[first], captions]),
        np.concatenate([np.zeros(first.sum(), caption_images.dtype), caption_images + 1]),
    )


def settle_ties(ranks: Int[np.ndarray, " n"], copies: int) -> Int[np.ndarray, " n"]:
    """Ranks of `first_twice` as the paper's code has them: of two copies the second wins.

    What they ask for ties with what its copy asks for, and that counts against both.

    Args:
        ranks: of all queries; the first and the second `copies` are alike.
        copies: 1 image, or its captions.
    """
    settled = ranks.copy()
    settled[copies : 2 * copies] -= 1
    return settled


def _in_blocks(query: Callable, queries, labels, gallery: tuple) -> Int[np.ndarray, " n"]:
    """Ranks of all queries, as many at a time as their scores fit the block."""
    count = len(queries)
    block = min(count, max(1, _BLOCK_BYTES // (4 * len(gallery[0]))))
    program, gallery = jax.jit(query), jax.device_put(gallery)
    ranks = np.empty(count, np.int64)
    for start in range(0, count, block):
        # The last block is filled up with queries of the one before, lest it be compiled anew.
        own = slice(min(start, count - block), min(start, count - block) + block)
        ranks[own] = program(queries[own], labels[own], *gallery)
    if len(bad := np.flatnonzero(ranks == 0)):
        raise InputError(f"query {bad[0]} (from 0): a score is not finite")
    return ranks


def _check(images: int, caption_images: Int[np.ndarray, " m"]) -> None:
    if len(caption_images) == 0:
        raise InputError("retrieval needs images with captions, and there are none")
    counts = np.bincount(caption_images, minlength=images)
    if len(counts) > images:
        raise InputError(f"a caption belongs to image {len(counts) - 1} of {images}")
    if not counts.all():
        raise InputError(f"image {int(np.argmin(counts))} (from 0) has no caption")


def _dot(images: Float[Array, "n d"], texts: Float[Array, "m d"]) -> Float[Array, "n m"]:
    return jnp.matmul(images, texts.T, precision="highest")


def cosine_retrieval(
    images: Float32[np.ndarray, "n d"],
    captions: Float32[np.ndarray, "m d"],
    caption_images: Int[np.ndarray, " m"],
    normalisation: Normalisation = "corrected",
) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " m"]]:
    """Ranks in both directions, image to text first, by the embeddings themselves.

    `corrected` is the cosine. `reference` repeats fault 1 of paper 2's code: every feature is
    divided by its norm over samples. What is retrieved is normalised over all of it; a query over
    those asked at once, the captions of one image, or one image alone, of which only signs are
    left.

    Raises:
        InputError: see `rank_captions`.
    """
    _check(len(images), caption_images)
    if normalisation == "corrected":
        images, captions = unit_rows(images), unit_rows(captions)
        image_queries, caption_queries = images, captions
    else:
        squares = np.zeros(images.shape, np.float32)
        np.add.at(squares, caption_images, captions**2)
        image_queries, caption_queries = np.sign(images), _ratio(captions, squares[caption_images])
        images, captions = (_ratio(x, np.sum(np.square(x), axis=0)) for x in (images, captions))
    return (
        rank_captions(image_queries, captions, caption_images, _dot),
        rank_images(images, caption_queries, caption_images, _dot),
    )


def _ratio(values: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """Values by the root of the sum of their squares; 0 where that is 0."""
    return values / np.sqrt(np.where(squares > 0, squares, np.float32(1)))


def recall_at(ranks: Int[np.ndarray, " n"]) -> dict[int, float]:
    """The percentage of ranks, which count from 1, that are at most k, for k = 1, 5 and 10."""
    return {k: 100 * float(np.mean(ranks <= k)) for k in (1, 5, 10)}


def retrieval_table(results: Sequence[RankedQueries]) -> pa.Table:
    """A row per model and direction: recall in per cent, median and mean rank."""
    return pa.Table.from_pylist(
        [
            {
                "model": result.model,
                "direction": result.direction,
                "queries": len(result.ranks),
                "among": result.gallery,
                **{f"recall_at_{k}": value for k, value in recall_at(result.ranks).items()},
                "median_rank": float(np.median(result.ranks)),
                "mean_rank": float(np.mean(result.ranks)),
            }
            for result in results
        ]
    )


def right_caption_share(
    images: Float[Array, "n e"], texts: Float[Array, "n e"], among: int
) -> float:
    """Share of images whose own caption scores highest among `among` captions.

    Row i of each matrix belongs to row i of the other; both normalised. Consecutive rows make
    groups of `among`, and rows that do not fill a group are left out. A caption that ties with the
    right one counts against it.

    Raises:
        ValueError: there are fewer rows than a group needs.
    """
    groups = len(images) // among
    if groups == 0:
        raise ValueError(f"{len(images)} pairs make no group of {among}")
    kept = groups * among
    a, b = (x[:kept].reshape(groups, among, -1) for x in (images, texts))
    scores = np.asarray(jnp.einsum("gie,gje->gij", a, b, precision="highest"))
    right = np.diagonal(scores, axis1=1, axis2=2)
    return float(np.mean((scores >= right[:, :, None]).sum(axis=2) == 1))
