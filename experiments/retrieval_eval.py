"""Does an image find its captions, and a caption its image, by CLIP or by a head on top of it?

    python -m experiments.retrieval_eval --features runs/coco-B-16 --split test

Retrieval as in paper 2. Takes a folder that `extract_features --coco` wrote, or embeddings of other
programs, and optionally a head, whose results then stand beside the model's own. Writes
retrieval.csv, figures/ and report.html.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from jclip.data.feature_plans import supplied_features
from jclip.data.features import Features, features_digest, read_features
from jclip.errors import InputError
from jclip.files.digests import sha256
from jclip.heads import load_head, require_base
from jclip.probes.retrieval import (
    Normalisation,
    RankedQueries,
    Similarity,
    cosine_retrieval,
    first_twice,
    rank_captions,
    rank_images,
    retrieval_table,
    settle_ties,
)
from jclip.report import faults
from jclip.report.faults import Choice, FaultChoice
from jclip.report.retrieval_page import retrieval_page
from jclip.runs.command import run_command
from jclip.runs.options import Embeddings, Flag, OutFolder
from jclip.runs.probed import note_supplied
from jclip.runs.record import Silent
from jclip.runs.run import open_run


@dataclasses.dataclass(frozen=True)
class Options:
    """What is retrieved, and how."""

    features: Annotated[Path | None, Silent] = None
    """Folder of extract_features, of whole images."""
    embeddings: Embeddings = ()
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
    supplied = [supplied_features(Path(folder)) for folder in options.embeddings]
    read = [] if options.features is None else [read_features(options.features)]
    if not read and not supplied:
        raise InputError("name a folder by --features, by --embeddings, or both")
    every = [*read, *(one.features for one in supplied)]
    selected = [_select(features, options.split) for features in every]
    head = None
    if options.head is not None:
        head = load_head(options.head, allow_pickle=options.allow_pickle)
        for features in every:
            require_base(options.head, features.base)
    facts: dict[str, Any] = {
        "features": options.features and features_digest(options.features),
        "head": options.head and sha256(options.head),
    }
    if supplied:
        facts["embeddings"] = [one.digest for one in supplied]
    with open_run("retrieval_eval", options, out=options.out, **facts) as run:
        note_supplied(run, [one.model for one in supplied])
        given = [None] * len(read) + [one.given for one in supplied]
        results = []
        for features, pairs, own in zip(every, selected, given, strict=True):
            model = str(features.origin.model["name"])
            results += _both(model, pairs, options, own and own.similarity)
            if head is not None and options.head is not None:
                results += _both(f"{model} + {options.head.stem}", pairs, options, head.similarity)
        run.write("retrieval", table := retrieval_table(results))
        lines = [
            "{model}, {direction}: R@1 {recall_at_1:.1f} %, R@5 {recall_at_5:.1f} %, "
            "R@10 {recall_at_10:.1f} % of {queries} queries".format(**row)
            for row in table.to_pylist()
        ]
        return run.publish(retrieval_page(results), lines, _faults(options, every))


type Pairs = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Images `[N, D]`, captions `[M, D]`, and the row of each caption's image `[M]`."""


def _select(features: Features, split: str) -> Pairs:
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
    model: str, pairs: Pairs, options: Options, similarity: Similarity | None
) -> list[RankedQueries]:
    """Ranks in both directions, of the embeddings themselves where no similarity is given."""
    twice = options.first_image == "reference"
    copies = int(np.sum(pairs[2] == 0))
    if twice:
        pairs = first_twice(*pairs)
    if similarity is None:
        captions, images = cosine_retrieval(*pairs, options.normalisation)
    else:
        captions, images = (rank(*pairs, similarity) for rank in (rank_captions, rank_images))
    if twice:
        captions, images = settle_ties(captions, 1), settle_ties(images, copies)
    return [
        RankedQueries(model, "image to text", len(pairs[1]), captions),
        RankedQueries(model, "text to image", len(pairs[0]), images),
    ]


def _faults(options: Options, features: Sequence[Features]) -> list[FaultChoice]:
    """Which faults of the paper's code this run repeats: all that it has a choice in."""
    repeated, twice = options.normalisation == "reference", options.first_image == "reference"
    meaning = "each feature divided by its norm over samples; a head is not concerned"
    return [
        faults.RETRIEVAL_AXIS.choose(repeated, meaning if repeated else "cosine over features"),
        faults.FIRST_IMAGE_TWICE.choose(twice, "it does" if twice else "each counts once"),
        *faults.activation_choices([one.origin for one in features]),
        faults.WHOLE_MATRIX.choose(False, "scores in blocks"),
    ]


if __name__ == "__main__":
    run_command(Options, main, __doc__)
