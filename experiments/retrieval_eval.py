"""Does an image find its captions, and a caption its image, by CLIP or by a head on top of it?

    python -m experiments.retrieval_eval --features runs/coco-B-16 --split test

Retrieval as in paper 2. Takes a folder that `extract_features --coco` wrote, and optionally a head,
whose results then stand beside the model's own. Writes retrieval.csv, figures/ and report.html.
"""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
from jclip.runs.publish import publish

from jclip.data.features import FEATURES_FILE, Features, read_features
from jclip.errors import InputError
from jclip.files.digests import sha256
from jclip.files.tables import write_csv
from jclip.heads import load_head, require_base
from jclip.probes.retrieval import (
    Normalisation,
    RankedQueries,
    cosine_retrieval,
    rank_captions,
    rank_images,
)
from jclip.report.provenance import FaultChoice, activation_choice
from jclip.report.retrieval_page import retrieval_page
from jclip.runs.command import run_command
from jclip.runs.options import Flag
from jclip.runs.record import default_folder, open_run


@dataclasses.dataclass(frozen=True)
class Options:
    """What is retrieved, and how."""

    features: Path
    """Folder of extract_features, of whole images."""
    split: str = "test"
    """Which images, by Karpathy's names; all takes every split."""
    head: Path | None = None
    """A re-projection head, .safetensors; its results stand beside the model's own."""
    allow_pickle: Flag = False
    """Read a .pt head too, through torch with weights_only."""
    normalisation: Normalisation = "corrected"
    """Of the model's own embeddings: corrected is the cosine; reference divides every feature by
    its norm over samples, as the paper's code does."""
    out: Path | None = None
    """Folder of results; default runs/retrieval_eval-HASH."""


def main(options: Options) -> int:
    """Read, rank and write; returns the exit status."""
    features = read_features(options.features)
    pairs = _select(features, options.split)
    model = str(features.origin.model["name"])
    results = _both(model, pairs, *cosine_retrieval(*pairs, options.normalisation))
    if options.head is not None:
        head = load_head(options.head, allow_pickle=options.allow_pickle)
        require_base(options.head, features)
        ranks = (rank(*pairs, head.similarity) for rank in (rank_captions, rank_images))
        results += _both(f"{model} + {options.head.stem}", pairs, *ranks)
    identity = {
        "features": sha256(options.features / FEATURES_FILE),
        "split": options.split,
        "head": options.head and sha256(options.head),
        "normalisation": options.normalisation,
    }
    folder = options.out or default_folder("retrieval_eval", identity)
    open_run(folder, "retrieval_eval", identity)
    return _write(options, folder, features, results)


def _select(features: Features, split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images and captions of a split, and the row of each caption's image."""
    if features.kind != "coco":
        raise InputError("--features: holds boxes; whole images with captions are needed")
    kept = np.array([split in ("all", own) for own in features.splits])
    if not kept.any():
        known = ", ".join(sorted(set(features.splits)))
        raise InputError(f"--split {split}: no image of it; there are {known}")
    rows = np.cumsum(kept) - 1
    own = kept[features.caption_images]
    captions = features.captions[own]
    return features.images[kept], captions, rows[features.caption_images[own]]


def _both(model: str, pairs, captions: np.ndarray, images: np.ndarray) -> list[RankedQueries]:
    return [
        RankedQueries(model, "image to text", len(pairs[1]), captions),
        RankedQueries(model, "text to image", len(pairs[0]), images),
    ]


def _write(options: Options, folder: Path, features: Features, results: list[RankedQueries]) -> int:
    """Table and report."""
    rows = []
    for result in results:
        own = result.summary
        recall = {f"recall_at_{k}": value for k, value in own.recall.items()}
        rows.append(
            {
                "model": result.model,
                "direction": result.direction,
                "queries": own.queries,
                "among": result.gallery,
                **recall,
                "median_rank": own.median,
                "mean_rank": own.mean,
            }
        )
    write_csv(folder / "retrieval.csv", pa.Table.from_pylist(rows))
    faults = _faults(options, features)
    page = retrieval_page(
        results,
        settings=json.loads((folder / "run.json").read_text()),
        faults=faults,
        notices=(),
    )
    lines = [
        f"{row['model']}, {row['direction']}: R@1 {row['recall_at_1']:.1f} %, R@5 "
        f"{row['recall_at_5']:.1f} %, R@10 {row['recall_at_10']:.1f} % of {row['queries']} queries"
        for row in rows
    ]
    return publish(folder, page, lines=lines, notices=(), faults=faults)


def _faults(options: Options, features: Features) -> list[FaultChoice]:
    """Which faults of the paper's code this run repeats: all that it has a choice in."""
    model = features.origin.model
    overridden = model["activation"] != model["own_activation"]
    return [
        FaultChoice(
            "CLIP's own retrieval normalised over samples",
            options.normalisation,
            "cosine over features"
            if options.normalisation == "corrected"
            else "each feature divided by its norm over samples; a head is not concerned",
        ),
        activation_choice(overridden, model["activation"] if overridden else None),
        FaultChoice("a full N x N matrix for its diagonal", "corrected", "scores in blocks"),
    ]


if __name__ == "__main__":
    run_command(Options, main, __doc__)
