"""Does the CLIP score of a panorama survive horizontal circular shifts?

    python -m experiments.shift_sweep --model ViT-B-32/laion400m_e32 --images DIR --fits crop,squash

Visual semantics in paper 1. Scores every panorama against its caption at every shift, by every
model under every fit, and tests the changes against what a left-right flip changes. Writes
scores.parquet, statistics.csv, figures/ and report.html. On two CPU cores ViT-B/32 in float32 takes
about a second per panorama and eight shifts.

Without arguments the demo model scores its own rendered world in half a minute: under crop the
median score change reaches 7.65 at half a turn, where the two crops share nothing.
"""

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Literal

import tyro

from jclip.data.image_sets import ImageSet, not_two_to_one
from jclip.data.supplied import Probed
from jclip.images.fits import OWN
from jclip.probes.reference_files import check_reference_layout, write_shift_text_files
from jclip.probes.scores import score_table
from jclip.probes.shift import ShiftProbe, ShiftScores, same_views
from jclip.probes.shift_tables import statistics_table, summary_line, summary_table
from jclip.report import faults
from jclip.runs.command import DONE, run_command
from jclip.runs.options import (
    Embeddings,
    Fits,
    Flag,
    ImageOptions,
    Integers,
    ModelOptions,
    Orbit,
    OutputOptions,
    orbit_facts,
    orbit_notices,
)
from jclip.runs.probed import load_probed, probed_models
from jclip.runs.processes import ProcessOptions
from jclip.runs.record import Silent
from jclip.runs.run import Run, open_run
from jclip.runs.sets import check_sets, score_sets
from jclip.runs.stability_bound import Beta, check_beta, stability_bound
from jclip.statistics.calibration import check_quantile_method
from jclip.statistics.stability import shift_statistics


@dataclasses.dataclass(frozen=True)
class Options:
    """What a sweep scores, and how."""

    model: tyro.conf.OmitArgPrefixes[ModelOptions]
    image: tyro.conf.OmitArgPrefixes[ImageOptions]
    output: tyro.conf.OmitArgPrefixes[OutputOptions]
    processes: tyro.conf.OmitArgPrefixes[ProcessOptions] = dataclasses.field(
        default_factory=ProcessOptions
    )
    embeddings: Embeddings = ()
    shifts: int = 8
    """Number of equal shifts k W // K, k = 0 .. K - 1; on an orbit, within one of its steps."""
    shift_pixels: Integers = ()
    """Shifts in pixels instead, to the right; 0 is always added."""
    orbit: Orbit = 1
    fits: Fits = (OWN,)
    beta: Beta = "flip"
    """Stability bound: flip calibrates it per model, fit and set from left-right flips; a number in
    score units is taken as it is (the paper's is 1.7919); None tests nothing."""
    flip_differences: Literal["absolute", "signed"] = "absolute"
    """Of which score differences --beta flip takes quartiles; the paper does not say."""
    flip_quantiles: str = "linear"
    """How --beta flip interpolates quartiles: a method of numpy.quantile."""
    alpha: float = 0.01
    """Level of the tests."""
    seed: int = 0
    """Of the bootstrap."""
    clamp: Flag = False
    """Scores as the paper writes them, max(score, 0); its code does not."""
    reference_text_files: Annotated[Flag, Silent] = False
    """Also write the text files that the paper's scripts read, with their names for an adapter."""


def main(options: Options) -> int:
    """Check everything, then load, score, test and tell; returns the exit status."""
    sets, probe = probed(options)
    models = probed_models(options.model, options.embeddings)
    check_sets(sets, models, probe)
    check_beta(options.beta, options.alpha)
    check_quantile_method(options.flip_quantiles)
    adapted = options.model.adapter is not None
    if options.reference_text_files:
        check_reference_layout(probe.results(sets, models), adapted=adapted)
    facts = {"models": models, "image_sets": sets, **orbit_facts(options.orbit)}
    with open_run("shift_sweep", options, out=options.output.out, **facts) as run:
        run.note(*_between(options.orbit))
        run.note(*(notice for opened in sets for notice in not_two_to_one(opened.images)))
        loaded, record = load_probed(run, options.model, models), options.image.record
        results = score_sets(run, sets, loaded, probe, options.output, record_failures=record)
        if results is None:
            return DONE
        if options.clamp:
            results = [result.clamped() for result in results]
            run.write("scores", score_table(results))
        for result in results if options.reference_text_files else ():
            write_shift_text_files(run.folder, result, adapted=adapted)
        return _report(options, run, results, sets, models)


def probed(options: Options) -> tuple[list[ImageSet], ShiftProbe]:
    """What is scored, and how; no model is needed to know it."""
    sets = options.image.open()
    probe = ShiftProbe(
        [image.width for opened in sets for image in opened.images],
        options.shifts,
        options.shift_pixels,
        fits=options.fits,
        views_per_step=options.output.images_per_step(),
        mirror=options.beta == "flip",
        prompt_prefix=options.image.prompt_prefix,
        orbit=options.orbit,
    )
    return sets, probe


def _between(orbit: int) -> tuple[str, ...]:
    tested = "Only yaws between two of them are tested." if orbit > 1 else ""
    return tuple(f"{notice} {tested}" for notice in orbit_notices(orbit))


def _report(
    options: Options,
    run: Run,
    results: Sequence[ShiftScores],
    sets: Sequence[ImageSet],
    models: Sequence[Probed],
) -> int:
    """Statistics, tables and the page."""
    # Drawing takes a second to import, and nothing before needs it.
    from jclip.report.shift_examples import extreme_examples
    from jclip.report.shift_page import shift_page

    statistics = [
        shift_statistics(
            result.scores,
            stability_bound(
                run,
                result,
                options.beta,
                options.alpha,
                result.scores[:, 0],
                result.mirrored,
                signed=options.flip_differences == "signed",
                quantile_method=options.flip_quantiles,
            ),
            options.alpha,
            identity=same_views(result),
            seed=options.seed,
        )
        for result in results
    ]
    run.write("statistics", statistics_table(results, statistics))
    run.write("summary", summary := summary_table(results, statistics))
    page = shift_page(results, statistics, extreme_examples(results, sets, models[0]))
    overridden = any(model.identity.overridden for model in models)
    # All faults of paper 1's code that a sweep has a choice in.
    choices = [
        *faults.model_choices([r.fit for r in results], overridden, options.model.activation),
        faults.paired_choice([opened.caption_file for opened in sets]),
        *(() if options.beta is None else faults.beta_choices(options.beta)),
    ]
    return run.publish(page, [summary_line(row) for row in summary.to_pylist()], choices)


if __name__ == "__main__":
    run_command(Options, main, __doc__)
