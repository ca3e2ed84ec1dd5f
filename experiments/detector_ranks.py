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
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import jax
import numpy as np
import tyro

from jclip.checkpoints.owl import DetectorCheckpoint, describe_detector, load_detector
from jclip.data.boxes import BoxTable, inspect_box_images
from jclip.data.feature_inputs import images_digest
from jclip.data.features import read_features
from jclip.data.images import ImageFile, unlike_a_viewer
from jclip.data.pipeline import Batch, BatchPlan, stream_batches
from jclip.errors import InputError
from jclip.probes.box_matching import Matching
from jclip.probes.detector_ranks import clip_ranks, rank_subsets, require_boxes, truncations
from jclip.probes.detector_scores import fill_scores, score_table, stream_detector_scores
from jclip.probes.embed import embed_texts
from jclip.probes.fine_grained import rank_boxes
from jclip.probes.fine_grained_table import mean_over_sets, paper_table, rank_table
from jclip.report import faults
from jclip.report.detector_page import detector_notices, detector_page
from jclip.runs.boxes import DEMO, BoxOptions
from jclip.runs.command import run_command
from jclip.runs.options import (
    Flag,
    OutFolder,
    Precision,
    comma_separated,
    dtype_of,
    one_of,
)
from jclip.runs.record import Silent
from jclip.runs.run import Run, open_run
from jclip.text.tokenizer import TokenIds


@dataclasses.dataclass(frozen=True)
class Options:
    """Which detector reads which boxes."""

    model: Annotated[str, Silent]
    """OWL-ViT or OWLv2: a folder in transformers' layout or a hub id."""
    boxes: tyro.conf.OmitArgPrefixes[BoxOptions] = dataclasses.field(
        default_factory=lambda: BoxOptions(annotations=(DEMO,))
    )
    rules: Annotated[
        tuple[Matching, ...],
        comma_separated(one_of(Matching), "RULE,.."),
        tyro.conf.arg(aliases=["--rule"]),
    ] = ("corrected", "reference")
    """Which prediction speaks for a box: corrected (the one that overlaps it most), reference (the
    paper's, by non-maximum suppression)."""
    clip_features: Annotated[Path | None, Silent] = None
    """Folder of experiments.extract_features with CLIP's embeddings of the same boxes."""
    precision: Annotated[Precision, Silent] = "auto"
    """Of matrix products; auto is float32 on CPUs and bfloat16 elsewhere."""
    allow_pickle: Annotated[Flag, Silent] = False
    """Read .bin weights too, through torch with weights_only."""
    out: OutFolder = None
    batch_size: Annotated[int | None, Silent] = None
    """Images per step of the network; default 1 on CPUs and 8 elsewhere."""


def main(options: Options) -> int:
    """Check everything, then score what earlier runs have not; returns the exit status."""
    options.boxes.check()
    if len(set(options.rules)) < len(options.rules):
        raise InputError("--rules: a rule is given twice")
    model = describe_detector(options.model, allow_pickle=options.allow_pickle)
    _ = model.tokenizer
    features = options.clip_features and read_features(options.clip_features)
    opened = _open(options.boxes)
    if features and opened:
        require_boxes(features, opened[0])
    facts = {
        "model": model.identity.name,
        "source": model.identity.source,
        "precision": dtype_of(options.precision).name,
        "data": opened and {**opened[0].digests, "images": images_digest(opened[1])},
        "clip": features and dataclasses.asdict(features.origin),
    }
    with open_run("detector_ranks", options, out=options.out, **facts) as run:
        opened = opened or _open(options.boxes, run.folder)
        assert opened is not None
        table, files = opened
        run.confirm("data", {**table.digests, "images": images_digest(files)})
        clip = clip_ranks(features, table) if features else []
        print(f"loading {model.identity.name} ...", flush=True)
        checkpoint = load_detector(model, dtype=dtype_of(options.precision))
        run.confirm(f"weights of {model.identity.name}", checkpoint.identity.sha256)
        run.note(*checkpoint.identity.notices)
        tokens = checkpoint.tokenizer(table.texts)
        scores = _score(run, options, table, list(files.values()), checkpoint, tokens)
        run.write("scores", score_table(table, scores, np.ones(len(table.sets), bool)))
        name, context = checkpoint.identity.name, checkpoint.tokenizer.context_length
        ranked = [rank_boxes(table, found, f"{name}, {rule}") for rule, found in scores.items()]
        ranked = [*itertools.chain(*ranked), *clip]
        run.write("ranks", rank_table(ranked))
        cut = truncations(table, tokens)
        subsets = rank_subsets(ranked, cut, context)
        for subset, file in zip(subsets, ("table", "table_short"), strict=False):
            run.write(file, paper_table(subset.summaries))
        run.note(*detector_notices(scores, cut, context), *unlike_a_viewer(list(files.values())))
        run.note(*checkpoint.tokenizer.notices(table.texts))
        lines = [
            f"{model}: mean rank {own['reference']:.2f} (chance {own['chance']:.2f}), {subset.name}"
            for subset in subsets
            for model, own in mean_over_sets(subset.summaries).items()
        ]
        rules, both = ", ".join(options.rules), "both on all boxes and both on the common ones"
        choices = [
            faults.SUPPRESSED.choose(options.rules == ("reference",), f"rules: {rules}"),
            faults.SHORT_CAPTIONS.choose(False, both if clip else "all boxes, and the short ones"),
        ]
        return run.publish(detector_page(subsets, cut, context=context), lines, choices)


def _open(
    options: BoxOptions, run: Path | None = None
) -> tuple[BoxTable, dict[str, ImageFile]] | None:
    """The boxes and the files of their images, by their headers; None before the demo's are."""
    if (folder := options.folder(run)) is None:
        return None
    table = options.read_boxes(folder)
    return table, inspect_box_images(table, folder, options.pixel_limit)


def _score(
    run: Run,
    options: Options,
    table: BoxTable,
    files: Sequence[ImageFile],
    checkpoint: DetectorCheckpoint,
    tokens: TokenIds,
) -> dict[Matching, np.ndarray]:
    """Scores `[N, K]` of every box's captions per rule, keeping parts on the way."""
    empty = np.full(table.caption_rows.shape, np.nan, np.float32)
    scores: dict[Matching, np.ndarray] = {rule: empty.copy() for rule in options.rules}
    fill_scores(scores, run.earlier("scores"))
    missing = sorted(set(table.image_rows[np.isnan(scores[options.rules[0]][:, 0])].tolist()))
    plans = [BatchPlan((row,), 1) for row in missing]
    stream = stream_detector_scores(
        stream_batches(files, plans, record_failures=False),
        table,
        checkpoint,
        embed_texts(checkpoint.detector.clip, tokens),
        options.rules,
        options.batch_size or (1 if jax.default_backend() == "cpu" else 8),
    )

    def store(batch: Batch, found: Mapping[Matching, np.ndarray]) -> None:
        for rule, values in found.items():
            scores[rule][table.rows_of_images(batch.indices)] = values

    run.keep(
        stream,
        store,
        lambda rows: score_table(table, scores, np.isin(table.image_rows, rows)),
        name="images",
        total=len(table.images),
        done=len(table.images) - len(missing),
    )
    return scores


if __name__ == "__main__":
    run_command(Options, main, __doc__)
