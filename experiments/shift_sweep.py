"""Does the CLIP score of a panorama survive horizontal circular shifts?

    python -m experiments.shift_sweep --model ViT-B-32/laion400m_e32 --images DIR --fits crop,squash

Visual semantics in paper 1. Scores every panorama against its caption at every shift, by every
model under every fit, and tests the changes against what a left-right flip changes. Writes
scores.parquet, statistics.csv, figures/ and report.html. On two CPU cores ViT-B/32 in float32 takes
about a second per panorama and eight shifts.
"""

import dataclasses
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import jax
import numpy as np
import tyro

from jclip.checkpoints import Checkpoint, CheckpointDescription
from jclip.data.image_sets import ImageSet, not_two_to_one, open_image_sets
from jclip.data.pipeline import BatchPlan, Failure, plan_batches, stream_batches
from jclip.distributed import is_lead, own_share, wait_for_all
from jclip.errors import InputError, RunStopped
from jclip.files.tables import write_csv, write_table
from jclip.images.geometry import place
from jclip.probes.scores import ShiftScores
from jclip.probes.shift import empty_scores, same_views, shifts_by_width, stream_scores
from jclip.probes.shift_table import (
    fill_from_table,
    reference_file_name,
    scores_table,
    select_images,
    statistics_table,
    write_reference_text_files,
)
from jclip.probes.subjects import Subject, make_subjects
from jclip.report.provenance import FaultChoice, activation_choice, crop_choice
from jclip.report.shift_examples import extreme_examples
from jclip.report.shift_page import shift_page
from jclip.runs.command import DONE, run_command
from jclip.runs.failures import of_all_processes, without_failures
from jclip.runs.record import default_folder, open_run, other_parts, read_parts
from jclip.runs.models import describe_models, load_models, models_identity
from jclip.runs.options import Fits, Flag, ImageOptions, Integers, ModelOptions, OutputOptions
from jclip.runs.parts import keep_parts
from jclip.runs.processes import ProcessOptions
from jclip.runs.publish import publish
from jclip.statistics.bound_tests import minimum_images
from jclip.statistics.calibration import FlipBound, calibrate_flip_bound, check_quantile_method
from jclip.statistics.stability import ShiftStatistics, shift_statistics


@dataclasses.dataclass(frozen=True)
class Options:
    """What a sweep scores, and how."""

    model: tyro.conf.OmitArgPrefixes[ModelOptions]
    image: tyro.conf.OmitArgPrefixes[ImageOptions]
    output: tyro.conf.OmitArgPrefixes[OutputOptions]
    processes: tyro.conf.OmitArgPrefixes[ProcessOptions] = dataclasses.field(
        default_factory=ProcessOptions
    )
    shifts: int = 8
    """Number of equal shifts k W // K, k = 0 .. K - 1."""
    shift_pixels: Integers = ()
    """Shifts in pixels instead, to the right; 0 is always added."""
    fits: Annotated[Fits, tyro.conf.arg(aliases=["--fit"])] = ("crop",)
    """How a panorama becomes a square: crop (the paper's), squash, pad, tiles."""
    beta: Literal["flip"] | float | None = "flip"
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
    reference_text_files: Flag = False
    """Also write the text files that the paper's scripts read."""


def main(options: Options) -> int:
    """Check everything, then load, score, summarise and write; returns the exit status."""
    sets = open_image_sets(options.image.images, options.image.captions, options.image.pixel_limit)
    widths = [image.width for opened in sets for image in opened.images]
    shifts = shifts_by_width(widths, options.shifts, options.shift_pixels)
    models = describe_models(options.model)
    results = [
        empty_scores(model.identity.name, fit, opened, shifts)
        for opened in sets
        for model in models
        for fit in options.fits
    ]
    _check(options, sets, models, results)
    identity = _identity(options, sets, models)
    folder = options.output.out or default_folder("shift_sweep", identity)
    open_run(folder, "shift_sweep", identity)
    fill_from_table(results, read_parts(folder, "scores"))
    wait_for_all("earlier parts are read")
    checkpoints = list(load_models(folder, options.model, models))
    notices, subjects, failures = [], [], {}
    for opened in sets:
        notices += [*opened.notices, *not_two_to_one(opened.images)]
        own = [result for result in results if result.image_set == opened.name]
        plans, done = _plans(options, opened, own)
        probed, said = _subjects(options, opened, checkpoints, plans)
        notices += [notice for notice in said if notice not in notices]
        failures[opened.name] = _sweep(options, folder, opened, own, probed, plans, done)
        subjects += probed
    failures = of_all_processes(folder, failures)
    if not is_lead():
        return DONE
    fill_from_table(results, other_parts(folder))
    try:
        return _write(options, folder, sets, models, results, subjects, failures, notices)
    except OSError as error:
        raise RunStopped(f"{error}; the scores are kept in {folder}") from error


