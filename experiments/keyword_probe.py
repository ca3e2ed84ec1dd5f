"""Does a CLIP score notice words that name the format, such as "a 360 degree view of"?

    python -m experiments.keyword_probe --models ViT-B-32/laion400m_e32 --images DIR

Textual semantics in paper 1. Before the same content it puts identifiers of 360-degree panoramas
and generic words, scores each image with all of them, and asks whether the identifiers score
higher; on perspective photos (--control) they should score lower. Writes scores.parquet,
statistics.csv, figures/ and report.html. Each image is embedded once, each distinct text once: on
two CPU cores ViT-B/32 in float32 takes about a second per 16 images.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import jax
import numpy as np
import tyro

from jclip.checkpoints import Checkpoint, CheckpointDescription
from jclip.data.image_sets import ImageSet, open_image_sets
from jclip.data.pipeline import BatchPlan, Failure, plan_batches, stream_batches
from jclip.distributed import is_lead, own_share, wait_for_all
from jclip.errors import InputError, RunStopped
from jclip.files.tables import write_csv, write_table
from jclip.images.geometry import place
from jclip.probes.keyword import (
    empty_keyword_scores,
    fill_from_keyword_table,
    keyword_table,
    select_keyword_images,
    stream_keyword_scores,
)
from jclip.probes.keyword_scores import KeywordScores
from jclip.probes.keyword_statistics_table import keyword_statistics_table
from jclip.probes.subjects import Subject, make_subjects
from jclip.report.keyword_page import keyword_page
from jclip.report.provenance import FaultChoice, activation_choice, crop_choice
from jclip.runs.command import DONE, run_command
from jclip.runs.failures import of_all_processes, without_failures
from jclip.runs.record import default_folder, open_run, other_parts, read_parts
from jclip.runs.models import describe_models, load_models, models_identity
from jclip.runs.options import Fits, ImageOptions, ModelOptions, Names, OutputOptions
from jclip.runs.parts import keep_parts
from jclip.runs.processes import ProcessOptions
from jclip.runs.publish import publish
from jclip.statistics.bound_tests import minimum_images
from jclip.statistics.keyword import KeywordStatistics, keyword_statistics
from jclip.statistics.multiple import holm
from jclip.text.prompts import GENERICS, IDENTIFIERS, content_of, make_prompts


@dataclasses.dataclass(frozen=True)
class Options:
    """What is scored with which words."""

    model: tyro.conf.OmitArgPrefixes[ModelOptions]
    image: tyro.conf.OmitArgPrefixes[ImageOptions]
    output: tyro.conf.OmitArgPrefixes[OutputOptions]
    processes: tyro.conf.OmitArgPrefixes[ProcessOptions] = dataclasses.field(
        default_factory=ProcessOptions
    )
    control: Names = ("demo-photos",)
    """Sets of perspective photos, of which the identifiers are not true; none for no control."""
    identifiers: Names = IDENTIFIERS
    """Words that say a picture is a 360-degree panorama (V* in the paper)."""
    generics: Names = GENERICS
    """Words that say nothing about the format (U*)."""
    captions_hold: Literal["content", "prompts"] = "content"
    """Whether captions say what is shown, or are prompts whose own format word, one of the
    identifiers or generics, is replaced."""
    fits: Annotated[Fits, tyro.conf.arg(aliases=["--fit"])] = ("crop",)
    """How an image becomes a square: crop (the paper's), squash, pad, tiles."""
    alpha: float = 0.01
    """Level of the tests."""

    @property
    def words(self) -> tuple[str, ...]:
        """All format words, identifiers first."""
        return (*self.identifiers, *self.generics)


def main(options: Options) -> int:
    """Check everything, then load, score, summarise and write; returns the exit status."""
    control = () if options.control == ("none",) else options.control
    limit = options.image.pixel_limit
    probed = open_image_sets(options.image.images, options.image.captions, limit)
    controls = open_image_sets(control, None, limit)
    sets = [*probed, *controls]
    models = describe_models(options.model)
    _check(options, sets, models)
    contents = {opened.name: _contents(options, opened) for opened in probed}
    contents |= {opened.name: list(opened.captions) for opened in controls}
    results = [
        empty_keyword_scores(
            model.identity.name,
            fit,
            opened,
            contents[opened.name],
            options.identifiers,
            options.generics,
            control=opened in controls,
        )
        for opened in sets
        for model in models
        for fit in options.fits
    ]
    identity = _identity(options, sets, models)
    folder = options.output.out or default_folder("keyword_probe", identity)
    open_run(folder, "keyword_probe", identity)
    fill_from_keyword_table(results, read_parts(folder, "scores"))
    wait_for_all("earlier parts are read")
    checkpoints = list(load_models(folder, options.model, models))
    notices, failures = [notice for opened in sets for notice in opened.notices], {}
    for opened in sets:
        own = [result for result in results if result.image_set == opened.name]
        plans, done = _plans(options, opened, own)
        subjects, said = _subjects(options, contents[opened.name], checkpoints, plans)
        notices += [notice for notice in said if notice not in notices]
        failures[opened.name] = _score(options, folder, opened, own, subjects, plans, done)
    failures = of_all_processes(folder, failures)
    if not is_lead():
        return DONE
    fill_from_keyword_table(results, other_parts(folder))
    try:
        return _write(options, folder, sets, models, results, failures, notices)
    except OSError as error:
        raise RunStopped(f"{error}; the scores are kept in {folder}") from error


def _check(
    options: Options, sets: Sequence[ImageSet], models: Sequence[CheckpointDescription]
) -> None:
    """Refuse what could only fail after the expensive part."""
    for kind, given in (
        ("image set", [opened.name for opened in sets]),
        ("model", [model.identity.name for model in models]),
        ("fit", [str(fit) for fit in options.fits]),
        ("format word", list(options.words)),
    ):
        if repeated := [name for name in given if given.count(name) > 1]:
            raise InputError(f"{kind} {repeated[0]}: given twice")
    if blank := [word for word in options.words if not word.strip()]:
        raise InputError(f"format word {blank[0]!r}: empty")
    needed = minimum_images(options.alpha)
    for opened in sets:
        if len(opened.images) < needed:
            raise InputError(
                f"{opened.name}: the tests cannot reach p < {options.alpha:g} with fewer than "
                f"{needed} images, and there are {len(opened.images)}"
            )
        for image in opened.images:
            for fit in options.fits:
                place(image.height, image.width, models[0].image_config.size, fit)
    for model in models:
        _ = model.tokenizer


def _contents(options: Options, opened: ImageSet) -> list[str]:
    """What the captions say without a format word."""
    if options.captions_hold == "content":
        return list(opened.captions)
    contents = []
    for line, caption in zip(opened.lines, opened.captions, strict=True):
        content = content_of(caption, options.words)
        if content is None:
            raise InputError(
                f"{opened.caption_file}, line {line}: {caption!r} begins with none of the format "
                f"words {', '.join(options.words)}"
            )
        contents.append(content)
    return contents


def _identity(
    options: Options, sets: Sequence[ImageSet], models: Sequence[CheckpointDescription]
) -> dict[str, object]:
    """What makes two runs the same: everything that changes a number."""
    own = {
        k: v
        for k, v in dataclasses.asdict(options).items()
        if k not in ("model", "image", "output", "processes")
    }
    return {
        **models_identity(options.model, models),
        "image_sets": {opened.name: opened.identity for opened in sets},
        "prompt_prefix": options.image.prompt_prefix,
        **own,
    }


def _plans(options: Options, opened: ImageSet, results: Sequence[KeywordScores]):
    """The batches that this process has to score, and how many images are scored already."""
    filled = [
        np.isfinite(scores) for r in results for scores in (r.identifier_scores, r.generic_scores)
    ]
    done = np.all(np.concatenate(filled, axis=1), axis=1)
    views = options.output.images_per_step()
    plans = plan_batches(opened.images, views, jax.local_device_count())
    plans = [plan for plan in plans if not done[list(plan.indices)].all()]
    return own_share(plans), int(done.sum())


def _subjects(
    options: Options,
    contents: Sequence[str],
    checkpoints: Sequence[Checkpoint],
    plans: Sequence[BatchPlan],
):
    """Every model under every fit, with the prompts of planned images embedded; and notices."""
    prompts = make_prompts(contents, options.words, options.image.prompt_prefix)
    flat, words = [prompt for own in prompts for prompt in own], len(options.words)
    rows = [row * words + word for p in plans for row in p.indices for word in range(words)]
    made = [make_subjects(checkpoint, options.fits, flat, rows) for checkpoint in checkpoints]
    return [s for some, _ in made for s in some], [n for _, said in made for n in said]


def _score(
    options: Options,
    folder: Path,
    opened: ImageSet,
    results: Sequence[KeywordScores],
    subjects: Sequence[Subject],
    plans: Sequence[BatchPlan],
    done: int,
) -> list[Failure]:
    """Score the planned batches, keeping parts on the way; returns undecodable images."""
    record = options.image.on_error == "record"
    batches = stream_batches(opened.images, plans, record_failures=record)
    identifiers = len(options.identifiers)

    def store(batch, scores):
        rows = list(batch.indices)
        for result, part in zip(results, scores, strict=True):
            result.identifier_scores[rows] = part[:, :identifiers]
            result.generic_scores[rows] = part[:, identifiers:]

    return keep_parts(
        folder,
        stream_keyword_scores(batches, subjects, len(options.words)),
        store,
        lambda rows: keyword_table([select_keyword_images(r, rows) for r in results]),
        total=done + sum(len(plan.indices) for plan in plans),
        done=done,
        name=opened.name,
    )


def _write(
    options: Options,
    folder: Path,
    sets: Sequence[ImageSet],
    models: Sequence[CheckpointDescription],
    results: Sequence[KeywordScores],
    failures: Mapping[str, Sequence[Failure]],
    notices: Sequence[str],
) -> int:
    """Tables, statistics, report; the scores first, so that nothing after them can lose them."""
    kept, said = without_failures(folder, sets, failures)
    notices = [*notices, *said]
    results = [select_keyword_images(result, kept[result.image_set]) for result in results]
    write_table(folder, "scores", keyword_table(results))
    try:
        statistics = [
            keyword_statistics(r.identifier_scores, r.generic_scores, options.alpha)
            for r in results
        ]
    except InputError as error:
        raise RunStopped(f"{error}; the scores are in {folder}") from error
    adjusted = _adjusted(results, [s.p for s in statistics])
    write_csv(folder / "statistics.csv", keyword_statistics_table(results, statistics, adjusted))
    faults = _faults(options, models)
    page = keyword_page(
        results,
        statistics,
        adjusted,
        alpha=options.alpha,
        settings=json.loads((folder / "run.json").read_text()),
        faults=faults,
        notices=notices,
    )
    return publish(
        folder,
        page,
        lines=[
            _line(*both, options.alpha) for both in zip(results, statistics, adjusted, strict=True)
        ],
        notices=notices,
        faults=faults,
        failures=sum(map(len, failures.values())),
    )


def _line(result: KeywordScores, own: KeywordStatistics, p: np.ndarray, alpha: float) -> str:
    kind = "images (control)" if result.control else "images"
    return (
        f"{result.image_set}, {result.model}, {result.fit}: identifiers score higher in "
        f"{int((p < alpha).sum())} of {p.size} pairs after Holm, median difference "
        f"{np.median(own.median):+.3f}, {len(result.images)} {kind}"
    )


def _adjusted(results: Sequence[KeywordScores], p: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Holm over identifiers x generics x models x fits x sets, the control a family of its own."""
    adjusted: list[np.ndarray] = list(p)
    for control in (False, True):
        family = [i for i, result in enumerate(results) if result.control == control]
        if family:
            together = holm(np.stack([p[i] for i in family]))
            for i, own in zip(family, together, strict=True):
                adjusted[i] = own
    return adjusted


def _faults(options: Options, models: Sequence[CheckpointDescription]) -> list[FaultChoice]:
    """Which faults of the paper's code this run repeats: all that this probe has a choice in."""
    return [
        crop_choice(options.fits),
        activation_choice(any(m.identity.overridden for m in models), options.model.activation),
        FaultChoice(
            "no correction for many tests, no effect sizes",
            "corrected",
            "Holm over all pairs of words, models, fits and sets; effects with intervals",
        ),
    ]


if __name__ == "__main__":
    run_command(Options, main, __doc__)
