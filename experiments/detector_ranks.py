"""Does an open-vocabulary detector rank the right caption of a box better than CLIP does?

    python -m experiments.detector_ranks --model google/owlv2-base-patch16 --images DIR
        --annotations A.json,B.json --clip-features runs/extract_features-HASH

Paper 2's comparison of CLIP with OWL-ViT and OWLv2, on the same captions: once on all boxes, with
captions over 16 tokens cut, and once on the boxes whose captions all fit. CLIP's ranks come from
experiments.extract_features on the same files. Each image is encoded once for all of its boxes and
sets, each caption once. Writes scores.parquet, ranks.parquet, table.csv, table_short.csv and
report.html. On two CPU cores OWL-ViT B/32 takes about 3 seconds per image, OWLv2 B/16 about 30.
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, cast, get_args

import jax
import numpy as np
import tyro
from jclip.probes.embeddings import embed_texts
from jclip.runs.publish import publish

from jclip.checkpoints.owl import (
    DetectorCheckpoint,
    DetectorDescription,
    describe_detector,
    load_detector,
)
from jclip.data.box_table import BoxTable, box_table, inspect_box_images
from jclip.data.features import Features, read_features
from jclip.data.fg_ovd import FineGrainedSet, read_fg_ovd
from jclip.data.images import DEFAULT_PIXEL_LIMIT, ImageFile
from jclip.data.pipeline import Batch, BatchPlan, stream_batches
from jclip.demo import write_fine_grained_sets
from jclip.errors import InputError, RunStopped
from jclip.files.tables import write_csv, write_table
from jclip.probes.detection import Rule
from jclip.probes.detector_ranks import (
    Truncation,
    clip_ranks,
    detector_ranks,
    rank_scopes,
    truncations,
)
from jclip.probes.detector_scores import fill_scores, score_table, stream_detector_scores
from jclip.probes.fine_grained import RankedSet
from jclip.probes.fine_grained_table import mean_over_sets, paper_table, rank_table
from jclip.report.detector_page import detector_page
from jclip.report.provenance import FaultChoice
from jclip.runs.command import run_command
from jclip.runs.options import Flag, ModelOptions, Names, comma_separated
from jclip.runs.parts import keep_parts
from jclip.runs.record import confirm, default_folder, open_run, read_parts

DEMO = "demo"


def _rule(text: str) -> Rule:
    if text not in get_args(Rule):
        raise ValueError(f"{text!r} is not one of {', '.join(get_args(Rule))}")
    return cast(Rule, text)


@dataclasses.dataclass(frozen=True)
class Options:
    """Which detector reads which boxes."""

    model: str
    """OWL-ViT or OWLv2: a folder in transformers' layout or a hub id."""
    annotations: Names = (DEMO,)
    """Files of FG-OVD's format, or demo: the demo world's eight sets."""
    images: Path | None = None
    """Folder below which the files name their images."""
    rules: Annotated[
        tuple[Rule, ...],
        comma_separated(_rule, "RULE,.."),
        tyro.conf.arg(aliases=["--rule"]),
    ] = ("corrected", "reference")
    """Which prediction speaks for a box: corrected (the one that overlaps it most), reference (the
    paper's, by non-maximum suppression)."""
    clip_features: Path | None = None
    """Folder of experiments.extract_features with CLIP's embeddings of the same boxes."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of matrix products; auto is float32 on CPUs and bfloat16 elsewhere."""
    allow_pickle: Flag = False
    """Read .bin weights too, through torch with weights_only."""
    demo_scenes: int = 600
    """Scenes of the demo world; one in about as many boxes."""
    demo_split: Literal["train", "validation", "test"] = "test"
    """Of the demo world."""
    seed: int = 0
    """Of the demo world."""
    pixel_limit: int = DEFAULT_PIXEL_LIMIT
    """Largest image in pixels, checked from the header."""
    out: Path | None = None
    """Folder of results; default runs/detector_ranks-HASH. The same run into it resumes."""
    batch_size: int | None = None
    """Images per step of the network; default 1 on CPUs and 8 elsewhere."""

    @property
    def demo(self) -> bool:
        """Whether the demo world is read."""
        return DEMO in self.annotations

    def images_per_step(self) -> int:
        """The batch size that holds on this machine."""
        return self.batch_size or (1 if jax.default_backend() == "cpu" else 8)


