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
from jclip.data.box_table import BoxTable
from jclip.data.pipeline import Batch
from jclip.images.owl_preprocess import detector_pixels, tower_boxes
from jclip.models.owl import Predictions, class_logits
from jclip.probes.detection import Rule, caption_scores


def stream_detector_scores(
    images: Iterable[Batch],
    table: BoxTable,
    checkpoint: DetectorCheckpoint,
    texts: Float[Array, "m e"],
    rules: Sequence[Rule],
    images_per_step: int,
) -> Iterator[tuple[Batch, Mapping[Rule, Float[np.ndarray, "b k"]]]]:
    """Scores in 0 .. 1 of the captions of each image's boxes, of all sets at once.

    Args:
        images: one image of `table.images` per batch.
        table: the boxes.
        checkpoint: the detector.
        texts: embeddings of `table.texts`.
        rules: which prediction speaks for a box; all for the price of one.
        images_per_step: how many images go through the tower at once.

    Yields:
        Each batch with, per rule, the scores of the image's boxes in the table's order, captions as
        in `caption_rows`, NaN where there is none.
    """
    graph, state = nnx.split(checkpoint.detector)
    for some in itertools.batched(images, images_per_step):
        rows = [row for batch in some for row in batch.indices]
        pixels = [detector_pixels(batch.pixels[0], checkpoint.image_config) for batch in some]
        # The last step is filled up, lest the tower be compiled anew.
        pixels += pixels[-1:] * (images_per_step - len(pixels))
        predictions = _predict(graph, state, np.stack(pixels))
        posed = _pose(table, rows, checkpoint, images_per_step)
        found = jax.device_get(_score(predictions, texts, *posed, tuple(rules)))
        for place, (row, batch) in enumerate(zip(rows, some, strict=True)):
            boxes = np.count_nonzero(table.image_rows == row)
            yield batch, {rule: scores[place, :boxes] for rule, scores in found.items()}


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


@functools.partial(jax.jit, static_argnames="rules")
def _score(
    predictions: Predictions,
    texts: Float[Array, "m e"],
    asked: Int[Array, "n q"],
    annotated: Float[Array, "n b 4"],
    columns: Int[Array, "n b k"],
    rules: tuple[Rule, ...],
) -> dict[Rule, Float[Array, "n b k"]]:
    logits = class_logits(predictions, texts[asked], asked >= 0)
    scores = jax.nn.sigmoid(logits)
    centre, half = predictions.boxes[..., :2], predictions.boxes[..., 2:] / 2
    corners = jnp.concatenate([centre - half, centre + half], axis=-1)
    return {
        rule: jax.vmap(functools.partial(caption_scores, rule=rule))(
            corners, scores, annotated, columns
        )
        for rule in rules
    }


def score_table(
    table: BoxTable,
    scores: Mapping[Rule, Float[np.ndarray, "n k"]],
    kept: Bool[np.ndarray, " n"],
) -> pa.Table:
    """The scores of some boxes as rows: box, set, annotation, caption (0 is right), a rule each."""
    boxes, captions = np.nonzero((table.caption_rows >= 0) & kept[:, None])
    return pa.table(
        {
            "box": boxes,
            "set": pa.array([table.sets[box] for box in boxes]),
            "annotation": table.annotations[boxes],
            "caption": captions,
            **{rule: found[boxes, captions] for rule, found in scores.items()},
        }
    )


def fill_scores(
    scores: Mapping[Rule, Float[np.ndarray, "n k"]], tables: Iterable[pa.Table]
) -> None:
    """Write what earlier runs left as `score_table` into `scores`."""
    for rows in tables:
        boxes, captions = rows["box"].to_numpy(), rows["caption"].to_numpy()
        for rule, found in scores.items():
            found[boxes, captions] = rows[rule].to_numpy()
