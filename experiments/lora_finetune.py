"""Can LoRA make the CLIP score of a panorama survive circular shifts, and at what price?

    python -m experiments.lora_finetune --lambdas 0,0.25,0.5,0.75,1

Fine-tuning in paper 1. Tunes the image tower for every lambda and seed, and measures each result on
panoramas that it did not see: stability under shifts against what else changed. Writes an adapter
in peft's layout per lambda and seed, trade_off.csv, means.csv, figures/ and report.html;
`shift_sweep` and `keyword_probe` take such an adapter with --adapter. On the demo model and 480
panoramas a lambda takes about two minutes on two CPU cores, and lambda 0.5 halves the change.
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import jax.numpy as jnp
import pyarrow as pa
import tyro
from flax import nnx

from jclip.adapters import add_adapter, check_targets, parameter_counts
from jclip.checkpoints import Checkpoint, CheckpointDescription
from jclip.checkpoints.adapted import with_adapter
from jclip.checkpoints.peft import save_adapter
from jclip.data.image_sets import ImageSet, not_two_to_one, open_image_sets, split_image_set
from jclip.data.training_batches import steps_per_epoch
from jclip.distributed import data_mesh, is_lead, wait_for_all
from jclip.errors import InputError
from jclip.images import Fit
from jclip.images.fits import FitOption, fits_of
from jclip.images.geometry import place
from jclip.models import CLIP
from jclip.probes.embed import split_network
from jclip.probes.shift import ShiftProbe
from jclip.probes.subjects import make_subjects
from jclip.probes.trade_off import (
    NetworkMeasures,
    impossible_measures,
    measure_network,
    trade_off_prompts,
    unshifted_scores,
)
from jclip.report.faults import (
    DROPOUT_MASKS,
    LORA_TARGETS,
    NO_ANCHOR,
    FaultChoice,
    activation_choice,
    crop_choice,
)
from jclip.report.trade_off_page import mean_table, trade_off_page
from jclip.runs.command import DONE, run_command
from jclip.runs.models import describe_models
from jclip.runs.options import ImageOptions, Integers, ModelOptions, Numbers, OutputOptions
from jclip.runs.processes import ProcessOptions
from jclip.runs.recipe_options import recipe_options
from jclip.runs.run import open_run
from jclip.training.lora import LORA_RECIPES, LoRARecipe, memory_held, train_adapter
from jclip.training.metrics import read_metric

ALPHA = 0.01
SHIFTS = 8
EPOCHS_BETWEEN_CHECKPOINTS = 2


@dataclasses.dataclass(frozen=True)
class Options:
    """What is tuned, on what, and how."""

    model: tyro.conf.OmitArgPrefixes[ModelOptions]
    image: tyro.conf.OmitArgPrefixes[ImageOptions]
    output: tyro.conf.OmitArgPrefixes[OutputOptions]
    recipe: tyro.conf.OmitArgPrefixes[Annotated[LoRARecipe, recipe_options(LORA_RECIPES)]]
    processes: tyro.conf.OmitArgPrefixes[ProcessOptions] = dataclasses.field(
        default_factory=ProcessOptions
    )
    fit: FitOption = "own"
    """How a panorama becomes a square: own (the checkpoint's), crop (the paper's), squash, pad,
    tiles."""
    seeds: Integers = (0,)
    """Of initial factors, order, shifts and dropout; each trains once per lambda."""
    split: Numbers = (0.7, 0.1, 0.2)
    """Shares of training, validation and test panoramas."""
    split_seed: int = 0
    """Of the split by panorama, the same for all lambdas and seeds."""


def main(options: Options) -> int:
    """Check everything, tune for every lambda and seed, measure, report."""
    recipe, prefix = options.recipe, options.image.prompt_prefix
    sets = open_image_sets(options.image.images, options.image.captions, options.image.pixel_limit)
    models = describe_models(options.model)
    _check(options, sets, models)
    training, _, test = split_image_set(sets[0], options.split, options.split_seed)
    steps_per_epoch(training.images, recipe.batch_size_train)
    (fit,) = fits_of([options.fit], models[0].image_config)
    views = options.output.images_per_step()
    probe = ShiftProbe([test.images[0].width], SHIFTS, fits=[fit], views_per_step=views, mirror=True)
    with open_run(
        "lora_finetune", options, models=models, image_sets=sets, out=options.output.out
    ) as run:
        run.note(*impossible_measures(test, ALPHA))
        (checkpoint,) = run.load(options.model, models)
        adapted = add_adapter(checkpoint.clip, recipe.adapter, nnx.Rngs(0))
        (untuned,), notices = make_subjects(checkpoint, [fit], trade_off_prompts(test, prefix))
        run.note(*notices)

        def measure(clip: CLIP) -> NetworkMeasures:
            subject = dataclasses.replace(untuned, network=split_network(clip))
            return measure_network(subject, test, probe, views)

        print(f"measuring {checkpoint.identity.name} before tuning ...", flush=True)
        measured = measure(checkpoint.clip)
        before = measured.compared_to(measured, ALPHA)
        train = _training(options, checkpoint, training, fit)
        rows, curves = [], {}
        for lam, seed in itertools.product(recipe.lambdas, options.seeds):
            print(f"tuning: lambda {lam:g}, seed {seed} ...", flush=True)
            folder = run.folder / f"lambda-{lam:g}-seed-{seed}"
            _tune(folder, functools.partial(train, folder, lam=lam, seed=seed))
            run.computed = True
            tuned = measure(with_adapter(checkpoint, folder / "adapter").clip)
            row = {"lambda": lam, "seed": seed, "targets": recipe.targets}
            row["trainable"] = parameter_counts(adapted).trainable
            rows.append(row | tuned.compared_to(measured, ALPHA))
            curves[folder.name] = read_metric(folder / "metrics.csv", "loss")
            print(_line(rows[-1], before), flush=True)
        if not is_lead():
            return DONE
        table, memory = pa.Table.from_pylist(rows), memory_held(adapted, recipe)
        means = mean_table(table, before)
        run.write("trade_off", table)
        run.write("means", means)
        lines = [*(_line(row, before) for row in rows), f"memory: {memory}"]
        page = trade_off_page(table, means, fit, curves)
        return run.publish(page, lines, _faults(options, checkpoint, fit), memory=memory)


def _check(
    options: Options, sets: Sequence[ImageSet], models: Sequence[CheckpointDescription]
) -> None:
    """Refuse what could only fail after the expensive part."""
    if len(sets) != 1 or len(models) != 1 or options.model.adapter is not None:
        raise InputError("one model, without an adapter, is tuned on one set of images")
    images, config = sets[0].images, models[0].image_config
    for flag, given in (
        ("--lambdas", [f"{lam:g}" for lam in options.recipe.lambdas]),
        ("--seeds", options.seeds),
    ):
        if len(set(given)) < len(given):
            raise InputError(f"{flag}: one is given twice")
    shares = options.split
    valid = all(0 <= share < float("inf") for share in shares)
    if len(shares) != 3 or not any(shares) or not valid:
        raise InputError("--split: three shares of 0 or more are expected")
    check_targets(options.recipe.adapter)
    if odd := not_two_to_one(images):
        raise InputError(f"{sets[0].name}: {odd[0]}")
    steps_per_epoch(images, 1)
    for fit in fits_of([options.fit], config):
        place(images[0].height, images[0].width, config.size, fit)
    data_mesh(options.recipe.batch_size_train)


def _training(
    options: Options, checkpoint: Checkpoint, training: ImageSet, fit: Fit
) -> Callable[..., CLIP]:
    """`train_adapter` for a folder, lambda and seed: what all share is computed here, once."""
    prompts = [[options.image.prompt_prefix + caption] for caption in training.captions]
    (subject,), _ = make_subjects(checkpoint, [fit], prompts)
    scores = unshifted_scores(subject, training.images, options.output.images_per_step())
    return functools.partial(
        train_adapter,
        checkpoint.clip,
        options.recipe,
        checkpoint.image_config,
        fit,
        training.images,
        jnp.asarray(subject.texts[:, 0]),
        scores,
        epochs_between_checkpoints=EPOCHS_BETWEEN_CHECKPOINTS,
    )


def _tune(folder: Path, train: Callable[[], CLIP]) -> None:
    """Train and save one adapter, unless an earlier run has."""
    there = (folder / "adapter" / "adapter_config.json").exists()
    wait_for_all(f"looked for the adapter of {folder.name}")
    if not there:
        trained = train()
        if is_lead():
            save_adapter(trained, folder / "adapter")
        wait_for_all(f"saved the adapter of {folder.name}")


def _line(row: dict[str, Any], before: dict[str, Any]) -> str:
    def pair(name: str, form: str) -> str:
        return " -> ".join(written(values[name], form) for values in (before, row))

    def written(value: float | None, form: str) -> str:
        return "n/a" if value is None else format(value, form)

    return (
        f"lambda {row['lambda']:g}, seed {row['seed']}: median |d| {pair('median_change', '.3f')}; "
        f"right caption among 16 {pair('right_caption', '.1%')}; "
        f"Spearman {written(row['spearman'], '.3f')}; keyword effect "
        f"{pair('keyword_effect', '+.2f')}"
    )


def _faults(options: Options, checkpoint: Checkpoint, fit: Fit) -> list[FaultChoice]:
    """Which faults of the paper's code this run repeats: all that tuning has a choice in."""
    recipe = options.recipe
    lambdas = ", ".join(f"{lam:g}" for lam in recipe.lambdas)
    return [
        crop_choice([fit]),
        activation_choice(checkpoint.identity.overridden, options.model.activation),
        LORA_TARGETS.choose(recipe.targets == "reference", f"targets: {recipe.targets}"),
        NO_ANCHOR.choose(
            1 in recipe.lambdas,
            f"lambdas: {lambdas}; held to the untuned scores: {recipe.anchor}",
        ),
        DROPOUT_MASKS.choose(recipe.dropout_masks == "different", f"masks: {recipe.dropout_masks}"),
    ]


if __name__ == "__main__":
    run_command(Options, main, __doc__)