@dataclasses.dataclass(frozen=True)
class Source:
    """Annotated boxes, and the files of `table.images`."""

    sets: Sequence[FineGrainedSet]
    table: BoxTable
    files: Sequence[ImageFile]


def main(options: Options) -> int:
    """Check everything, then score what earlier runs have not; returns the exit status."""
    _check(options)
    model = describe_detector(options.model, allow_pickle=options.allow_pickle)
    _ = model.tokenizer
    features = None if options.clip_features is None else read_features(options.clip_features)
    source = None if options.demo else _open(options, [Path(f) for f in options.annotations])
    clip = _clip(features, source)
    identity = _identity(options, model, source, features)
    folder = options.out or default_folder("detector_ranks", identity)
    open_run(folder, "detector_ranks", identity)
    if source is None:
        source = _open(options, sorted(_demo_files(options, folder).glob("*.json")))
        clip = _clip(features, source)
    print(f"loading {model.identity.name} ...", flush=True)
    dtype = ModelOptions(precision=options.precision).dtype()
    checkpoint = load_detector(model, dtype=dtype)
    confirm(folder, f"weights of {model.identity.name}", checkpoint.identity.sha256)
    scores = _score(options, folder, source, checkpoint)
    try:
        return _write(options, folder, source, checkpoint, scores, clip)
    except OSError as error:
        raise RunStopped(f"{error}; the scores are kept in {folder}") from error


def _check(options: Options) -> None:
    """Refuse what cannot be read off one file."""
    if options.demo and (len(options.annotations) > 1 or options.images):
        raise InputError("demo: makes its own files; takes no others and no --images")
    if not options.demo and options.images is None:
        raise InputError("--images: name the folder that the images lie in")
    if len(set(options.rules)) < len(options.rules):
        raise InputError("--rules: a rule is given twice")


def _open(options: Options, files: Sequence[Path]) -> Source:
    """Read and check the annotation files and every image's header."""
    sets = [read_fg_ovd(file) for file in files]
    table, folder = box_table(sets), options.images or files[0].parent
    return Source(sets, table, inspect_box_images(table, folder, options.pixel_limit))


def _clip(features: Features | None, source: Source | None) -> list[RankedSet]:
    return [] if features is None or source is None else clip_ranks(features, source.sets)


def _demo_files(options: Options, folder: Path) -> Path:
    """The demo world's files in the run's folder, written at the first run into it."""
    made = folder / DEMO
    if not made.exists():
        print(f"rendering {options.demo_scenes} scenes ...", flush=True)
        partial = folder / f"{DEMO}.{os.getpid()}.partial"
        write_fine_grained_sets(
            partial, options.seed, options.demo_scenes, split=options.demo_split
        )
        partial.rename(made)
    return made


def _identity(
    options: Options,
    model: DetectorDescription,
    source: Source | None,
    features: Features | None,
) -> dict[str, object]:
    """What makes two runs the same: everything that changes a number."""
    data = {name: getattr(options, name) for name in ("demo_scenes", "demo_split", "seed")}
    if source is not None:
        digests = "".join(file.digest for file in source.files).encode()
        data = {one.name: one.sha256 for one in source.sets}
        data["images"] = hashlib.sha256(digests).hexdigest()
    return {
        "model": model.identity.name,
        "source": model.identity.source,
        "precision": ModelOptions(precision=options.precision).dtype().name,
        "rules": options.rules,
        "data": data,
        "clip": None if features is None else dataclasses.asdict(features.origin),
    }


