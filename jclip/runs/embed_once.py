"""Pictures and texts of a run embedded once by each model, kept part by part and when done."""

import functools
from collections.abc import Sequence

import jax
import numpy as np
import pyarrow as pa
from jaxtyping import Float32

from jclip.checkpoints import Checkpoint
from jclip.data.embedded import EMBEDDED, Embedded, embedded_file, read_embedded, write_embedded
from jclip.data.images import ImageFile
from jclip.data.pipeline import Batch, plan_batches, stream_batches
from jclip.data.supplied import Probed, Supplied
from jclip.errors import InputError
from jclip.images.fits import OWN, FitOption, SeenFit, seen_fits
from jclip.probes.embed import stream_square_embeddings, stream_text_embeddings
from jclip.runs.base import base_of
from jclip.runs.run import Run

_PICTURES, _TEXTS = "pictures", "texts"


def embed_once(
    run: Run,
    checkpoint: Checkpoint,
    squares: Sequence[ImageFile],
    texts: Sequence[str],
    fit: SeenFit,
    images_per_step: int,
    *,
    name: str | None = None,
    precision: str = "float32",
) -> Embedded:
    """Embed distinct squares and texts by a model, resumed and kept part by part.

    Args:
        run: into whose folder parts go, and at the end the file of `write_embedded`.
        checkpoint: the model.
        squares: pictures as the tower takes them.
        texts: distinct.
        fit: how they became squares.
        images_per_step: squares at a time.
        name: of the model, its own by default.
        precision: of its products, for the record.

    Raises:
        RunStopped: a picture or a disk failed; what was computed is kept.
    """
    name = name or checkpoint.identity.name
    if embedded_file(run.folder, name).exists():
        run.computed = True
        return read_embedded(embedded_file(run.folder, name))
    width = checkpoint.clip.config.embedding_width
    counts = {_PICTURES: len(squares), _TEXTS: len(texts)}
    found = {kind: np.full((n, width), np.nan, np.float32) for kind, n in counts.items()}
    for part in run.earlier(EMBEDDED):
        if part["model"][0].as_py() == name:
            _fill(found[part["kind"][0].as_py()], part)
    done = {kind: np.isfinite(own).all(axis=1) for kind, own in found.items()}
    plans = plan_batches(squares, images_per_step, jax.local_device_count())
    plans = [plan for plan in plans if not done[_PICTURES][list(plan.indices)].all()]
    tokens = checkpoint.tokenizer(list(texts))
    left = np.flatnonzero(~done[_TEXTS]).tolist()
    streams = {
        _PICTURES: stream_square_embeddings(
            stream_batches(squares, plans, record_failures=False),
            checkpoint.clip,
            checkpoint.image_config,
        ),
        _TEXTS: stream_text_embeddings(checkpoint.clip, tokens, left),
    }
    planned = {_PICTURES: sum(len(plan.indices) for plan in plans), _TEXTS: len(left)}
    for kind, stream in streams.items():
        kept = int(done[kind].sum())
        run.keep(
            stream,
            functools.partial(_store, found[kind]),
            functools.partial(_part, name, kind, found[kind]),
            name=f"{name}, {kind}",
            total=kept + planned[kind],
            done=kept,
            unit=kind,
        )
    run.note(*(f"{name}: {notice}" for notice in checkpoint.tokenizer.notices(list(texts))))
    if truncated := int(tokens.truncated.sum()):
        length = checkpoint.tokenizer.context_length
        run.note(f"{name}: {truncated} texts are longer than {length} tokens and were truncated.")
    base = base_of(checkpoint, fit, precision)
    embedded = Embedded(name, found[_PICTURES], found[_TEXTS], base)
    write_embedded(run.folder, embedded)
    return embedded


def fit_of_each(models: Sequence[Probed], option: FitOption) -> dict[str, SeenFit]:
    """What a fit means for each model, by its name; that of a supplied one is not known.

    Raises:
        InputError: two models have one name, or a fit is chosen and all are supplied.
    """
    if option != OWN and all(isinstance(model, Supplied) for model in models):
        raise InputError("fit: how images are fitted is the supplied embeddings' own", "fit")
    names = [model.identity.name for model in models]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise InputError(f"model {repeated[0]}: given twice")
    return {model.identity.name: seen_fits([option], model.image_config)[0] for model in models}


def _store(
    found: Float32[np.ndarray, "n d"], batch: Batch, values: Float32[np.ndarray, "b d"]
) -> None:
    found[list(batch.indices)] = values


def _part(
    model: str, kind: str, found: Float32[np.ndarray, "n d"], rows: Sequence[int]
) -> pa.Table:
    """Some rows as a table: `model`, `kind`, `row`, `embedding`."""
    flat = pa.array(found[list(rows)].ravel())
    values = pa.FixedSizeListArray.from_arrays(flat, found.shape[1])
    n = len(rows)
    return pa.table(
        {
            "model": pa.repeat(model, n),
            "kind": pa.repeat(kind, n),
            "row": list(rows),
            "embedding": values,
        }
    )


def _fill(found: Float32[np.ndarray, "n d"], part: pa.Table) -> None:
    values = part["embedding"].combine_chunks().flatten().to_numpy()
    found[part["row"].to_numpy()] = values.reshape(-1, found.shape[1])
