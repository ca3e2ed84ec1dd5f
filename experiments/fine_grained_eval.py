"""Does CLIP, or a head on top of it, tell the right caption of a box from hard negatives?

    python -m experiments.fine_grained_eval --features runs/boxes-B-16,runs/boxes-L-14

Paper 2's ranks. Takes the folders that extract_features wrote, or embeddings of other programs, and
optionally a head that then stands beside every model. Writes table.csv (the paper's),
ranks_by_negatives.csv, comparisons.csv, ranks.parquet, figures/ and report.html, in seconds.
"""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

from jclip.data.feature_plans import supplied_features
from jclip.data.features import Features, features_digest, read_features
from jclip.errors import InputError
from jclip.files.digests import sha256
from jclip.heads import load_head, require_base
from jclip.images.fits import SUPPLIED
from jclip.probes.fine_grained import PAPER_SETS, RankedSet, rank_features
from jclip.probes.fine_grained_table import (
    SetSummary,
    compare_models,
    comparison_table,
    mean_over_sets,
    paper_table,
    rank_table,
    summarise_sets,
    summary_table,
)
from jclip.report import faults
from jclip.report.faults import FaultChoice, activation_choice
from jclip.report.fine_grained_page import fine_grained_page
from jclip.runs.command import run_command
from jclip.runs.options import Embeddings, Flag, OutFolder, Sources
from jclip.runs.probed import note_supplied
from jclip.runs.record import Silent
from jclip.runs.run import open_run


@dataclasses.dataclass(frozen=True)
class Options:
    """What is ranked."""

    features: Annotated[Sources, Silent] = ()
    """Folders of extract_features, of the same annotation files."""
    embeddings: Embeddings = ()
    head: Annotated[Path | None, Silent] = None
    """A re-projection head, .safetensors; its results stand beside the model's own."""
    allow_pickle: Annotated[Flag, Silent] = False
    """Read a .pt head too, through torch with weights_only."""
    out: OutFolder = None
    seed: int = 0
    """Of the bootstrap."""


def main(options: Options) -> int:
    """Read, rank, test and write; returns the exit status."""
    supplied = {folder: supplied_features(Path(folder)) for folder in options.embeddings}
    read = {folder: read_features(Path(folder)) for folder in options.features}
    read |= {folder: one.features for folder, one in supplied.items()}
    _check(read)
    labels = feature_labels(list(read.values()))
    head = None
    if options.head is not None:
        head = load_head(options.head, allow_pickle=options.allow_pickle)
        for features in read.values():
            require_base(options.head, features.base)
    digests = [features_digest(Path(folder)) for folder in options.features]
    digests += [one.digest for one in supplied.values()]
    facts = {
        "features": dict(zip(labels, digests, strict=True)),
        "head": options.head and sha256(options.head),
    }
    with open_run("fine_grained_eval", options, out=options.out, **facts) as run:
        note_supplied(run, [one.model for one in supplied.values()])
        results: list[RankedSet] = []
        for label, (folder, features) in zip(labels, read.items(), strict=True):
            given = supplied[folder].given if folder in supplied else None
            results += rank_features(features, label, given and given.scores)
            if head is not None and options.head is not None:
                results += rank_features(features, f"{label} + {options.head.stem}", head.scores)
        summaries, comparisons = summarise_sets(results, options.seed), compare_models(results)
        run.write("table", paper_table(summaries))
        run.write("ranks_by_negatives", summary_table(summaries))
        run.write("comparisons", comparison_table(comparisons))
        run.write("ranks", rank_table(results))
        run.note(*_notices(results))
        page = fine_grained_page(summaries, comparisons)
        return run.publish(page, _lines(summaries), _faults(list(read.values())))


def _check(read: Mapping[str, Features]) -> None:
    """Refuse what cannot stand in one table."""
    if not read:
        raise InputError("name folders by --features, --embeddings or both")
    data = []
    for folder, features in read.items():
        if features.boxes is None:
            raise InputError(f"{folder}: holds whole images; boxes with negatives are needed")
        data.append((folder, features.boxes.digests))
    for (first, one), (second, other) in itertools.pairwise(data):
        if one != other:
            raise InputError(f"--features: {first} and {second} are of different annotation files")


def feature_labels(features: Sequence[Features]) -> list[str]:
    """A name for each: its model, and its fit and box scale where they are not the paper's.

    Raises:
        InputError: two have one name.
    """
    labels = []
    for one in features:
        origin = one.origin
        parts = [str(origin.model["name"])]
        parts += [origin.fit] * (origin.fit != "crop")
        parts += [f"scale {origin.box_scale:g}"] * (origin.box_scale != 1)
        labels.append(" · ".join(parts))
    if repeated := [label for label in labels if labels.count(label) > 1]:
        raise InputError(f"--features: {repeated[0]} is in two folders")
    return labels


def _lines(summaries: Sequence[SetSummary]) -> list[str]:
    return [
        f"{model}: mean rank {own['reference']:.2f} (chance {own['chance']:.2f}); "
        + ", ".join(
            f"{s.ranked.name} {s.reference.mean[s.at]:.2f}"
            for s in summaries
            if s.ranked.model == model
        )
        for model, own in mean_over_sets(summaries).items()
    ]


def _notices(results: Sequence[RankedSet]) -> list[str]:
    first = [r for r in results if r.model == results[0].model]
    fewer = [
        f"{r.name}: {r.negatives} negatives instead of the paper's {PAPER_SETS[r.set].negatives}, "
        "which no box has."
        for r in first
        if r.set in PAPER_SETS and r.negatives < PAPER_SETS[r.set].negatives
    ]
    missing = [one.name for key, one in PAPER_SETS.items() if key not in {r.set for r in first}]
    if missing:
        fewer.append(f"Not the paper's eight sets: {', '.join(missing)} not there.")
    return fewer


def _faults(features: Sequence[Features]) -> list[FaultChoice]:
    """Which faults of the paper's code this run repeats: all that it has a choice in."""
    # Of supplied embeddings neither is known.
    known = [one.origin for one in features if one.origin.fit != SUPPLIED]
    fits = list(dict.fromkeys(origin.fit for origin in known))
    models = [origin.model for origin in known]
    overridden = [m["activation"] for m in models if m["activation"] != m["own_activation"]]
    own = [
        faults.BOX_CROP.choose("crop" in fits, f"fits: {', '.join(fits)}"),
        activation_choice(bool(overridden), overridden[0] if overridden else None),
    ]
    return [
        *(own if known else ()),
        faults.TIES.choose(True, "in figures and tests; tables have both ways"),
        faults.FEW_NEGATIVES.choose(False, "counts in every table"),
        faults.MEDIAN.choose(False, "the paper's beside it"),
        faults.CHANCE.choose(False, "(n + 1) / 2 of n captions"),
    ]


if __name__ == "__main__":
    run_command(Options, main, __doc__)
