"""Does CLIP, or a head on top of it, tell the right caption of a box from hard negatives?

    python -m experiments.fine_grained_eval --features runs/boxes-B-16,runs/boxes-L-14

Paper 2's ranks. Takes the folders that extract_features wrote, and optionally a head that then
stands beside every model. Writes table.csv (the paper's), ranks_by_negatives.csv, comparisons.csv,
ranks.parquet, figures/ and report.html, in seconds.
"""

import dataclasses
import itertools
import json
from collections.abc import Sequence
from pathlib import Path

from jclip.runs.publish import publish

from jclip.data.features import FEATURES_FILE, Features, read_features
from jclip.errors import InputError
from jclip.files.digests import sha256
from jclip.files.tables import write_csv, write_table
from jclip.heads import load_head, require_base
from jclip.probes.fine_grained import PAPER_SETS, RankedSet, rank_sets
from jclip.probes.fine_grained_table import (
    compare_models,
    comparison_table,
    mean_over_sets,
    paper_table,
    rank_table,
    summarise_sets,
    summary_table,
)
from jclip.report.fine_grained_page import fine_grained_page
from jclip.report.provenance import FaultChoice, activation_choice
from jclip.runs.command import run_command
from jclip.runs.options import Flag, Names
from jclip.runs.record import default_folder, open_run


@dataclasses.dataclass(frozen=True)
class Options:
    """What is ranked."""

    features: Names
    """Folders of extract_features, of the same annotation files."""
    head: Path | None = None
    """A re-projection head, .safetensors; its results stand beside the model's own."""
    allow_pickle: Flag = False
    """Read a .pt head too, through torch with weights_only."""
    out: Path | None = None
    """Folder of results; default runs/fine_grained_eval-HASH."""
    seed: int = 0
    """Of the bootstrap."""


def main(options: Options) -> int:
    """Read, rank, test and write; returns the exit status."""
    read = {folder: read_features(Path(folder)) for folder in options.features}
    _check(read)
    labels = feature_labels(list(read.values()))
    head = None
    if options.head is not None:
        head = load_head(options.head, allow_pickle=options.allow_pickle)
        for features in read.values():
            require_base(options.head, features)
    identity = {
        "features": {
            label: sha256(Path(folder) / FEATURES_FILE)
            for label, folder in zip(labels, read, strict=True)
        },
        "head": options.head and sha256(options.head),
        "seed": options.seed,
    }
    results: list[RankedSet] = []
    for label, features in zip(labels, read.values(), strict=True):
        results += rank_sets(features, label)
        if head is not None and options.head is not None:
            results += rank_sets(features, f"{label} + {options.head.stem}", head.scores)
    folder = options.out or default_folder("fine_grained_eval", identity)
    open_run(folder, "fine_grained_eval", identity)
    return _write(options, folder, list(read.values()), results)


def _check(read: dict[str, Features]) -> None:
    """Refuse what cannot stand in one table."""
    for folder, features in read.items():
        if features.kind != "fg_ovd":
            raise InputError(f"{folder}: holds whole images; boxes with negatives are needed")
    for (a, first), (b, second) in itertools.pairwise(read.items()):
        data = [{name: one.origin.data[name] for name in one.sets} for one in (first, second)]
        if data[0] != data[1]:
            raise InputError(f"--features: {a} and {b} are of different annotation files")


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


def _write(
    options: Options, folder: Path, features: Sequence[Features], results: Sequence[RankedSet]
) -> int:
    """Tables, tests, report."""
    summaries = summarise_sets(results, options.seed)
    comparisons = compare_models(results)
    write_csv(folder / "table.csv", paper_table(summaries))
    write_csv(folder / "ranks_by_negatives.csv", summary_table(summaries))
    write_csv(folder / "comparisons.csv", comparison_table(comparisons))
    write_table(folder, "ranks", rank_table(results))
    faults, notices = _faults(features), _notices(results)
    page = fine_grained_page(
        summaries,
        comparisons,
        settings=json.loads((folder / "run.json").read_text()),
        faults=faults,
        notices=notices,
    )
    means = mean_over_sets(summaries)
    lines = [
        f"{model}: mean rank {own['reference']:.2f} (chance {own['chance']:.2f}); "
        + ", ".join(
            f"{s.ranked.name} {s.reference.mean[s.at]:.2f}"
            for s in summaries
            if s.ranked.model == model
        )
        for model, own in means.items()
    ]
    return publish(folder, page, lines=lines, notices=notices, faults=faults)


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
    fits = list(dict.fromkeys(one.origin.fit for one in features))
    models = [one.origin.model for one in features]
    overridden = [m["activation"] for m in models if m["activation"] != m["own_activation"]]
    return [
        FaultChoice(
            "the centre crop keeps less than half of every fourth box",
            "reference" if "crop" in fits else "corrected",
            f"fits: {', '.join(fits)}",
        ),
        activation_choice(bool(overridden), overridden[0] if overridden else None),
        FaultChoice(
            "ties count against the right caption",
            "reference",
            "in figures and tests; tables have both ways",
        ),
        FaultChoice(
            "boxes with too few negatives vanish silently", "corrected", "counts in every table"
        ),
        FaultChoice("the median takes the next index", "corrected", "the paper's beside it"),
        FaultChoice("chance drawn at n / 2", "corrected", "(n + 1) / 2 of n captions"),
    ]


if __name__ == "__main__":
    run_command(Options, main, __doc__)
