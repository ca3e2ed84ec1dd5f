"""Does CLIP, or a head on top of it, tell the right caption of a box from hard negatives?

    python -m experiments.fine_grained_eval --features runs/boxes-B-16,runs/boxes-L-14
    python -m experiments.fine_grained_eval --regions crop,roi --model ViT-B-16/openai
        --annotations h_attributes_llava.jsonl,1_attributes.json --images COCO

The first way is paper 2's ranks, of folders that extract_features wrote; it takes seconds and
writes table.csv (the paper's), ranks_by_negatives.csv, comparisons.csv and ranks.parquet. The
second embeds the boxes by two protocols, as crops (paper 2) and as regions of the picture's map
(FG-CLIP), and judges both by one measure: results.csv, sizes.csv, comparisons.csv and
boxes.parquet. By default it takes the demo world, in a minute; its model is better by crops. Both
write figures/ and report.html, and put a head beside every model.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from jclip.data.feature_plans import supplied_features
from jclip.data.features import Features, features_digest
from jclip.errors import InputError
from jclip.files.digests import sha256
from jclip.heads import load_head, require_base
from jclip.probes.fine_grained import RankedSet, rank_features, unlike_the_paper
from jclip.probes.fine_grained_table import (
    compare_models,
    comparison_table,
    paper_table,
    rank_lines,
    rank_table,
    summarise_sets,
    summary_table,
)
from jclip.probes.region_ranks import judge
from jclip.probes.region_tables import (
    place_table,
    region_comparison_table,
    result_table,
    size_table,
)
from jclip.report import faults
from jclip.report.faults import FaultChoice
from jclip.report.fine_grained_page import fine_grained_page
from jclip.report.region_faults import REPEATED, region_choices
from jclip.report.region_page import region_finding, region_page, with_published
from jclip.runs.base import model_base
from jclip.runs.box_features import read_box_features
from jclip.runs.boxes import DEMO, BoxOptions
from jclip.runs.command import DONE, run_command
from jclip.runs.models import describe_models
from jclip.runs.options import Embeddings, ModelOptions, OutputOptions, Sources
from jclip.runs.probed import note_supplied
from jclip.runs.record import Silent, identity_of
from jclip.runs.regions import BoxEmbedder, RegionOptions, check_regions, data_digests, open_boxes
from jclip.runs.run import open_run


@dataclasses.dataclass(frozen=True)
class Options:
    """What is ranked: features, or boxes by --regions. --seed is of the bootstrap, too."""

    model: tyro.conf.OmitArgPrefixes[ModelOptions]
    output: tyro.conf.OmitArgPrefixes[OutputOptions]
    regions: tyro.conf.OmitArgPrefixes[RegionOptions]
    boxes: tyro.conf.OmitArgPrefixes[BoxOptions] = dataclasses.field(
        default_factory=lambda: BoxOptions(annotations=(DEMO,))
    )
    features: Annotated[Sources, Silent] = ()
    """Folders of extract_features, of the same annotation files."""
    embeddings: Embeddings = ()
    head: Annotated[Path | None, Silent] = None
    """A re-projection head, .safetensors; its results stand beside the model's own."""

    def identity(self) -> dict[str, Any]:
        """What makes two runs the same; what features are of is a fact of the run."""
        seed = {"seed": self.boxes.seed}
        if self.features or self.embeddings:
            return seed | {"repeated_positives": self.regions.repeated_positives}
        return seed | identity_of(self.model) | identity_of(self.regions) | self.boxes.identity()


def main(options: Options) -> int:
    """Rank what is named, test and write; returns the exit status."""
    embedded = bool(options.features or options.embeddings)
    if embedded == bool(options.regions.regions):
        raise InputError(
            "name what is embedded by --features or --embeddings, or how to embed "
            "by --regions, one of both"
        )
    return _judge_features(options) if embedded else _judge_boxes(options)


