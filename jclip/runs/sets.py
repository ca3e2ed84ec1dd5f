"""Every model under every fit on every set of images: the loop of the streaming experiments."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from jclip.checkpoints import DEMO_NOTICE, Checkpoint
from jclip.data.image_sets import ImageSet
from jclip.data.images import check_fit
from jclip.data.pipeline import Batch, plan_batches, stream_batches
from jclip.data.supplied import Probed, Supplied
from jclip.data.supplied_rows import match
from jclip.distributed import own_share
from jclip.errors import InputError, RunStopped
from jclip.images.fits import fits_of
from jclip.probes.probe import CaptionProbe, stream_scores
from jclip.probes.scores import Scores, fill_scores, score_table, sigmoid_of
from jclip.probes.subjects import make_subjects
from jclip.probes.view_plans import fill_supplied, plan_captions
from jclip.runs.options import OutputOptions
from jclip.runs.run import Run


def check_sets(sets: Sequence[ImageSet], models: Sequence[Probed], probe: CaptionProbe) -> None:
    """Refuse what could only fail after the expensive part.

    Raises:
        InputError: two sets or two models have one name, a fit is given twice, an image cannot
            become a square of some model's size under some fit, or what is supplied is not what the
            probe needs.
    """
    for kind, given in (
        ("image set", [opened.name for opened in sets]),
        ("model", [model.identity.name for model in models]),
        ("fit", [str(fit) for fit in probe.fits]),
    ):
        if repeated := [name for name in given if given.count(name) > 1]:
            raise InputError(f"{kind} {repeated[0]}: given twice")
    shapes: dict[tuple[int, int], str] = {}
    for opened in sets:
        for image in opened.images:
            shapes.setdefault((image.height, image.width), f"{opened.name}, {image.name}")
    supplied = [model for model in models if isinstance(model, Supplied)]
    if supplied and len(supplied) == len(models):
        probe.check_supplied()
    _fill_supplied(probe.results(sets, supplied), supplied, sets, probe)
    for model in models:
        if isinstance(model, Supplied):
            continue
        for fit in fits_of(probe.fits, model.image_config):
            for (height, width), name in shapes.items():
                check_fit(name, height, width, model.image_config.size, fit)


def score_sets[Result: Scores](
    run: Run,
    sets: Sequence[ImageSet],
    models: Sequence[Checkpoint | Supplied],
    probe: CaptionProbe[Result],
    output: OutputOptions,
    *,
    record_failures: bool = False,
    name: str = "scores",
) -> list[Result] | None:
    """Score all images by all models, resumed and kept part by part, and write the scores.

    Scores of supplied embeddings are there at once, and no image is decoded for them. The probe
    says which views are scored against which prompts, the output how much at once. With
    `record_failures` an image that cannot be decoded is recorded and stops nothing. The table
    of scores, from which a run goes on, is called `name`.

    Returns:
        The results without the images that could not be decoded; None but for process 0, which
        goes on alone.

    Raises:
        RunStopped: an image or a disk failed, or all images of a set; what was computed is kept.
    """
    checkpoints = [model for model in models if isinstance(model, Checkpoint)]
    supplied = [model for model in models if isinstance(model, Supplied)]
    if any(c.identity.is_demo for c in checkpoints) and not all(s.demo_world for s in sets):
        run.note(DEMO_NOTICE)
    results = probe.results(sets, [model.description for model in models])
    sigmoids = {checkpoint.identity.name: sigmoid_of(checkpoint.clip) for checkpoint in checkpoints}
    for result in results:
        result.sigmoid = sigmoids.get(result.model)
    fill_scores(results, run.earlier(name))
    _fill_supplied(results, supplied, sets, probe)
    names = {checkpoint.identity.name for checkpoint in checkpoints}
    for opened in sets:
        run.failures[opened.name] = []
        own = [r for r in results if r.image_set == opened.name and r.model in names]
        if own:
            _score_set(run, opened, own, checkpoints, probe, output, record_failures)
    others = run.joined()
    if others is None:
        return None
    fill_scores(results, others)
    kept = []
    for opened in sets:
        failures = run.failures[opened.name]
        lost = {failure.index for failure in failures}
        rows = [row for row in range(len(opened.images)) if row not in lost]
        if not rows:
            raise RunStopped(
                f"{opened.name}: none of the images can be decoded; the first: {failures[0].reason}"
            )
        kept += [result.select(rows) for result in results if result.image_set == opened.name]
    run.write(name, score_table(kept))
    return kept


def _fill_supplied(
    results: Sequence[Scores],
    supplied: Sequence[Supplied],
    sets: Sequence[ImageSet],
    probe: CaptionProbe,
) -> None:
    """Write the scores of supplied embeddings into the results that are theirs."""
    if not supplied:
        return
    plan = plan_captions(sets, probe)
    for model in supplied:
        own = [result for result in results if result.model == model.identity.name]
        fill_supplied(own, match(model, plan), plan, sets, probe)


def _score_set(
    run: Run,
    opened: ImageSet,
    results: Sequence[Scores],
    checkpoints: Sequence[Checkpoint],
    probe: CaptionProbe,
    output: OutputOptions,
    record_failures: bool,
) -> None:
    """Fill the results of one set, keeping parts on the way."""
    done = np.all([result.done for result in results], axis=0)
    largest = max(1, output.images_per_step() // probe.views)
    plans = plan_batches(opened.images, largest, jax.local_device_count())
    plans = own_share([plan for plan in plans if not done[list(plan.indices)].all()])
    rows = [row for plan in plans for row in plan.indices]
    prompts, subjects = probe.prompts(opened), []
    for checkpoint in checkpoints:
        probed, notices = make_subjects(
            checkpoint, probe.fits, prompts, rows, cut_ends=probe.cut_ends
        )
        subjects += probed
        run.note(*notices)
    batches = stream_batches(opened.images, plans, record_failures=record_failures)

    def store(batch: Batch, scores: Sequence[Any]) -> None:
        for result, part in zip(results, scores, strict=True):
            result.store(batch.indices, part)

    run.keep(
        stream_scores(batches, subjects, probe),
        store,
        lambda some: score_table([result.select(some) for result in results]),
        name=opened.name,
        total=int(done.sum()) + len(rows),
        done=int(done.sum()),
    )
