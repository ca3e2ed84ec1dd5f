"""Embed boxes and captions once, for the experiments that need nothing but their embeddings.

    python -m experiments.extract_features --model ViT-B-16/openai --annotations A.json,B.json
        --images DIR
    python -m experiments.extract_features --model ViT-B-16/openai --coco dataset_coco.json
        --images DIR --splits test

Paper 2's features. A box that is in several annotation files, and a caption, is embedded once.
Writes features.safetensors, index.parquet, captions.parquet and features.json into --out, with the
embeddings not normalised. The same command goes on where a killed run stopped.
"""

import dataclasses
import os
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import tyro
from jclip.probes.raw_embeddings import stream_image_embeddings, stream_text_embeddings
from jclip.runs.failures import of_all_processes

from jclip.checkpoints import Checkpoint, CheckpointDescription
from jclip.data.coco_captions import read_coco_captions, select_splits
from jclip.data.embedding_parts import add_parts, earlier_embeddings, embedding_part
from jclip.data.feature_sources import (
    FeatureSource,
    boxes_source,
    captions_source,
    make_features,
)
from jclip.data.features import Features, Origin, write_features
from jclip.data.fg_ovd import read_fg_ovd
from jclip.data.images import DEFAULT_PIXEL_LIMIT
from jclip.data.pipeline import Failure, plan_batches, stream_batches
from jclip.demo import write_fine_grained_sets
from jclip.demo.caption_sets import write_caption_set
from jclip.distributed import is_lead, own_share, wait_for_all
from jclip.errors import InputError, RunStopped
from jclip.files.json_files import read_json
from jclip.files.tables import write_csv
from jclip.runs.command import DONE, DONE_WITH_FAILURES, run_command
from jclip.runs.models import describe_models, load_models, models_identity
from jclip.runs.options import ModelOptions, Names, OutputOptions
from jclip.runs.parts import keep_parts
from jclip.runs.processes import ProcessOptions
from jclip.runs.record import confirm, default_folder, finish_run, open_run, other_parts

DEMO = "demo"


@dataclasses.dataclass(frozen=True)
class Options:
    """What is embedded, and how."""

    model: tyro.conf.OmitArgPrefixes[ModelOptions]
    output: tyro.conf.OmitArgPrefixes[OutputOptions]
    processes: tyro.conf.OmitArgPrefixes[ProcessOptions] = dataclasses.field(
        default_factory=ProcessOptions
    )
    annotations: Names = ()
    """Files of FG-OVD's format, or demo: the demo world's eight sets."""
    coco: str | None = None
    """A file of Karpathy's format, or demo: photos of the demo world with five captions each."""
    images: Path | None = None
    """Folder below which the files name their images."""
    splits: Names = ()
    """Of --coco: which splits; all by default."""
    fit: Literal["crop", "squash", "pad"] = "crop"
    """How a box becomes a square: crop (the paper's), squash, pad."""
    box_scale: float = 1.0
    """Factor on the sides of a box before it is cut out; the paper's is 1."""
    demo_scenes: int = 600
    """Scenes of the demo world; one in about as many boxes."""
    demo_split: Literal["train", "validation", "test"] = "test"
    """Of the demo world; the demo model was trained on train."""
    seed: int = 0
    """Of the demo world."""
    pixel_limit: int = DEFAULT_PIXEL_LIMIT
    """Largest image in pixels, checked from the header."""
    on_error: Literal["stop", "record"] = "stop"
    """At an image that cannot be decoded: stop, or go on and list it in failures.csv."""

    @property
    def demo(self) -> bool:
        """Whether the demo world is embedded."""
        return DEMO in (*self.annotations, self.coco)


def main(options: Options) -> int:
    """Check everything, then embed what earlier runs have not; returns the exit status."""
    _check(options)
    models = describe_models(options.model)
    if len(models) > 1:
        raise InputError("--models: features are of one model; run once for each")
    _ = models[0].tokenizer
    source = None if options.demo else _open(options, models[0], options.images)
    identity = _identity(options, models, source)
    folder = options.output.out or default_folder("extract_features", identity)
    open_run(folder, "extract_features", identity)
    if source is None:
        source = _open(options, models[0], _demo_files(options, folder))
    confirm(folder, "data", dict(source.data))
    (checkpoint,) = load_models(folder, options.model, models)
    images, texts = earlier_embeddings(folder, source, checkpoint.clip.config.embedding_width)
    wait_for_all("earlier parts are read")
    failures = _embed_images(options, folder, source, checkpoint, images)
    _embed_texts(folder, source, checkpoint, texts)
    failures = of_all_processes(folder, {"images": failures})["images"]
    if not is_lead():
        return DONE
    add_parts(other_parts(folder), images, texts)
    origin = _origin(options, folder, source, checkpoint)
    lost = [failure.index for failure in failures]
    try:
        features = make_features(source, images, texts, lost, origin)
        return _write(folder, source, features, failures, checkpoint)
    except InputError as error:
        raise RunStopped(str(error)) from error
    except OSError as error:
        raise RunStopped(f"{error}; the embeddings are kept in {folder}") from error


def _check(options: Options) -> None:
    """Refuse what cannot be read off one file."""
    if bool(options.annotations) == bool(options.coco):
        raise InputError("name boxes with --annotations or whole images with --coco, one of both")
    if options.demo and (len(options.annotations) > 1 or options.images or options.splits):
        raise InputError("demo: makes its own files; takes no others, no --images, no --splits")
    if not options.demo and options.images is None:
        raise InputError("--images: name the folder that the images lie in")
    if options.splits and not options.coco:
        raise InputError("--splits: only --coco has splits")


