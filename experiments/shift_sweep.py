"""Does the CLIP score of a panorama survive horizontal circular shifts?

    python -m experiments.shift_sweep --model ViT-B-32/laion400m_e32 --images DIR --fits crop,squash

Visual semantics in paper 1. Scores every panorama against its caption at every shift, by every
model under every fit. Writes scores.parquet, statistics.csv, figures/ and report.html. On two CPU
cores ViT-B/32 in float32 takes about a second per panorama and eight shifts.
"""

import dataclasses
import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import tyro
from tqdm import tqdm

from jclip.checkpoints import (
    CheckpointDescription,
    describe_checkpoint,
    expand_names,
    load_checkpoint,
)
from jclip.data.panoramas import PanoramaSet, open_panoramas
from jclip.data.pipeline import Failure, plan_batches, stream_batches
from jclip.errors import InputError
from jclip.images.geometry import place
from jclip.probes.scores import ShiftScores
from jclip.probes.shift import (
    empty_scores,
    same_views,
    shifts_by_width,
    stream_scores,
)
from jclip.probes.shift_table import (
    fill_from_table,
    reference_file_name,
    scores_table,
    select_images,
    statistics_table,
    write_reference_text_files,
)
from jclip.probes.subjects import Subject, make_subjects
from jclip.report.page import write_figures, write_page
from jclip.report.provenance import FaultChoice
from jclip.report.shift_examples import extreme_examples
from jclip.report.shift_page import shift_page
from jclip.runs.command import DONE, DONE_WITH_FAILURES, RunStopped, run_command
from jclip.runs.folder import (
    confirm,
    default_folder,
    finish_run,
    open_run,
    read_parts,
    write_csv,
    write_part,
    write_table,
)
from jclip.runs.options import Fits, Flag, ImageOptions, Integers, ModelOptions, OutputOptions
from jclip.statistics.stability import minimum_images, shift_statistics

SECONDS_BETWEEN_PARTS = 20


@dataclasses.dataclass(frozen=True)
class Options:
    """What a sweep scores, and how."""

    model: tyro.conf.OmitArgPrefixes[ModelOptions]
    image: tyro.conf.OmitArgPrefixes[ImageOptions]
    output: tyro.conf.OmitArgPrefixes[OutputOptions]
    shifts: int = 8
    """Number of equal shifts k W // K, k = 0 .. K - 1."""
    shift_pixels: Integers = ()
    """Shifts in pixels instead, to the right; 0 is always added."""
    fits: Annotated[Fits, tyro.conf.arg(aliases=["--fit"])] = ("crop",)
    """How a panorama becomes a square: crop (the paper's), squash, pad, tiles."""
    beta: float | None = None
    """Stability bound in score units for the Wilcoxon test; the paper's is 1.7919."""
    alpha: float = 0.01
    """Level of the test."""
    clamp: Flag = False
    """Scores as the paper writes them, max(score, 0); its code does not."""
    reference_text_files: Flag = False
    """Also write the text files that the paper's scripts read."""


def main(options: Options) -> int:
    """Check everything, then load, score, summarise and write; returns the exit status."""
    panoramas = open_panoramas(
        options.image.images, options.image.captions, options.image.pixel_limit
    )
    widths = [image.width for image in panoramas.images]
    shifts = shifts_by_width(widths, options.shifts, options.shift_pixels)
    models = [
        describe_checkpoint(
            name, activation=options.model.activation, allow_pickle=options.model.allow_pickle
        )
        for name in expand_names(options.model.models)
    ]
    results = [
        empty_scores(model.identity.name, fit, panoramas.images, panoramas.captions, shifts)
        for model in models
        for fit in options.fits
    ]
    _check(options, panoramas, models, results)
    identity = _identity(options, panoramas, models)
    folder = options.output.out or default_folder("shift_sweep", identity)
    open_run(folder, "shift_sweep", identity)
    fill_from_table(results, read_parts(folder, "scores"))
    prompts = [options.image.prompt_prefix + caption for caption in panoramas.captions]
    subjects, notices = [], []
    for model in models:
        print(f"loading {model.identity.name} ...", flush=True)
        checkpoint = load_checkpoint(model, dtype=options.model.dtype())
        confirm(folder, f"weights of {model.identity.name}", checkpoint.identity.sha256)
        made, said = make_subjects(checkpoint, options.fits, prompts)
        subjects += made
        notices += said
    failures = _sweep(options, folder, panoramas, results, subjects, shifts)
    try:
        return _write(options, folder, panoramas, models, results, subjects, failures, notices)
    except OSError as error:
        raise RunStopped(f"{error}; the scores are kept in {folder}") from error