def _check(
    options: Options,
    sets: Sequence[ImageSet],
    models: Sequence[CheckpointDescription],
    results: Sequence[ShiftScores],
) -> None:
    """Refuse what could only fail after the expensive part."""
    repeated = [label for label, n in Counter(r.label for r in results).items() if n > 1]
    if repeated:
        _, model, fit = repeated[0]
        raise InputError(f"{model} with fit {fit}: given twice, or two folders of a name")
    for image in (image for opened in sets for image in opened.images):
        for fit in options.fits:
            place(image.height, image.width, models[0].image_config.size, fit)
    needed = minimum_images(options.alpha)
    for opened in sets:
        if options.beta is not None and len(opened.images) < needed:
            raise InputError(
                f"--beta: the tests cannot reach p < {options.alpha:g} with fewer than {needed} "
                f"images, and {opened.name} has {len(opened.images)}; --beta None tests nothing"
            )
    if isinstance(options.beta, float) and not 0 <= options.beta < float("inf"):
        raise InputError(f"--beta {options.beta}: has to be a finite score difference, 0 or more")
    check_quantile_method(options.flip_quantiles)
    if options.reference_text_files:
        widths = {image.width for opened in sets for image in opened.images}
        names = {reference_file_name(model.identity.name) for model in models}
        if max(len(widths), len(sets), len(options.fits)) > 1 or len(names) < len(models):
            raise InputError(
                "--reference-text-files: that layout holds one set, one width, one fit and one "
                "checkpoint per architecture"
            )
    for model in models:
        _ = model.tokenizer


def _identity(
    options: Options, sets: Sequence[ImageSet], models: Sequence[CheckpointDescription]
) -> dict[str, object]:
    """What makes two runs the same: everything that changes a number."""
    ignored = {"model", "image", "output", "processes", "reference_text_files"}
    own = {k: v for k, v in dataclasses.asdict(options).items() if k not in ignored}
    return {
        **models_identity(options.model, models),
        "image_sets": {opened.name: opened.identity for opened in sets},
        "prompt_prefix": options.image.prompt_prefix,
        **own,
    }


