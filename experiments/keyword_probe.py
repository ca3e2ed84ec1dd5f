"""Does the CLIP score notice words that say a picture is a 360-degree panorama?

    python -m experiments.keyword_probe --model ViT-B-32/openai --images PANORAMAS --control PHOTOS

Textual semantics in paper 1. Scores every image against its content behind every identifier of the
format and every generic word, and tests all pairs of words. A control of perspective photos, of
which the identifiers are not true, has to come out the other way round. Writes scores.parquet,
statistics.csv, figures/ and report.html.

Without arguments the demo model scores its own rendered world in half a minute: identifiers score
17 higher on panoramas, in 16 of 16 pairs of words, and 20 lower on photos.
"""

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
import tyro

from jclip.data.image_sets import ImageSet, not_two_to_one, open_image_sets
from jclip.data.supplied import Probed
from jclip.errors import InputError
from jclip.images.fits import OWN
from jclip.probes.embed import orbit_shifts
from jclip.probes.keyword import KeywordProbe, KeywordScores, check_words, contents_of
from jclip.probes.keyword_tables import keyword_line, keyword_statistics_table, keyword_summary
from jclip.probes.reference_files import check_reference_layout, write_keyword_text_files
from jclip.report import faults
from jclip.runs.command import DONE, run_command
from jclip.runs.options import (
    Embeddings,
    Fits,
    Flag,
    ImageOptions,
    ModelOptions,
    Names,
    Orbit,
    OutputOptions,
    Sources,
    orbit_facts,
    orbit_notices,
)
from jclip.runs.probed import load_probed, probed_models
from jclip.runs.processes import ProcessOptions
from jclip.runs.record import Silent
from jclip.runs.run import Run, open_run
from jclip.runs.sets import check_sets, score_sets
from jclip.statistics.bound_tests import minimum_images
from jclip.statistics.keyword import keyword_statistics
from jclip.statistics.multiple import holm
from jclip.text.prompts import GENERICS, IDENTIFIERS

_NONE = ("none",)


@dataclasses.dataclass(frozen=True)
class Options:
    """What is scored, and with which words."""

    model: tyro.conf.OmitArgPrefixes[ModelOptions]
    image: tyro.conf.OmitArgPrefixes[ImageOptions]
    output: tyro.conf.OmitArgPrefixes[OutputOptions]
    processes: tyro.conf.OmitArgPrefixes[ProcessOptions] = dataclasses.field(
        default_factory=ProcessOptions
    )
    embeddings: Embeddings = ()
    control: Annotated[Sources | None, Silent] = None
    """Perspective photos, for which no identifier is true; none, or demo-photos for demo."""
    identifiers: Names = IDENTIFIERS
    """Words that say a picture is a 360-degree panorama (V* in the paper)."""
    generics: Names = GENERICS
    """Words that say nothing about the format (U*)."""
    captions_hold: Literal["content", "prompts"] = "content"
    """Whether captions say what is shown, or are prompts whose own format word, one of the
    identifiers or generics, is replaced."""
    orbit: Orbit = 1
    fits: Fits = (OWN,)
    alpha: float = 0.01
    """Level of the tests."""
    reference_text_files: Annotated[Flag, Silent] = False
    """Also write the text files that the paper's script reads, of the sets but for the control."""

    @property
    def words(self) -> tuple[str, ...]:
        """All format words, identifiers first."""
        return (*self.identifiers, *self.generics)


def main(options: Options) -> int:
    """Check everything, then load, score, test and tell; returns the exit status."""
    sets, probe = probed(options)
    models = probed_models(options.model, options.embeddings)
    check_sets(sets, models, probe)
    minimum_images(options.alpha)
    if options.reference_text_files:
        check_reference_layout([r for r in probe.results(sets, models) if not r.control])
    facts = {"models": models, "image_sets": sets, "control": _control(options, sets)}
    facts |= orbit_facts(options.orbit)
    with open_run("keyword_probe", options, out=options.output.out, **facts) as run:
        run.note(*orbit_notices(options.orbit))
        loaded = load_probed(run, options.model, models)
        record = options.image.record
        results = score_sets(run, sets, loaded, probe, options.output, record_failures=record)
        if results is None:
            return DONE
        if options.reference_text_files:
            write_keyword_text_files(run.folder, [r for r in results if not r.control])
        return _report(options, run, results, models)


def probed(options: Options) -> tuple[list[ImageSet], KeywordProbe]:
    """What is scored, and how; no model is needed to know it."""
    check_words(options.words)
    own = options.image.open()
    control = _control(options, own)
    controls = open_image_sets(() if control == _NONE else control, None, options.image.pixel_limit)
    replaced = options.words if options.captions_hold == "prompts" else ()
    contents = {opened.name: contents_of(opened, replaced) for opened in own}
    contents |= {opened.name: list(opened.captions) for opened in controls}
    probe = KeywordProbe(
        contents,
        options.identifiers,
        options.generics,
        fits=options.fits,
        controls=[opened.name for opened in controls],
        prompt_prefix=options.image.prompt_prefix,
        orbit=options.orbit,
    )
    if options.orbit > 1 and (odd := [n for one in own for n in not_two_to_one(one.images)]):
        raise InputError(f"an orbit needs panoramas: {odd[0]}", "orbit")
    for width in {image.width for one in own for image in one.images}:
        orbit_shifts(width, options.orbit)
    return [*own, *controls], probe


def _control(options: Options, sets: Sequence[ImageSet]) -> tuple[str, ...]:
    """The sets of photos; panoramas of the demo world have some of their own."""
    demo = all(opened.demo_world and not not_two_to_one(opened.images) for opened in sets)
    return options.control or (("demo-photos",) if demo else _NONE)


def _report(
    options: Options,
    run: Run,
    results: Sequence[KeywordScores],
    models: Sequence[Probed],
) -> int:
    """Statistics, tables and the page."""
    # Drawing takes a second to import, and nothing before needs it.
    from jclip.report.keyword_page import keyword_page

    statistics = [
        keyword_statistics(r.identifier_scores, r.generic_scores, _level(options, run, r))
        for r in results
    ]
    adjusted = _adjusted(results, [own.p for own in statistics])
    run.write("statistics", keyword_statistics_table(results, statistics, adjusted))
    summary = keyword_summary(results, statistics, adjusted, options.alpha)
    run.write("summary", summary)
    page = keyword_page(results, statistics, adjusted, options.alpha)
    overridden = any(model.identity.overridden for model in models)
    choices = [
        *faults.model_choices([r.fit for r in results], overridden, options.model.activation),
        faults.NO_CORRECTION.choose(
            False, "Holm over all pairs of words, models, fits and sets; effects with intervals"
        ),
    ]
    return run.publish(page, [keyword_line(row) for row in summary.to_pylist()], choices)


def _level(options: Options, run: Run, result: KeywordScores) -> float | None:
    """The level of the tests; None, with a notice, where there are too few images for any."""
    needed, images = minimum_images(options.alpha), len(result.images)
    if images >= needed:
        return options.alpha
    run.note(
        f"{result.image_set}: no pair of words can reach p < {options.alpha:g} with fewer than "
        f"{needed} images; there are {images}."
    )
    return None


def _adjusted(results: Sequence[KeywordScores], p: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Holm over identifiers x generics x models x fits x sets, the control a family of its own."""
    adjusted = np.stack(p)
    control = np.array([result.control for result in results])
    for family in (control, ~control):
        adjusted[family] = holm(adjusted[family])
    return list(adjusted)


if __name__ == "__main__":
    run_command(Options, main, __doc__)
