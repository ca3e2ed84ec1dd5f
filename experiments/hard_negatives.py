"""Does a model tell a right caption from one that is wrong in a detail, as the benchmarks ask?

    python -m experiments.hard_negatives --model ViT-B-32/openai --images sugar_crepe=val2017
        --sets sugar_crepe:sugar-crepe/data,winoground:winoground,aro:aro

SugarCrepe, SugarCrepe++, ARO, Winoground, ColorSwap and half-truths in their own layouts, by their
own metrics, with ties counted three ways, exact paired tests between models (or a model and a head
on top of it), and the same captions with other pictures. Each distinct picture and text is embedded
once. Writes summary.csv, comparisons.csv, classes.csv, records.parquet, scores.parquet,
embeddings/, figures/ and report.html.

Without arguments the demo model meets six made sets of the demo world, in about a minute: of
replaced objects it notices 85 %, of replaced attributes 62 %, and of two colours that have changed
places 51 %, which is chance; so is whatever else is a matter of order.
"""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import tyro

from jclip.checkpoints import DEMO_NOTICE, Checkpoint
from jclip.data.embedded import write_foil_sets
from jclip.data.foil_sources import Foils
from jclip.data.foils import FoilSet
from jclip.data.supplied import Probed, Supplied
from jclip.data.supplied_rows import Embedded, Scored
from jclip.errors import InputError
from jclip.files.digests import sha256
from jclip.heads import Head, load_head, require_base
from jclip.images.fits import SeenFit
from jclip.probes.foil_tables import (
    class_table,
    comparison_table,
    record_table,
    score_table,
    summary_table,
)
from jclip.probes.foils import FoilScores, other_pictures, score_foils, score_supplied_foils
from jclip.report import faults
from jclip.report.foil_page import foil_finding, foil_page, leading
from jclip.runs.base import base_of
from jclip.runs.command import run_command
from jclip.runs.embed_once import embed_once, fit_of_each
from jclip.runs.foils import FoilOptions
from jclip.runs.options import Embeddings, ModelOptions, OutputOptions
from jclip.runs.probed import load_probed, matched, probed_models
from jclip.runs.record import Silent
from jclip.runs.run import Run, open_run


@dataclasses.dataclass(frozen=True)
class Options:
    """Which models meet which sets."""

    model: tyro.conf.OmitArgPrefixes[ModelOptions] = dataclasses.field(default_factory=ModelOptions)
    foils: tyro.conf.OmitArgPrefixes[FoilOptions] = dataclasses.field(default_factory=FoilOptions)
    output: tyro.conf.OmitArgPrefixes[OutputOptions] = dataclasses.field(
        default_factory=OutputOptions
    )
    embeddings: Embeddings = ()
    head: Annotated[Path | None, Silent] = None
    """A re-projection head, .safetensors; its results stand beside the model's own."""
    seed: int = 0
    """Of the bootstrap, and of which other pictures the captions are shown."""


def main(options: Options) -> int:
    """Check everything, then embed, score, test and tell; returns the exit status."""
    options.foils.check()
    models = probed_models(options.model, options.embeddings)
    head = _head(options, models)
    foils = options.foils.open()
    fits = fit_of_each(models, options.foils.fit)
    given = matched(models, foils and foils.plan())
    facts = {
        "fits": fits,
        "foils": foils and dict(foils.digests),
        "head": options.head and sha256(options.head),
    }
    with open_run("hard_negatives", options, models=models, out=options.output.out, **facts) as run:
        foils = foils or options.foils.open(run.folder)
        assert foils is not None
        run.confirm("foils", dict(foils.digests))
        given = given or matched(models, foils.plan())
        sets = options.foils.winnable(run, foils)
        others = [shuffled for one in sets if (shuffled := other_pictures(one, options.seed))]
        write_foil_sets(run.folder, sets)
        results: list[FoilScores] = []
        blind: dict[tuple[str, str], FoilScores] = {}
        for model in load_probed(run, options.model, models):
            if isinstance(model, Supplied):
                own = given[model.identity.name]
                scorers = [(model.identity.name, _supplied(model.identity.name, own))]
                shuffled = _shuffled(run, model.identity.name, own, others)
            else:
                scorers = _scorers(options, run, model, foils, fits[model.identity.name], head)
                shuffled = others
            for label, score in scorers:
                results += score(sets)
                blind |= {(label, scored.foils.name): scored for scored in score(shuffled)}
        return _report(options, run, results, blind)


