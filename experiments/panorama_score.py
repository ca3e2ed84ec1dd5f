"""How good are generated panoramas, by every published protocol and without its faults?

    python -m experiments.panorama_score --images A=runs/a/test,B=runs/b/test --reference REAL \
        --protocols jclip,panfusion,survey,mvdiffusion --model ViT-L-14/openai

Per panorama and per generator: the CLIP score of the whole panorama and of the mean of eight yaws,
its spread over yaws, views around the horizon against captions, views at the seam, the
Discontinuity Score and its excess over the rest of the turn; distances to real panoramas; paired
differences between generators. Writes scores.parquet, picture_scores.parquet, sets.csv,
comparisons.csv, distances.csv, table.tex, figures/ and report.html.

Without arguments the demo model scores four generators of its rendered world, of which three have
one known fault each.
"""

import dataclasses
import itertools
from collections.abc import Sequence

import pyarrow as pa
import tyro

from jclip.data.image_sets import ImageSet
from jclip.data.panorama_sets import pair_key, pair_sets, require_two_to_one
from jclip.data.supplied import Probed, Supplied
from jclip.images.fits import SUPPLIED
from jclip.probes.panorama_distances import distance_rows
from jclip.probes.panorama_pairs import (
    comparable_rows,
    equal_numbers,
    like_reference,
    lone_notices,
    pairing_notices,
    unpaired_rows,
)
from jclip.probes.panorama_scores import PanoramaScores
from jclip.probes.panorama_tables import (
    comparison_rows,
    panorama_values,
    picture_rows,
    score_rows,
    set_rows,
)
from jclip.probes.panoramas import PanoramaProbe
from jclip.probes.supplied_panoramas import fill_seams
from jclip.report.faults import REFERENCE, activation_choice
from jclip.report.panorama_faults import panorama_choices
from jclip.report.panorama_tables import latex_table, set_line, wide_table
from jclip.runs.command import DONE, DONE_WITH_FAILURES, run_command
from jclip.runs.options import Embeddings, ModelOptions, OutputOptions
from jclip.runs.panorama_options import PanoramaOptions, ProtocolOptions
from jclip.runs.probed import load_probed, probed_models
from jclip.runs.processes import ProcessOptions
from jclip.runs.run import Run, open_run
from jclip.runs.sets import check_sets, score_sets
from jclip.statistics.bound_tests import minimum_images


@dataclasses.dataclass(frozen=True)
class Options:
    """What is scored, and how."""

    model: tyro.conf.OmitArgPrefixes[ModelOptions]
    image: tyro.conf.OmitArgPrefixes[PanoramaOptions]
    protocol: tyro.conf.OmitArgPrefixes[ProtocolOptions]
    output: tyro.conf.OmitArgPrefixes[OutputOptions]
    processes: tyro.conf.OmitArgPrefixes[ProcessOptions] = dataclasses.field(
        default_factory=ProcessOptions
    )
    embeddings: Embeddings = ()
    alpha: float = 0.01
    """Level of the tests between generators."""
    seed: int = 0
    """Of the bootstrap."""


def main(options: Options) -> int:
    """Check everything, then score, compare and tell; returns the exit status."""
    minimum_images(options.alpha)
    sets, probe = probed(options)
    real = sets[-1] if options.image.reference is not None else None
    generators = sets if real is None else sets[:-1]
    models = probed_models(options.model, options.embeddings)
    check_sets(sets, models, probe)
    probe.check(sets, models)
    require_two_to_one(sets)
    pairings = [pair_sets(*pair) for pair in itertools.combinations(generators, 2)]
    roles = {"reference": None if real is None else real.name}
    with open_run(
        "panorama_score",
        options,
        models=models,
        image_sets=sets,
        out=options.output.out,
        **roles,
    ) as run:
        run.note(*lone_notices(sets), *pairing_notices(pairings, options.alpha))
        run.note(*(note for opened in generators for note in probe.left_out(opened)))
        if any(isinstance(model, Supplied) for model in models):
            run.note(*probe.left_out_of_supplied())
        results = score_sets(
            run,
            sets,
            load_probed(run, options.model, models),
            probe,
            options.output,
            record_failures=options.image.record,
            name="measured",
        )
        if results is None:
            return DONE
        run.write("unpaired", unpaired := unpaired_rows(pairings, sets))
        status = _report(options, run, results, sets, real, models)
        return DONE_WITH_FAILURES if len(unpaired) else status


def probed(options: Options) -> tuple[list[ImageSet], PanoramaProbe]:
    """What is scored, the reference last, and how; no model is needed to know it."""
    generators, real = options.image.open()
    sets = [*generators, *([] if real is None else [real])]
    return sets, options.protocol.probe(options.image.prompt_prefix)


def _report(
    options: Options,
    run: Run,
    results: Sequence[PanoramaScores],
    sets: Sequence[ImageSet],
    real: ImageSet | None,
    models: Sequence[Probed],
) -> int:
    """Tables, statistics and the page."""
    # Drawing takes a second to import, and nothing before needs it.
    from jclip.report.panorama_page import PanoramaTables, panorama_page

    chosen, seed = options.protocol, options.seed
    scored = [r for r in results if real is None or r.image_set != real.name or real.caption_file]
    compared = [r for r in results if real is None or r.image_set != real.name]
    probe = chosen.probe("")
    fill_seams(scored, sets, probe.seams)
    panoeval = chosen.discontinuity == REFERENCE
    values = [panorama_values(r, chosen.clamp, panoeval=panoeval) for r in scored]
    of_compared = [v for v, r in zip(values, scored, strict=True) if r in compared]
    run.write("scores", score_rows(scored, values))
    run.write("picture_scores", picture_rows(scored, probe.cameras))
    run.write("sets", summary := set_rows(scored, values, chosen.clamp, seed))
    comparisons = comparison_rows(compared, of_compared, pair_key, seed)
    comparisons, notices = comparable_rows(comparisons, sets)
    run.note(*notices)
    run.write("comparisons", comparisons)
    distances = pa.table({})
    if real is not None:
        references = [r for r in results if r.image_set == real.name]
        distances = _distances(options, run, compared, references)
        run.write("distances", distances)
    wide = wide_table(summary, distances)
    run.write("table", wide)
    (run.folder / "table.tex").write_text(latex_table(wide), encoding="utf-8")
    tables = PanoramaTables(summary, comparisons, distances, wide)
    page = panorama_page(scored, values, tables, sets, options.alpha)
    overridden = any(model.identity.overridden for model in models)
    fits = list(dict.fromkeys(fit for r in scored for fit in r.fits if fit != SUPPLIED))
    choices = panorama_choices(
        chosen, fits, options.image.caption_order, distances=real is not None
    )
    choices.append(activation_choice(overridden, options.model.activation))
    return run.publish(page, [set_line(row) for row in wide.to_pylist()], choices)


def _distances(
    options: Options,
    run: Run,
    results: Sequence[PanoramaScores],
    references: Sequence[PanoramaScores],
) -> pa.Table:
    """Of every generator to the real panoramas, on as many of each."""
    results, notices = like_reference(results, references[0])
    run.note(*notices)
    found = []
    for reference in references:
        own = [r for r in results if r.model == reference.model]
        rows, notices = equal_numbers(own) if own else ([], [])
        fit = options.protocol.distance_fit
        table, more = distance_rows(own, [reference], fit, rows, options.seed)
        run.note(*notices, *more)
        found.append(table)
    return pa.concat_tables(found)


if __name__ == "__main__":
    run_command(Options, main, __doc__)