def _plans(options: Options, opened: ImageSet, results: Sequence[ShiftScores]):
    """The batches that this process has to score, and how many images are scored already."""
    mirror = options.beta == "flip"
    filled = [np.isfinite(r.scores).all(axis=1) for r in results]
    filled += [np.isfinite(r.mirrored) for r in results if mirror]
    done = np.all(filled, axis=0)
    views = results[0].scores.shape[1] + mirror
    largest = max(1, options.output.images_per_step() // views)
    plans = plan_batches(opened.images, largest, jax.local_device_count())
    plans = [plan for plan in plans if not done[list(plan.indices)].all()]
    return own_share(plans), int(done.sum())


def _subjects(
    options: Options,
    opened: ImageSet,
    checkpoints: Sequence[Checkpoint],
    plans: Sequence[BatchPlan],
):
    """Every model under every fit, with the prompts of planned images embedded; and notices."""
    prompts = [options.image.prompt_prefix + caption for caption in opened.captions]
    rows = [row for plan in plans for row in plan.indices]
    made = [make_subjects(checkpoint, options.fits, prompts, rows) for checkpoint in checkpoints]
    return [s for some, _ in made for s in some], [n for _, said in made for n in said]


def _sweep(
    options: Options,
    folder: Path,
    opened: ImageSet,
    results: Sequence[ShiftScores],
    subjects: Sequence[Subject],
    plans: Sequence[BatchPlan],
    done: int,
) -> list[Failure]:
    """Score the planned batches, keeping parts on the way; returns undecodable images."""
    mirror, views = options.beta == "flip", options.output.images_per_step()
    shifts = dict(
        zip(results[0].widths.tolist(), map(tuple, results[0].shifts.tolist()), strict=True)
    )
    record = options.image.on_error == "record"
    batches = stream_batches(opened.images, plans, record_failures=record)

    def store(batch, scores):
        rows = list(batch.indices)
        for result, part in zip(results, scores, strict=True):
            count = result.scores.shape[1]
            if rows:
                result.scores[rows] = part[:, :count]
            if rows and mirror:
                result.mirrored[rows] = part[:, count]

    return keep_parts(
        folder,
        stream_scores(batches, subjects, shifts, views, mirror=mirror),
        store,
        lambda rows: scores_table([select_images(r, rows) for r in results]),
        total=done + sum(len(plan.indices) for plan in plans),
        done=done,
        name=opened.name,
    )


def _bound(options: Options, result: ShiftScores) -> float | FlipBound | None:
    if options.beta != "flip":
        return options.beta
    return calibrate_flip_bound(
        result.scores[:, 0],
        result.mirrored,
        signed=options.flip_differences == "signed",
        quantile_method=options.flip_quantiles,
    )


def _write(
    options: Options,
    folder: Path,
    sets: Sequence[ImageSet],
    models: Sequence[CheckpointDescription],
    results: Sequence[ShiftScores],
    subjects: Sequence[Subject],
    failures: Mapping[str, Sequence[Failure]],
    notices: Sequence[str],
) -> int:
    """Tables, statistics, report; the scores first, so that nothing after them can lose them."""
    kept, said = without_failures(folder, sets, failures)
    notices = [*notices, *said]
    results = [select_images(result, kept[result.image_set]) for result in results]
    if options.clamp:
        results = [_clamped(result) for result in results]
    write_table(folder, "scores", scores_table(results))
    try:
        statistics = [
            shift_statistics(
                r.scores,
                _bound(options, r),
                options.alpha,
                identity=same_views(r),
                seed=options.seed,
            )
            for r in results
        ]
    except InputError as error:
        raise RunStopped(f"{error}; the scores are in {folder}") from error
    write_csv(folder / "statistics.csv", statistics_table(results, statistics))
    if options.reference_text_files:
        for result in results:
            write_reference_text_files(folder, result)
    faults = _faults(options, sets, models)
    page = shift_page(
        results,
        statistics,
        settings=json.loads((folder / "run.json").read_text()),
        faults=faults,
        notices=notices,
        examples=_examples(sets, results, subjects),
    )
    return publish(
        folder,
        page,
        lines=[_line(result, summary) for result, summary in zip(results, statistics, strict=True)],
        notices=notices,
        faults=faults,
        failures=sum(map(len, failures.values())),
    )


def _clamped(result: ShiftScores) -> ShiftScores:
    scores, mirrored = (np.maximum(values, 0) for values in (result.scores, result.mirrored))
    return dataclasses.replace(result, scores=scores, mirrored=mirrored)


def _examples(sets: Sequence[ImageSet], results, subjects: Sequence[Subject]):
    """The first model's most and least stable panoramas of every set, under every fit."""
    files = {opened.name: {image.name: image for image in opened.images} for opened in sets}
    return [
        example
        for result, subject in zip(results, subjects, strict=True)
        if subject.model == subjects[0].model
        for example in extreme_examples(
            result, files[result.image_set], subject.image_config, subject.fit
        )
    ]


def _line(result: ShiftScores, summary: ShiftStatistics) -> str:
    worst, tests = int(np.argmax(summary.median)), summary.corrected
    line = (
        f"{result.image_set}, {result.model}, {result.fit}: largest median |d| "
        f"{summary.median[worst]:.3f} at shift index {summary.shift_index[worst]}, "
        f"{len(result.images)} panoramas"
    )
    if tests is None:
        return line
    stable, tested = int(tests.stable.sum()), int(tests.tested.sum())
    return f"{line}; beta {tests.beta:.3f}, stable at {stable} of {tested} shifts"


def _faults(
    options: Options, sets: Sequence[ImageSet], models: Sequence[CheckpointDescription]
) -> list[FaultChoice]:
    """Which faults of the paper's code this run repeats: all that a sweep has a choice in."""
    by_order = [opened.caption_file for opened in sets if opened.caption_file.endswith(".txt")]
    choices = [
        crop_choice(options.fits),
        activation_choice(any(m.identity.overridden for m in models), options.model.activation),
        FaultChoice(
            "images and prompts paired by lexicographic order",
            "corrected",
            f"{', '.join(by_order)}: natural order, counted" if by_order else "by name",
        ),
    ]
    if options.beta is not None:
        calibrated = options.beta == "flip"
        choices += [
            FaultChoice(
                "one beta for every model",
                "corrected" if calibrated else "reference",
                "calibrated per model, fit and set by left-right flips"
                if calibrated
                else f"--beta {options.beta:g}",
            ),
            FaultChoice(
                "Wilcoxon as the only test, uncorrected",
                "corrected",
                "beside it: exact sign test, Holm over shifts, intersection-union test",
            ),
        ]
    return choices


if __name__ == "__main__":
    run_command(Options, main, __doc__)