def _check(
    options: Options,
    panoramas: PanoramaSet,
    models: Sequence[CheckpointDescription],
    results: Sequence[ShiftScores],
) -> None:
    """Refuse what could only fail after the expensive part."""
    repeated = [pair for pair, n in Counter((r.model, r.fit) for r in results).items() if n > 1]
    if repeated:
        raise InputError(f"{' with fit '.join(repeated[0])}: given twice, or two folders of a name")
    for image in panoramas.images:
        for fit in options.fits:
            place(image.height, image.width, models[0].image_config.size, fit)
    needed = minimum_images(options.alpha)
    if options.beta is not None and len(panoramas.images) < needed:
        raise InputError(
            f"--beta: the test cannot reach p < {options.alpha:g} with fewer than {needed} images, "
            f"and there are {len(panoramas.images)}"
        )
    if options.beta is not None and not 0 <= options.beta < float("inf"):
        raise InputError(f"--beta {options.beta}: has to be a finite score difference, 0 or more")
    if options.reference_text_files:
        widths = {image.width for image in panoramas.images}
        names = {reference_file_name(model.identity.name) for model in models}
        if len(widths) > 1 or len(names) < len(models) or len(options.fits) > 1:
            raise InputError(
                "--reference-text-files: that layout holds one width, one fit and one checkpoint "
                "per architecture"
            )
    for model in models:
        _ = model.tokenizer


def _identity(
    options: Options, panoramas: PanoramaSet, models: Sequence[CheckpointDescription]
) -> dict[str, object]:
    """What makes two runs the same: everything that changes a number."""
    ignored = {"model", "image", "output", "reference_text_files"}
    own = {k: v for k, v in dataclasses.asdict(options).items() if k not in ignored}
    return {
        "models": {m.identity.name: m.identity.activation for m in models},
        "precision": options.model.dtype().name,
        "images": panoramas.name,
        "panoramas": len(panoramas.images),
        "captions": panoramas.caption_file,
        "data_sha256": panoramas.digest,
        "prompt_prefix": options.image.prompt_prefix,
        **own,
    }


