"""Features of a run: what a checkpoint makes of squares and texts, embedded once and kept."""

from collections.abc import Mapping

import numpy as np

from jclip.checkpoints import Checkpoint
from jclip.data.feature_inputs import FeatureInputs
from jclip.data.features import FEATURES_TENSORS, Origin, read_features, write_features
from jclip.errors import InputError
from jclip.images.fits import fits_of
from jclip.report import faults
from jclip.runs.base import base_of
from jclip.runs.boxes import FeatureOptions
from jclip.runs.command import DONE
from jclip.runs.embedded import EmbeddingsByKind, fill_embeddings, keep_squares, keep_texts
from jclip.runs.models import describe_models
from jclip.runs.options import ModelOptions, OutputOptions
from jclip.runs.record import identity_of
from jclip.runs.run import Run, open_run

_IMAGES, _CAPTIONS = "images", "captions"


def extract_features(
    options: FeatureOptions,
    model: ModelOptions,
    output: OutputOptions,
    *,
    record_failures: bool = False,
) -> int:
    """The run that embeds what is named, in all its steps; returns the exit status.

    Raises:
        InputError: options do not fit together, a file is missing or damaged, an embedding is not
            finite, or no image could be decoded.
        RunStopped: an image or a disk failed; what was computed is kept.
    """
    options.check()
    described = describe_models(model)
    if len(described) > 1:
        raise InputError("--models: features are of one model; run once for each")
    (fit,) = fits_of([options.fit], described[0].image_config)
    inputs = options.open(described[0])
    facts = {**identity_of(model), "fit": fit, "data": inputs and inputs.data}
    with open_run("extract_features", options, models=described, out=output.out, **facts) as run:
        inputs = inputs or options.open(described[0], run.folder)
        assert inputs is not None
        run.confirm("data", inputs.data)
        (checkpoint,) = run.load(model, described)
        embedded = _embed(run, checkpoint, inputs, output.images_per_step(), record_failures)
        if embedded is None:
            return DONE
        origin = origin_of(checkpoint, model, inputs.fit, inputs.box_scale, inputs.data)
        lost = [failure.index for failure in run.failures[_IMAGES]]
        features = inputs.features(embedded[_IMAGES], embedded[_CAPTIONS], lost, origin)
        write_features(run.folder, features)
        counts = ", ".join(f"{count} {name}" for name, count in features.counts.items())
        few = options.captions_per_image
        meaning = f"at most {few} an image" if few else "all of them are embedded"
        choices = [faults.CAPTIONS_CUT.choose(few is not None, meaning)] if options.coco else []
        return run.publish(
            None, [f"{checkpoint.identity.name}: {counts}"], choices, counts=features.counts
        )


def origin_of(
    checkpoint: Checkpoint,
    options: ModelOptions,
    fit: str,
    box_scale: float,
    data: Mapping[str, str],
) -> Origin:
    """What embeddings by a checkpoint depend on; arguments as the fields of `Origin`."""
    base = base_of(checkpoint, fit, options.dtype().name)
    return Origin(**base, box_scale=box_scale, data=data)


def _embed(
    run: Run,
    checkpoint: Checkpoint,
    inputs: FeatureInputs,
    images_per_step: int,
    record_failures: bool,
) -> EmbeddingsByKind | None:
    """Squares and texts by kind, those that earlier runs have not; None but for process 0."""
    embedded = _earlier(run, inputs, checkpoint.clip.config.embedding_width)
    keep_squares(
        run,
        embedded,
        _IMAGES,
        checkpoint,
        inputs.squares,
        images_per_step,
        unit=_IMAGES,
        record_failures=record_failures,
    )
    notices = keep_texts(run, embedded, _CAPTIONS, checkpoint, inputs.texts, unit=_CAPTIONS)
    others = run.joined()
    if others is None:
        return None
    fill_embeddings(embedded, others)
    run.note(*inputs.notices, *notices)
    return embedded


def _earlier(run: Run, inputs: FeatureInputs, width: int) -> EmbeddingsByKind:
    """Of squares and texts what earlier runs into the folder embedded; NaN elsewhere."""
    names = {_IMAGES: [square.name for square in inputs.squares], _CAPTIONS: list(inputs.texts)}
    embedded = {kind: np.full((len(own), width), np.nan, np.float32) for kind, own in names.items()}
    if (run.folder / FEATURES_TENSORS).exists():
        found = read_features(run.folder)
        for kind, own, values in ((_IMAGES, found.image_names, found.images),
                                  (_CAPTIONS, found.texts, found.captions)):  # fmt: skip
            rows = {name: row for row, name in enumerate(names[kind])}
            embedded[kind][[rows[name] for name in own]] = values
    fill_embeddings(embedded, run.earlier("embeddings"))
    return embedded