def _score(
    options: Options, folder: Path, source: Source, checkpoint: DetectorCheckpoint
) -> Mapping[Rule, np.ndarray]:
    """Scores `[N, K]` of every box's captions per rule, keeping parts on the way."""
    table = source.table
    shape = table.caption_rows.shape
    scores: dict[Rule, np.ndarray] = {r: np.full(shape, np.nan, np.float32) for r in options.rules}
    fill_scores(scores, read_parts(folder, "scores"))
    missing = sorted(set(table.image_rows[np.isnan(scores[options.rules[0]][:, 0])].tolist()))
    plans = [BatchPlan((row,), 1) for row in missing]
    batches = stream_batches(source.files, plans, record_failures=False)
    texts = embed_texts(checkpoint.detector.clip, checkpoint.tokenizer(table.texts))

    def store(batch: Batch, own: Mapping[Rule, np.ndarray]) -> None:
        (row,) = batch.indices
        for rule, found in own.items():
            scores[rule][table.image_rows == row] = found

    keep_parts(
        folder,
        stream_detector_scores(
            batches, table, checkpoint, texts, options.rules, options.images_per_step()
        ),
        store,
        lambda rows: score_table(table, scores, np.isin(table.image_rows, rows)),
        total=len(table.images),
        done=len(table.images) - len(missing),
        name="images",
    )
    return scores


def _write(
    options: Options,
    folder: Path,
    source: Source,
    checkpoint: DetectorCheckpoint,
    scores: Mapping[Rule, np.ndarray],
    clip: Sequence[RankedSet],
) -> int:
    """Scores, then tables and report."""
    table, name = source.table, checkpoint.identity.name
    write_table(folder, "scores", score_table(table, scores, np.ones(len(table.sets), bool)))
    truncated = truncations(table, checkpoint.tokenizer(table.texts))
    context = checkpoint.tokenizer.context_length
    every = [*detector_ranks(table, scores, name), *clip]
    write_table(folder, "ranks", rank_table(every))
    scopes = rank_scopes(every, truncated, context)
    for scope, file in zip(scopes, ("table.csv", "table_short.csv"), strict=False):
        write_csv(folder / file, paper_table(scope.summaries))
    faults = list(_faults(options, clip))
    notices = [*checkpoint.identity.notices, *_notices(scores, truncated, context)]
    page = detector_page(
        scopes,
        truncated,
        context=context,
        settings=json.loads((folder / "run.json").read_text()),
        faults=faults,
        notices=notices,
    )
    lines = [
        f"{model}: mean rank {own['reference']:.2f} (chance {own['chance']:.2f}), {scope.name}"
        for scope in scopes
        for model, own in mean_over_sets(scope.summaries).items()
    ]
    return publish(folder, page, lines=lines, notices=notices, faults=faults)


def _notices(
    scores: Mapping[Rule, np.ndarray], truncated: Sequence[Truncation], context: int
) -> Iterator[str]:
    boxes, cut = (sum(getattr(one, what) for one in truncated) for what in ("boxes", "cut"))
    if cut:
        yield (
            f"{cut} of {boxes} boxes have a caption of more than {context} tokens, of which the "
            "detector reads only the beginning."
        )
    if "reference" in scores:
        silent = int((scores["reference"][:, 0] == 0).sum())
        yield (
            f"Under the rule reference no prediction speaks for {silent} of {boxes} boxes: their "
            "right captions rank last."
        )


def _faults(options: Options, clip: Sequence[RankedSet]) -> Iterator[FaultChoice]:
    yield FaultChoice(
        "a prediction speaks for a box only if non-maximum suppression leaves it, else the right "
        "caption ranks last",
        "reference" if options.rules == ("reference",) else "corrected",
        f"rules: {', '.join(options.rules)}",
    )
    yield FaultChoice(
        "detectors are scored on boxes with short captions, CLIP on all",
        "corrected",
        "both on all boxes and both on the common ones"
        if clip
        else "all boxes, and the short ones",
    )


if __name__ == "__main__":
    run_command(Options, main, __doc__)