type Score = Callable[[Sequence[FoilSet]], list[FoilScores]]
"""Scores the records of some sets by one model, or by a head on top of it."""


def _supplied(name: str, own: Embedded | Scored) -> Score:
    return lambda sets: score_supplied_foils(sets, own, name)


def _shuffled(
    run: Run, name: str, own: Embedded | Scored, others: Sequence[FoilSet]
) -> Sequence[FoilSet]:
    """Records with other pictures, of which supplied scores say nothing."""
    if isinstance(own, Embedded):
        return others
    run.note(f"{name}: scores of captions with other pictures were not supplied; no control of it.")
    return ()


def _head(options: Options, models: Sequence[Probed]) -> Head | None:
    if options.head is None:
        return None
    checkpoints = [model for model in models if not isinstance(model, Supplied)]
    if not checkpoints:
        raise InputError("head: of checkpoints, and embeddings are supplied", "head")
    head = load_head(options.head, allow_pickle=options.model.allow_pickle)
    for model in checkpoints:
        if model.config.embedding_width != head.config.size:
            raise InputError(
                f"{options.head} is of width {head.config.size}, and embeddings of "
                f"{model.identity.name} are of {model.config.embedding_width}",
                argument="head",
            )
    return head


def _scorers(
    options: Options,
    run: Run,
    checkpoint: Checkpoint,
    foils: Foils,
    fit: SeenFit,
    head: Head | None,
) -> list[tuple[str, Score]]:
    """The cosine, and the head where there is one, with what results call them."""
    name, precision = checkpoint.identity.name, options.model.dtype().name
    if checkpoint.identity.is_demo and not options.foils.demo:
        run.note(DEMO_NOTICE)
    if options.head is not None:
        require_base(options.head, base_of(checkpoint, fit, precision))
    squares = foils.squares(checkpoint.image_config, fit)
    steps = options.output.images_per_step()
    embedded = embed_once(run, checkpoint, squares, foils.texts, fit, steps, precision=precision)

    def scored(label: str, own: Head | None) -> Score:
        return lambda sets: score_foils(sets, embedded.pictures, embedded.texts, label, own)

    labels: list[tuple[str, Head | None]] = [(name, None)]
    if head is not None and options.head is not None:
        labels.append((f"{name} + {options.head.stem}", head))
    return [(label, scored(label, own)) for label, own in labels]


def _report(
    options: Options,
    run: Run,
    results: list[FoilScores],
    blind: dict[tuple[str, str], FoilScores],
) -> int:
    """Tables and the page."""
    left_out, counted = options.foils.relations_left_out, options.foils.unwinnable == "reference"
    run.write("summary", summary := summary_table(results, blind, left_out, options.seed))
    run.write("comparisons", comparisons := comparison_table(results, options.seed))
    run.write("classes", classes := class_table(results))
    run.write("records", record_table(results))
    run.write("scores", score_table(results))
    choices = [
        faults.UNWINNABLE.choose(counted, "they count" if counted else "they are left out"),
        faults.FOIL_TIES.choose(False, "three ways in the tables; tests count them against"),
        faults.SMALL_CLASSES.choose(False, "share of records and macro average side by side"),
    ]
    lines = [
        f"{row['set']}, {row['model']}: {row['ties_against']:.1f} % right (chance "
        f"{row['chance']:.1f}, other pictures {row['shuffled'] or float('nan'):.1f})"
        for row in leading(summary).to_pylist()
    ]
    lines.append(foil_finding(summary, comparisons))
    return run.publish(foil_page(summary, comparisons, classes), lines, choices)


if __name__ == "__main__":
    run_command(Options, main, __doc__)