def _judge_features(options: Options) -> int:
    stays = options.regions.repeats["repeated_positives"]
    supplied = {
        folder: supplied_features(Path(folder), repeated=stays) for folder in options.embeddings
    }
    also = {folder: one.features for folder, one in supplied.items()}
    read = read_box_features(options.features, also, repeated=stays)
    seed = options.boxes.seed
    head = None
    if options.head is not None:
        head = load_head(options.head, allow_pickle=options.model.allow_pickle)
        for features in read.values():
            require_base(options.head, features.base)
    digests = [features_digest(Path(folder)) for folder in options.features]
    digests += [one.digest for one in supplied.values()]
    facts = {
        "features": dict(zip(read, digests, strict=True)),
        "head": options.head and sha256(options.head),
    }
    with open_run("fine_grained_eval", options, out=options.output.out, **facts) as run:
        note_supplied(run, [one.model for one in supplied.values()])
        given = [None] * len(options.features) + [one.given for one in supplied.values()]
        results: list[RankedSet] = []
        for (label, features), own in zip(read.items(), given, strict=True):
            results += rank_features(features, label, own and own.scores)
            if head is not None and options.head is not None:
                results += rank_features(features, f"{label} + {options.head.stem}", head.scores)
        summaries, comparisons = summarise_sets(results, seed), compare_models(results)
        run.write("table", paper_table(summaries))
        run.write("ranks_by_negatives", summary_table(summaries))
        run.write("comparisons", comparison_table(comparisons))
        run.write("ranks", rank_table(results))
        run.note(*unlike_the_paper(results))
        page = fine_grained_page(summaries, comparisons)
        return run.publish(page, rank_lines(summaries), _faults(list(read.values()), stays))


def _judge_boxes(options: Options) -> int:
    chosen, seed = options.regions, options.boxes.seed
    options.boxes.check()
    models = describe_models(options.model)
    check_regions(chosen, models)
    head = options.head and load_head(options.head, allow_pickle=options.model.allow_pickle)
    opened = open_boxes(options.boxes)
    facts = {
        "data": opened and data_digests(*opened),
        "head": options.head and sha256(options.head),
    }
    with open_run(
        "fine_grained_eval", options, models=models, out=options.output.out, **facts
    ) as run:
        opened = opened or open_boxes(options.boxes, run.folder)
        assert opened is not None
        table, files = opened
        run.confirm("data", data_digests(table, files))
        repeated = int(table.repeated.any(axis=1).sum())
        if not chosen.repeats["repeated_positives"]:
            table = table.without_repeated()
        given = chosen, options.model, options.boxes, options.output
        checkpoints = run.load(options.model, models)
        if options.head is not None:
            for checkpoint in checkpoints:
                precision = options.model.dtype().name
                require_base(options.head, {"model": model_base(checkpoint, precision)})
        subjects = BoxEmbedder(run, *given, table, files).subjects(checkpoints)
        if subjects is None:
            return DONE
        if head is not None and options.head is not None:
            subjects += [one.with_head(options.head.stem, head.scores) for one in subjects]
        judged = [found for one in subjects for found in judge(one, chosen.repeats)]
        results = with_published(result_table(judged, seed))
        tests, sizes = region_comparison_table(judged, seed), size_table(judged, seed)
        for name, found in {"results": results, "sizes": sizes, "comparisons": tests}.items():
            run.write(name, found)
        run.write("boxes", place_table(judged))
        fits = list(dict.fromkeys(m.image_config.fit for m in models if "crop" in chosen.regions))
        choices = [
            *region_choices(chosen.regions, chosen.repeats, repeated),
            faults.BOX_CROP.choose("crop" in fits, f"fits of crops: {', '.join(fits) or 'none'}"),
            faults.activation_choice(
                options.model.activation is not None, options.model.activation
            ),
        ]
        page = region_page(results, sizes, tests)
        return run.publish(page, [region_finding(results, tests)], choices)


def _faults(features: Sequence[Features], repeated: bool) -> list[FaultChoice]:
    """Which faults of the paper's code this run repeats: all that it has a choice in."""
    origins = [one.origin for one in features]
    return [
        *faults.box_crop_choices(origins),
        *faults.activation_choices(origins),
        faults.TIES.choose(True, "in figures and tests; tables have both ways"),
        faults.FEW_NEGATIVES.choose(False, "counts in every table"),
        faults.MEDIAN.choose(False, "the paper's beside it"),
        REPEATED.choose(repeated, "it stays" if repeated else "it is dropped"),
        faults.CHANCE.choose(False, "(n + 1) / 2 of n captions"),
    ]


if __name__ == "__main__":
    run_command(Options, main, __doc__)