def _open(options: Options, model: CheckpointDescription, folder: Path | None) -> FeatureSource:
    """Read and check the annotation files and every image's header."""
    assert folder is not None
    how = model.image_config, options.fit
    if options.coco:
        file = folder / "captions.json" if options.demo else Path(options.coco)
        captions = select_splits(read_coco_captions(file), options.splits)
        return captions_source(captions, folder, *how, options.pixel_limit)
    files = sorted(folder.glob("*.json")) if options.demo else map(Path, options.annotations)
    sets = [read_fg_ovd(file) for file in files]
    return boxes_source(sets, folder, *how, options.box_scale, options.pixel_limit)


def _demo_files(options: Options, folder: Path) -> Path:
    """The demo world's files in the run's folder, written at the first run into it."""
    made = folder / DEMO
    if not made.exists() and is_lead():
        print(f"rendering {options.demo_scenes} scenes ...", flush=True)
        partial = folder / f"{DEMO}.{os.getpid()}.partial"
        write = write_caption_set if options.coco else write_fine_grained_sets
        write(partial, options.seed, options.demo_scenes, split=options.demo_split)
        partial.rename(made)
    wait_for_all("the demo world is rendered")
    return made


def _identity(
    options: Options, models: list[CheckpointDescription], source: FeatureSource | None
) -> dict[str, object]:
    """What makes two runs the same: everything that changes a number."""
    demo = {name: getattr(options, name) for name in ("demo_scenes", "demo_split", "seed")}
    return {
        **models_identity(options.model, models),
        "kind": "coco" if options.coco else "fg_ovd",
        "data": demo if source is None else dict(source.data),
        "splits": options.splits,
        "fit": options.fit,
        "box_scale": options.box_scale,
    }


def _embed_images(
    options: Options,
    folder: Path,
    source: FeatureSource,
    checkpoint: Checkpoint,
    embedded: np.ndarray,
) -> list[Failure]:
    """Fill in the images' embeddings; returns the images that cannot be decoded."""
    done = np.isfinite(embedded).all(axis=1)
    plans = plan_batches(source.images, options.output.images_per_step())
    plans = own_share([plan for plan in plans if not done[list(plan.indices)].all()])
    batches = stream_batches(source.images, plans, record_failures=options.on_error == "record")
    stream = stream_image_embeddings(batches, checkpoint)
    planned = sum(len(plan.indices) for plan in plans)
    return _keep(folder, "image", stream, embedded, int(done.sum()), planned)


def _embed_texts(
    folder: Path, source: FeatureSource, checkpoint: Checkpoint, embedded: np.ndarray
) -> None:
    """Fill in the captions' embeddings."""
    missing = np.flatnonzero(~np.isfinite(embedded).all(axis=1)).tolist()
    own = own_share(missing)
    stream = stream_text_embeddings(checkpoint, source.texts, own)
    _keep(folder, "caption", stream, embedded, len(embedded) - len(missing), len(own))


def _keep(
    folder: Path, kind: str, stream, embedded: np.ndarray, done: int, planned: int
) -> list[Failure]:
    """Store a stream's embeddings, keeping parts on the way."""

    def store(batch, values):
        embedded[list(batch.indices)] = values

    return keep_parts(
        folder,
        stream,
        store,
        lambda rows: embedding_part(kind, embedded, rows),
        total=done + planned,
        done=done,
        name=f"{kind}s",
    )


def _origin(
    options: Options, folder: Path, source: FeatureSource, checkpoint: Checkpoint
) -> Origin:
    identity, config = checkpoint.identity, dataclasses.asdict(checkpoint.image_config)
    return Origin(
        model={
            "name": identity.name,
            "source": identity.source,
            "activation": identity.activation,
            "own_activation": identity.own_activation,
            "weights": _weights(folder, identity.name),
            "precision": options.model.dtype().name,
        },
        preprocessing={name: config[name] for name in ("size", "mean", "std", "interpolation")},
        fit=options.fit,
        box_scale=options.box_scale,
        data=source.data,
    )


def _weights(folder: Path, name: str) -> dict[str, object]:
    """Digests of the checkpoint's files, and of an adapter's, as the run's record has them."""
    confirmed = read_json(folder / "run.json")["confirmed"]
    weights = dict(confirmed[f"weights of {name}"])
    if (adapter := confirmed.get(f"adapter of {name}")) is not None:
        weights["adapter"] = adapter
    return weights


def _write(
    folder: Path,
    source: FeatureSource,
    features: Features,
    failures: list[Failure],
    checkpoint: Checkpoint,
) -> int:
    """The feature folder, failures, the record closed, and what a person has to be told."""
    write_features(folder, features)
    truncated = int(checkpoint.tokenizer(source.texts).truncated.sum())
    notices = list(checkpoint.identity.notices)
    if truncated:
        length = checkpoint.tokenizer.context_length
        notices.append(f"{truncated} captions are longer than {length} tokens and were truncated.")
    if failures:
        rows = [{"image": source.images[f.index].name, "reason": f.reason} for f in failures]
        write_csv(folder / "failures.csv", pa.Table.from_pylist(rows))
        notices.append(
            f"{len(failures)} could not be decoded and are left out with all that "
            "belongs to them: failures.csv."
        )
    finish_run(folder, notices=notices, failures=len(failures), counts=features.counts)
    counts = ", ".join(f"{count} {name}" for name, count in features.counts.items())
    print(f"{checkpoint.identity.name}: {counts}")
    for notice in notices:
        print(f"note: {notice}")
    print(f"features: {folder}")
    return DONE_WITH_FAILURES if failures else DONE


if __name__ == "__main__":
    run_command(Options, main, __doc__)
