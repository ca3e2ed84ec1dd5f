"""Embeddings that an extraction keeps on the way, and finds again when it goes on."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Float32

from jclip.data.feature_sources import FeatureSource
from jclip.data.features import FEATURES_FILE, read_features
from jclip.runs.record import read_parts


def embedding_part(
    kind: str, embedded: Float32[np.ndarray, "n d"], rows: Sequence[int]
) -> pa.Table:
    """Some rows as a table: `kind` (image or caption), `row`, `embedding`."""
    flat = pa.array(embedded[list(rows)].ravel())
    values = pa.FixedSizeListArray.from_arrays(flat, embedded.shape[1])
    return pa.table({"kind": [kind] * len(rows), "row": list(rows), "embedding": values})


def earlier_embeddings(
    folder: Path, source: FeatureSource, width: int
) -> tuple[Float32[np.ndarray, "i d"], Float32[np.ndarray, "t d"]]:
    """Of a source's images and texts, what earlier runs into a folder embedded; NaN elsewhere.

    Raises:
        InputError: what they wrote is damaged.
    """
    images = np.full((len(source.images), width), np.nan, np.float32)
    texts = np.full((len(source.texts), width), np.nan, np.float32)
    if (folder / FEATURES_FILE).exists():
        features = read_features(folder)
        rows = {image.name: row for row, image in enumerate(source.images)}
        images[[rows[name] for name in features.image_names]] = features.images
        rows = {text: row for row, text in enumerate(source.texts)}
        texts[[rows[text] for text in features.texts]] = features.captions
    add_parts(read_parts(folder, "embeddings"), images, texts)
    return images, texts


def add_parts(
    parts: Iterable[pa.Table],
    images: Float32[np.ndarray, "i d"],
    texts: Float32[np.ndarray, "t d"],
) -> None:
    """Write the rows that some parts hold into the embeddings, in place."""
    for part in parts:
        target = images if part["kind"][0].as_py() == "image" else texts
        values = part["embedding"].combine_chunks().flatten().to_numpy()
        target[part["row"].to_numpy()] = values.reshape(-1, target.shape[1])
