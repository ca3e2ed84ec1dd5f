"""Probe A of paper 1: the score of an image with and without a word that names its format."""

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow as pa
from flax import nnx
from jaxtyping import Array, Float, UInt8

from jclip.checkpoints import ImageConfig
from jclip.data.image_sets import ImageSet
from jclip.data.pipeline import Batch
from jclip.distributed import local_mesh, shard_batch
from jclip.images import Fit, ViewPlan
from jclip.probes.keyword_scores import KeywordScores
from jclip.probes.shift import DevicePlans, embed_shifts
from jclip.probes.subjects import Subject


def empty_keyword_scores(
    model: str,
    fit: Fit,
    opened: ImageSet,
    contents: Sequence[str],
    identifiers: Sequence[str],
    generics: Sequence[str],
    *,
    control: bool,
) -> KeywordScores:
    """A result still to be filled: every score is NaN."""
    images = len(opened.images)
    return KeywordScores(
        image_set=opened.name,
        model=model,
        fit=fit,
        control=control,
        images=tuple(image.name for image in opened.images),
        contents=tuple(contents),
        identifiers=tuple(identifiers),
        generics=tuple(generics),
        identifier_scores=np.full((images, len(identifiers)), np.nan, np.float32),
        generic_scores=np.full((images, len(generics)), np.nan, np.float32),
    )


@functools.partial(jax.jit, static_argnames=("graph", "image_config", "fit"))
def _score_texts(
    graph: nnx.GraphDef,
    state: nnx.State,
    images: UInt8[Array, "n h w 3"],
    plan: ViewPlan,
    texts: Float[Array, "n k e"],
    *,
    image_config: ImageConfig,
    fit: Fit,
) -> Float[Array, "n k"]:
    """Each image, embedded once, against the K texts of its own: 100 x cosine."""
    seen = embed_shifts(graph, state, images, plan, image_config=image_config, fit=fit)[:, 0]
    return 100 * jnp.einsum("ne,nke->nk", seen, texts, precision="highest")


def stream_keyword_scores(
    batches: Iterable[Batch], subjects: Sequence[Subject], words: int
) -> Iterator[tuple[Batch, Float[np.ndarray, "subjects n k"]]]:
    """Score every batch by every subject with every format word.

    Args:
        batches: decoded images, whatever their ratio.
        subjects: models and fits; their `texts` hold `words` rows for each image, in order.
        words: K, how many prompts an image has.

    Yields:
        The batch and its scores, one batch behind the device so that it never waits for the host.
    """
    plans, mesh, waiting = DevicePlans(), local_mesh(), None
    for batch in batches:
        if not batch.indices:
            yield batch, np.zeros((len(subjects), 0, words), np.float32)
            continue
        pixels = shard_batch(mesh, batch.pixels)
        rows = np.resize(batch.indices, len(pixels))[:, None] * words + np.arange(words)
        scores = []
        for subject in subjects:
            _, plan = plans(pixels.shape[1:3], (0,), 1, subject)
            scores.append(
                _score_texts(
                    subject.graph,
                    subject.state,
                    pixels,
                    plan,
                    shard_batch(mesh, subject.texts[rows]),
                    image_config=subject.image_config,
                    fit=subject.fit,
                )
            )
        if waiting is not None:
            yield _collect(*waiting)
        waiting = batch, scores
    if waiting is not None:
        yield _collect(*waiting)


def _collect(batch: Batch, scores: list[Array]):
    return batch, np.stack(jax.device_get(scores))[:, : len(batch.indices)]


def keyword_table(results: Sequence[KeywordScores]) -> pa.Table:
    """One row per set, model, fit, image and format word.

    Columns image_set, control, model, fit, image, content, kind (identifier or generic), words,
    score.
    """
    return pa.concat_tables([_rows(result) for result in results])


def _rows(result: KeywordScores) -> pa.Table:
    words = (*result.identifiers, *result.generics)
    kinds = ["identifier"] * len(result.identifiers) + ["generic"] * len(result.generics)
    n, k = len(result.images), len(words)
    scores = np.concatenate([result.identifier_scores, result.generic_scores], axis=1)

    def repeated(values):
        return pa.array(values, pa.string()).take(pa.array(np.repeat(np.arange(n), k)))

    def tiled(values):
        return pa.array(values, pa.string()).take(pa.array(np.tile(np.arange(k), n)))

    return pa.table(
        {
            "image_set": pa.array(np.full(n * k, result.image_set)),
            "control": pa.array(np.full(n * k, result.control)),
            "model": pa.array(np.full(n * k, result.model)),
            "fit": pa.array(np.full(n * k, result.fit)),
            "image": repeated(result.images),
            "content": repeated(result.contents),
            "kind": tiled(kinds),
            "words": tiled(words),
            "score": scores.ravel().astype(np.float32),
        }
    )


def select_keyword_images(result: KeywordScores, rows: Sequence[int]) -> KeywordScores:
    """The same result for some of its images, by row."""
    index = np.asarray(rows, int)
    return dataclasses.replace(
        result,
        images=tuple(result.images[i] for i in rows),
        contents=tuple(result.contents[i] for i in rows),
        identifier_scores=result.identifier_scores[index],
        generic_scores=result.generic_scores[index],
    )


def fill_from_keyword_table(results: Sequence[KeywordScores], tables: Iterable[pa.Table]) -> None:
    """Write the scores that earlier runs computed into `results`, in place, by name."""
    for table in tables:
        labels = [table[name].to_numpy() for name in ("image_set", "model", "fit")]
        for result in results:
            matches = [column == own for column, own in zip(labels, result.label, strict=True)]
            part = table.filter(pa.array(np.all(matches, axis=0))).to_pydict()
            rows = {name: row for row, name in enumerate(result.images)}
            columns = {
                "identifier": {word: v for v, word in enumerate(result.identifiers)},
                "generic": {word: u for u, word in enumerate(result.generics)},
            }
            targets = {"identifier": result.identifier_scores, "generic": result.generic_scores}
            for image, kind, word, score in zip(
                part["image"], part["kind"], part["words"], part["score"], strict=True
            ):
                targets[kind][rows[image], columns[kind][word]] = score