def _sweep(
    options: Options,
    folder: Path,
    panoramas: PanoramaSet,
    results: Sequence[ShiftScores],
    subjects: Sequence[Subject],
    shifts: Mapping[int, Sequence[int]],
) -> list[Failure]:
    """Score what earlier runs have not, keeping parts on the way; returns undecodable images."""
    images = panoramas.images
    done = np.all([np.isfinite(r.scores).all(axis=1) for r in results], axis=0)
    views = options.output.images_per_step()
    count = len(next(iter(shifts.values())))
    plans = plan_batches(images, max(1, views // count))
    plans = [plan for plan in plans if not done[list(plan.indices)].all()]
    record = options.image.on_error == "record"
    failures, unsaved, saved_at = [], [], time.monotonic()

    def save():
        write_part(folder, scores_table([select_images(r, unsaved) for r in results]))
        unsaved.clear()

    bar = tqdm(total=len(images), initial=int(done.sum()), unit=" panoramas", smoothing=0.1)
    with bar:
        try:
            batches = stream_batches(images, plans, record_failures=record)
            for batch, scores in stream_scores(batches, subjects, shifts, views):
                for result, part in zip(results, scores, strict=True):
                    result.scores[list(batch.indices)] = part
                failures += batch.failures
                unsaved += batch.indices
                bar.update(len(batch.indices) + len(batch.failures))
                if time.monotonic() - saved_at > SECONDS_BETWEEN_PARTS:
                    save()
                    saved_at = time.monotonic()
        except (InputError, OSError) as error:
            kept = int(np.isfinite(results[0].scores).all(axis=1).sum())
            progress = f"{kept} of {len(images)} panoramas are kept in {folder}"
            raise RunStopped(f"{error}; {progress}") from error
        finally:
            if unsaved:
                save()
    return failures


def _write(
    options: Options,
    folder: Path,
    panoramas: PanoramaSet,
    models: Sequence[CheckpointDescription],
    results: Sequence[ShiftScores],
    subjects: Sequence[Subject],
    failures: Sequence[Failure],
    notices: Sequence[str],
) -> int:
    """Tables, statistics, report; the scores first, so that nothing after them can lose them."""
    notices = [*notices, *panoramas.notices]
    if failures:
        lost = {failure.index for failure in failures}
        kept = [row for row in range(len(panoramas.images)) if row not in lost]
        results = [select_images(result, kept) for result in results]
        names = [panoramas.images[f.index].name for f in failures]
        rows = {"image": names, "reason": [f.reason for f in failures]}
        write_csv(folder / "failures.csv", pa.table(rows))
        notices.append(f"{len(lost)} images could not be decoded and are left out: failures.csv.")
    if options.clamp:
        results = [dataclasses.replace(r, scores=np.maximum(r.scores, 0)) for r in results]
    write_table(folder, "scores", scores_table(results))
    try:
        statistics = [
            shift_statistics(r.scores, options.beta, options.alpha, identity=same_views(r))
            for r in results
        ]
    except InputError as error:
        raise RunStopped(f"{error}; the scores are in {folder}") from error
    write_csv(folder / "statistics.csv", statistics_table(results, statistics))
    if options.reference_text_files:
        for result in results:
            write_reference_text_files(folder, result)
    faults = _faults(options, panoramas, models)
    files = {image.name: image for image in panoramas.images}
    page = shift_page(
        results,
        statistics,
        settings=json.loads((folder / "run.json").read_text()),
        faults=faults,
        notices=notices,
        examples=[
            example
            for result, subject in zip(results, subjects, strict=True)
            if subject.model == subjects[0].model
            for example in extreme_examples(result, files, subject.image_config, subject.fit)
        ],
    )
    write_page(folder / "report.html", page)
    write_figures(folder / "figures", page)
    finish_run(
        folder,
        notices=notices,
        faults=[dataclasses.asdict(fault) for fault in faults],
        failures=len(failures),
    )
    for result, summary in zip(results, statistics, strict=True):
        worst = int(np.argmax(summary.median))
        print(
            f"{result.model}, {result.fit}: largest median |d| {summary.median[worst]:.3f} "
            f"at shift index {summary.shift_index[worst]}, {len(result.images)} panoramas"
        )
    for notice in notices:
        print(f"note: {notice}")
    print(f"report: {folder / 'report.html'}")
    return DONE_WITH_FAILURES if failures else DONE


def _faults(
    options: Options, panoramas: PanoramaSet, models: Sequence[CheckpointDescription]
) -> list[FaultChoice]:
    """Which faults of the paper's code this run repeats: all that a sweep has a choice in."""
    cropped, mismatch = "crop" in options.fits, any(m.identity.overridden for m in models)
    by_order = panoramas.caption_file.endswith(".txt")
    choices = [
        FaultChoice(
            "the centre crop keeps half of a panorama",
            "reference" if cropped else "corrected",
            f"fits: {', '.join(options.fits)}; at half a turn crops share no content",
        ),
        FaultChoice(
            "activation other than the checkpoint's own",
            "reference" if mismatch else "corrected",
            f"--activation {options.model.activation or 'not given'}",
        ),
        FaultChoice(
            "images and prompts paired by lexicographic order",
            "corrected",
            f"{panoramas.caption_file}: {'natural order, counted' if by_order else 'by name'}",
        ),
    ]
    if options.beta is not None:
        choices += [
            FaultChoice("one beta for every model", "reference", f"--beta {options.beta:g}"),
            FaultChoice(
                "Wilcoxon as the only test, uncorrected", "reference", "|d| - beta, per shift"
            ),
        ]
    return choices


if __name__ == "__main__":
    run_command(Options, main, __doc__)
