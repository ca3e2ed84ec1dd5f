"""Does an image find its captions, and a caption its image, by CLIP or by a head on top of it?

    python -m experiments.retrieval_eval --features runs/coco-B-16 --split test

Retrieval as in paper 2. Takes a folder that `extract_features --coco` wrote, and optionally a head,
whose results then stand beside the model's own. Writes retrieval.csv, figures/ and report.html.
"""

import dataclasses
from pathlib import Path
from typing import Annotated

import numpy as np

from jclip.data.features import Features, features_digest, read_features
from jclip.errors import InputError
from jclip.files.digests import sha256
from jclip.heads import load_head, require_base
from jclip.probes.retrieval import (
    Normalisation,
    RankedQueries,
    cosine_retrieval,
    first_twice,
    rank_captions,
    rank_images,
    retrieval_table,
    settle_ties,
)
from jclip.report import faults
from jclip.report.faults import Choice, FaultChoice, activation_choice
from jclip.report.retrieval_page import retrieval_page
from jclip.runs.command import run_command
from jclip.runs.options import Flag, OutFolder
from jclip.runs.record import Silent
from jclip.runs.run import open_run


@dataclasses.dataclass(frozen=True)
class Options:
    """What is retrieved, and how."""

    features: Annotated[Path, Silent]
    """Folder of extract_features, of whole images."""
    split: str = "test"
    """Which images, by Karpathy's names; all takes every split."""
    head: Annotated[Path | None, Silent] = None
    """A re-projection head, .safetensors; its results stand beside the model's own."""
    allow_pickle: Annotated[Flag, Silent] = False
    """Read a .pt head too, through torch with weights_only."""
    normalisation: Normalisation = "corrected"
    """Of the model's own embeddings: corrected is the cosine; reference divides every feature by
    its norm over samples, as the paper's code does."""
    first_image: Choice = "corrected"
    """Whether the first image and its captions count once, or twice as in the paper's code
    (reference)."""
    out: OutFolder = None


def main(options: Options) -> int:
    """Read, rank and write; returns the exit status."""
    features = read_features(options.features)
    pairs, twice = _select(features, options.split), options.first_image == "reference"
    copies = int(np.sum(pairs[2] == 0)) if twice else 0
    pairs = first_twice(*pairs) if twice else pairs
    model, head = str(features.origin.model["name"]), None
    if options.head is not None:
        head = load_head(options.head, allow_pickle=options.allow_pickle)
        require_base(options.head, features.base)
    facts = {
        "features": features_digest(options.features),
        "head": options.head and sha256(options.head),
    }
    with open_run("retrieval_eval", options, out=options.out, **facts) as run:
        ranks = cosine_retrieval(*pairs, options.normalisation)
        results = _both(model, pairs, copies, *ranks)
        if head is not None and options.head is not None:
            ranks = (rank(*pairs, head.similarity) for rank in (rank_captions, rank_images))
            results += _both(f"{model} + {options.head.stem}", pairs, copies, *ranks)
        run.write("retrieval", table := retrieval_table(results))
        lines = [
            "{model}, {direction}: R@1 {recall_at_1:.1f} %, R@5 {recall_at_5:.1f} %, "
            "R@10 {recall_at_10:.1f} % of {queries} queries".format(**row)
            for row in table.to_pylist()
        ]
        return run.publish(retrieval_page(results), lines, _faults(options, features))


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
    return features.images[kept], features.captions[own], rows[features.caption_images[own]]


def _both(
    model: str, pairs, copies: int, captions: np.ndarray, images: np.ndarray
) -> list[RankedQueries]:
    """Ranks in both directions; with copies of the first image's captions, of a doubled set."""
    if copies:
        captions, images = settle_ties(captions, 1), settle_ties(images, copies)
    return [
        RankedQueries(model, "image to text", len(pairs[1]), captions),
        RankedQueries(model, "text to image", len(pairs[0]), images),
    ]


def _faults(options: Options, features: Features) -> list[FaultChoice]:
    """Which faults of the paper's code this run repeats: all that it has a choice in."""
    model, repeated = features.origin.model, options.normalisation == "reference"
    twice = options.first_image == "reference"
    overridden = model["activation"] != model["own_activation"]
    meaning = "each feature divided by its norm over samples; a head is not concerned"
    return [
        faults.RETRIEVAL_AXIS.choose(repeated, meaning if repeated else "cosine over features"),
        faults.FIRST_IMAGE_TWICE.choose(twice, "it does" if twice else "each counts once"),
        activation_choice(overridden, model["activation"] if overridden else None),
        faults.WHOLE_MATRIX.choose(False, "scores in blocks"),
    ]


if __name__ == "__main__":
    run_command(Options, main, __doc__)
