"""A detector's scores of the captions of annotated boxes: each image and caption encoded once."""

import functools
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow as pa
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from jclip.checkpoints.owl import DetectorCheckpoint
from jclip.data.boxes import BoxTable
from jclip.data.pipeline import Batch
from jclip.images.owl_preprocess import DetectorImages, detector_pixels, tower_boxes
from jclip.models.owl import Predictions, class_logits
from jclip.probes.box_matching import Matching, caption_scores
from jclip.probes.embed import one_behind


def stream_detector_scores(
    images: Iterable[Batch],
    table: BoxTable,
    checkpoint: DetectorCheckpoint,
    texts: Float[Array, "m e"],
    matchings: Sequence[Matching],
    images_per_step: int,
) -> Iterator[tuple[Batch, Mapping[Matching, Float[np.ndarray, "b k"]]]]:
    """Scores in 0 .. 1 of the captions of each image's boxes, of all sets at once.

    Args:
        images: one image of `table.images` per batch.
        table: the boxes.
        checkpoint: the detector.
        texts: embeddings of `table.texts`.
        matchings: which prediction speaks for a box; all for the price of one.
        images_per_step: how many images go through the tower at once.

    Yields:
        A batch of several images with, per matching, the scores of `table.rows_of_images(indices)`,
        captions as in `caption_rows`, NaN where there is none; one batch behind the device.
    """
    graph, state = nnx.split(checkpoint.detector)

    def score(batch: Batch) -> dict[Matching, Float[Array, "n b k"]]:
        predictions = _predict(graph, state, batch.pixels)
        posed = _pose(table, batch.indices, checkpoint, images_per_step)
        return _score(predictions, texts, *posed, tuple(matchings))

    steps = _steps(images, checkpoint.image_config, images_per_step)
    for batch, found in one_behind(steps, score):
        boxes = [int((table.image_rows == row).sum()) for row in batch.indices]
        # Some images have fewer boxes than the step was filled up to.
        real = np.arange(max(boxes)) < np.array(boxes)[:, None]
        yield batch, {rule: scores[:, : max(boxes)][real] for rule, scores in found.items()}


def _steps(
    images: Iterable[Batch], prepared: DetectorImages, images_per_step: int
) -> Iterator[Batch]:
    """Images as the tower sees them, several at a time."""
    for some in itertools.batched(images, images_per_step):
        rows = tuple(row for batch in some for row in batch.indices)
        pixels = [detector_pixels(batch.pixels[0], prepared) for batch in some]
        # The last step is filled up, lest the tower be compiled anew.
        pixels += pixels[-1:] * (images_per_step - len(pixels))
        yield Batch(rows, np.stack(pixels), ())


def _pose(table: BoxTable, rows: Sequence[int], checkpoint: DetectorCheckpoint, images: int):
    """What is asked of some images, filled up to few sizes with -1 and with empty boxes.

    Rows of texts `[N, Q]`, boxes `[N, B, 4]`, and captions `[N, B, K]` as columns of the first.
    """
    own = [np.flatnonzero(table.image_rows == row) for row in rows]
    captions = [table.caption_rows[boxes] for boxes in own]
    distinct = [np.unique(some[some >= 0]) for some in captions]
    asked = np.full((images, _rounded_up(map(len, distinct))), -1, np.int32)
    most = _rounded_up(map(len, own))
    annotated = np.zeros((images, most, 4), np.float32)
    columns = np.full((images, most, table.caption_rows.shape[1]), -1, np.int32)
    for i, (row, boxes) in enumerate(zip(rows, own, strict=True)):
        image = table.images[row]
        asked[i, : len(distinct[i])] = distinct[i]
        annotated[i, : len(boxes)] = tower_boxes(
            table.boxes[boxes], image.height, image.width, checkpoint.image_config
        )
        found = np.searchsorted(distinct[i], captions[i])
        columns[i, : len(boxes)] = np.where(captions[i] >= 0, found, -1)
    return asked, annotated, columns


def _rounded_up(counts: Iterable[int]) -> int:
    """The next power of two to the largest count, at least 8."""
    return max(8, 1 << (max(counts) - 1).bit_length())


@functools.partial(jax.jit, static_argnames="graph")
def _predict(graph: nnx.GraphDef, state: nnx.State, pixels: Float[Array, "n h w 3"]) -> Predictions:
    return nnx.merge(graph, state).predict(pixels)


@functools.partial(jax.jit, static_argnames="matchings")
def _score(
    predictions: Predictions,
    texts: Float[Array, "m e"],
    asked: Int[Array, "n q"],
    annotated: Float[Array, "n b 4"],
    columns: Int[Array, "n b k"],
    matchings: tuple[Matching, ...],
) -> dict[Matching, Float[Array, "n b k"]]:
    logits = class_logits(predictions, texts[asked], asked >= 0)
    scores = jax.nn.sigmoid(logits)
    centre, half = predictions.boxes[..., :2], predictions.boxes[..., 2:] / 2
    corners = jnp.concatenate([centre - half, centre + half], axis=-1)
    found = {}
    for matching in matchings:
        of_image = jax.vmap(functools.partial(caption_scores, matching=matching))
        found[matching] = of_image(corners, scores, annotated, columns)
    return found


def score_table(
    table: BoxTable,
    scores: Mapping[Matching, Float[np.ndarray, "n k"]],
    kept: Bool[np.ndarray, " n"],
) -> pa.Table:
    """The scores of some boxes: box, set, annotation, caption (0 is right), one per matching."""
    boxes, captions = np.nonzero((table.caption_rows >= 0) & kept[:, None])
    return pa.table(
        {
            "box": boxes,
            "set": pa.array(table.sets[boxes].tolist(), pa.string()),
            "annotation": table.annotations[boxes],
            "caption": captions,
            **{matching: found[boxes, captions] for matching, found in scores.items()},
        }
    )


def fill_scores(
    scores: Mapping[Matching, Float[np.ndarray, "n k"]], tables: Iterable[pa.Table]
) -> None:
    """Write what earlier runs left as `score_table` into `scores`."""
    for rows in tables:
        boxes, captions = rows["box"].to_numpy(), rows["caption"].to_numpy()
        for matching, found in scores.items():
            found[boxes, captions] = rows[matching].to_numpy()
