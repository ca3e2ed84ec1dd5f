"""Is the CLIP score of a panorama robust on the whole sphere, or to yaw alone?

    python -m experiments.rotation_sweep --pitches 15,30 --rolls 15,30 --fits crop,squash

Beyond paper 1. Turns the camera of every panorama to equal yaws, and tilts it up and down and to
both sides, by resampling the panorama on the sphere; scores it against its caption, and tests the
changes against what a left-right flip changes. Writes scores.parquet, statistics.csv, figures/ and
report.html.

Without arguments the demo model scores its own rendered world in half a minute: with --fits squash
a pitch of 30 degrees changes the score by a median of 15, five times as much as the worst yaw.
"""

import dataclasses

import tyro

from jclip.errors import InputError
from jclip.images.fits import OWN
from jclip.images.sphere import check_two_to_one
from jclip.probes.rotation import RotationProbe, equal_turns, rotation_table
from jclip.report import faults
from jclip.runs.command import DONE, run_command
from jclip.runs.models import describe_models
from jclip.runs.options import Fits, ImageOptions, ModelOptions, Numbers, OutputOptions
from jclip.runs.processes import ProcessOptions
from jclip.runs.run import open_run
from jclip.runs.sets import check_sets, score_sets
from jclip.runs.stability_bound import Beta, check_beta, stability_bound
from jclip.statistics.stability import shift_statistics


@dataclasses.dataclass(frozen=True)
class Options:
    """What is turned, and how far."""

    model: tyro.conf.OmitArgPrefixes[ModelOptions]
    image: tyro.conf.OmitArgPrefixes[ImageOptions]
    output: tyro.conf.OmitArgPrefixes[OutputOptions]
    processes: tyro.conf.OmitArgPrefixes[ProcessOptions] = dataclasses.field(
        default_factory=ProcessOptions
    )
    yaws: int = 8
    """Number of equal yaws, the first of which is 0."""
    pitches: Numbers = (15.0, 30.0)
    """Degrees by which the camera looks up, and down."""
    rolls: Numbers = (15.0, 30.0)
    """Degrees by which the camera leans to the right, and to the left."""
    fits: Fits = (OWN,)
    beta: Beta = "flip"
    """Stability bound: flip calibrates it per model, fit and set from left-right flips; a number in
    score units is taken as it is; None tests nothing."""
    alpha: float = 0.01
    """Level of the tests."""
    seed: int = 0
    """Of the bootstrap."""


def main(options: Options) -> int:
    """Check everything, then load, score, test and tell; returns the exit status."""
    sets, models = options.image.open(), describe_models(options.model)
    _check(options)
    for opened in sets:
        for image in opened.images:
            try:
                check_two_to_one(image.height, image.width)
            except InputError as error:
                raise InputError(f"{opened.name}, {image.name}: {error}") from None
    probe = RotationProbe(
        equal_turns(options.yaws, options.pitches, options.rolls),
        fits=options.fits,
        mirror=options.beta == "flip",
        prompt_prefix=options.image.prompt_prefix,
    )
    check_sets(sets, models, probe)
    with open_run(
        "rotation_sweep", options, models=models, image_sets=sets, out=options.output.out
    ) as run:
        checkpoints = run.load(options.model, models)
        record = options.image.record
        results = score_sets(run, sets, checkpoints, probe, options.output, record_failures=record)
        if results is None:
            return DONE
        # Drawing takes a second to import, and nothing before needs it.
        from jclip.report.rotation_page import finding, rotation_page

        count = len(probe.turns)
        statistics = [
            shift_statistics(
                result.values[:, :count],
                stability_bound(
                    run,
                    result,
                    options.beta,
                    options.alpha,
                    result.values[:, 0],
                    result.values[:, -1],
                ),
                options.alpha,
                identity=probe.same_views(result.fit),
                seed=options.seed,
            )
            for result in results
        ]
        table = rotation_table(results, statistics, probe.turns)
        run.write("statistics", table)
        overridden = any(model.identity.overridden for model in models)
        choices = [
            *faults.model_choices([r.fit for r in results], overridden, options.model.activation),
            *(() if options.beta is None else faults.beta_choices(options.beta)),
        ]
        return run.publish(rotation_page(table), [finding(table.to_pylist())], choices)


def _check(options: Options) -> None:
    """Refuse what could only fail after the expensive part."""
    check_beta(options.beta, options.alpha)
    if options.yaws < 1:
        raise InputError(f"{options.yaws} yaws: the first is the camera as it is", "yaws")
    for name in ("pitches", "rolls"):
        angles = getattr(options, name)
        if wrong := [angle for angle in angles if not 0 < angle <= 180]:
            raise InputError(f"{wrong[0]:g} degrees: between 0 and 180, to both sides", name)
        if len(set(angles)) < len(angles):
            raise InputError("an angle is given twice", name)
    if options.yaws == 1 and not (options.pitches or options.rolls):
        raise InputError("no turn to compare the camera with", "yaws")


if __name__ == "__main__":
    run_command(Options, main, __doc__)
