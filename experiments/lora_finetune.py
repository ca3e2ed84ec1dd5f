"""Can LoRA make the CLIP score of a panorama survive circular shifts, and at what price?

    python -m experiments.lora_finetune --lambdas 0,0.25,0.5,0.75,1 --fit crop

Fine-tuning in paper 1. Tunes the image tower for every lambda and seed, and measures each result on
panoramas that it did not see: stability under shifts against what else changed. Writes an adapter
in peft's layout per lambda and seed, trade_off.csv, figures/ and report.html; `shift_sweep` and
`keyword_probe` take such an adapter with --adapter. On the demo model and 480 panoramas a lambda
takes about two minutes on two CPU cores.
"""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import pyarrow as pa
import tyro
from flax import nnx

from jclip.adapters import add_adapter, check_targets, merge_adapter, parameter_counts
from jclip.checkpoints import Checkpoint
from jclip.checkpoints.peft import load_adapter, save_adapter
from jclip.data.image_sets import ImageSet, not_two_to_one, open_image_sets, split_image_set
from jclip.data.training_batches import image_batches, steps_per_epoch
from jclip.distributed import data_mesh, is_lead, replicate, shard_batch, wait_for_all
from jclip.errors import InputError
from jclip.files.tables import write_csv
from jclip.images import Fit, plan_views
from jclip.images.geometry import place
from jclip.probes.shift import shifts_by_width
from jclip.probes.shift_tuning import (
    Measured,
    Texts,
    distinct_captions,
    embed_set,
    measure,
    texts_of,
)
from jclip.report.provenance import FaultChoice, activation_choice, crop_choice
from jclip.report.trade_off_page import trade_off_page
from jclip.runs.command import DONE, run_command
from jclip.runs.record import default_folder, open_run
from jclip.runs.models import describe_models, load_models, models_identity
from jclip.runs.options import Flag, ImageOptions, Integers, ModelOptions, Numbers, OutputOptions
from jclip.runs.processes import ProcessOptions
from jclip.runs.publish import publish
from jclip.statistics.bound_tests import minimum_images
from jclip.training.adapter_step import adapter_step
from jclip.training.learning_curve import read_learning_curve
from jclip.training.loop import fit as train
from jclip.training.recipes import RECIPES, LoRARecipe
from jclip.training.shift_invariance import Anchor, DropoutMasks, Frozen

ALPHA = 0.01
EPOCHS_BETWEEN_CHECKPOINTS = 2


@dataclasses.dataclass(frozen=True)
class Options:
    """What is tuned, on what, and how; a constant that is not given is the recipe's."""

    model: tyro.conf.OmitArgPrefixes[ModelOptions]
    image: tyro.conf.OmitArgPrefixes[ImageOptions]
    output: tyro.conf.OmitArgPrefixes[OutputOptions]
    processes: tyro.conf.OmitArgPrefixes[ProcessOptions] = dataclasses.field(
        default_factory=ProcessOptions
    )
    fit: Fit = "crop"
    """How a panorama becomes a square: crop (the paper's), squash, pad, tiles."""
    recipe: Literal["corrected", "reference"] = "corrected"
    """Whose constants: ours, or the paper's."""
    lambdas: Numbers | None = None
    """Weights of shifted against original score; the rest anchors to the untuned score. 0.5; 1."""
    targets: str | None = None
    """Adapted layers: all, attention, reference (the first MLP product) or a regular expression."""
    dropout_masks: DropoutMasks | None = None
    """Whether a panorama and its shifted copy share dropout masks. same; different."""
    anchor: Anchor | None = None
    """Which scores are held to the untuned ones: both; only the shifted. both; shifted."""
    learning_rate: float | None = None
    """Of AdamW, without a schedule. 3e-4; 1e-5."""
    rank: int | None = None
    """Of the update of each kernel. 8."""
    alpha: float | None = None
    """The update is scaled by alpha / rank. 16."""
    dropout: float | None = None
    """Share of the adapter's input that is dropped. 0.1."""
    use_rslora: Flag | None = None
    """Scale by alpha / sqrt(rank) instead."""
    epochs: int | None = None
    """Passes over the training panoramas, each with new shifts. 20."""
    batch_size_train: int | None = None
    """Panoramas per step. 16."""
    weight_decay: float | None = None
    """Of AdamW. 0.01."""
    clip_norm: float | None = None
    """Longest gradient, over all factors. 1."""
    seeds: Integers = (0,)
    """Of initial factors, order, shifts and dropout; each trains once per lambda."""
    split: Numbers = (0.7, 0.1, 0.2)
    """Shares of training, validation and test panoramas."""
    split_seed: int = 0
    """Of the split by panorama, the same for all lambdas and seeds."""

    def settled(self) -> LoRARecipe:
        """The recipe with what was given."""
        names = {field.name: field.name for field in dataclasses.fields(LoRARecipe)}
        names["batch_size"] = "batch_size_train"
        given = {name: getattr(self, own) for name, own in names.items()}
        given = {name: value for name, value in given.items() if value is not None}
        return dataclasses.replace(RECIPES[self.recipe], **given)


@dataclasses.dataclass(frozen=True)
class Setting:
    """All that every lambda and seed shares."""

    options: Options
    recipe: LoRARecipe
    checkpoint: Checkpoint
    parts: Sequence[ImageSet]
    shifts: tuple[int, ...]
    texts: tuple[Texts, Texts]
    frozen_scores: jax.Array

    @property
    def first(self):
        """A panorama: all are of one size."""
        return self.parts[0].images[0]

    def measured(self, clip) -> Measured:
        """A network on the test panoramas."""
        options, config = self.options, self.checkpoint.image_config
        views = options.output.images_per_step()
        test, texts = self.parts[2], self.texts[1]
        return measure(clip, config, test, texts, self.shifts, options.fit, views)


def main(options: Options) -> int:
    """Check everything, tune for every lambda and seed, measure, report."""
    recipe = options.settled()
    sets = open_image_sets(options.image.images, options.image.captions, options.image.pixel_limit)
    models = describe_models(options.model)
    if len(sets) != 1 or len(models) != 1 or options.model.adapter is not None:
        raise InputError("one model, without an adapter, is tuned on one set of images")
    parts = split_image_set(sets[0], options.split, options.split_seed)
    _check(options, recipe, sets[0], models[0], parts)
    identity = _identity(options, recipe, sets[0], models)
    folder = options.output.out or default_folder("lora_finetune", identity)
    open_run(folder, "lora_finetune", identity)
    checkpoint = next(load_models(folder, options.model, models))
    setting = _setting(options, recipe, checkpoint, parts)
    print(f"measuring {checkpoint.identity.name} before tuning ...", flush=True)
    # Training is shared by all processes, measuring is not.
    before = setting.measured(checkpoint.clip) if is_lead() else None
    rows, curves = [], []
    for lam in recipe.lambdas:
        for seed in options.seeds:
            name = f"lambda-{lam:g}-seed-{seed}"
            print(f"tuning: lambda {lam:g}, seed {seed} ...", flush=True)
            _tune(setting, folder / name, lam, seed)
            if before is None:
                continue
            rows.append(_measure_tuned(setting, folder / name, lam, seed, before))
            curves.append((name, *read_learning_curve(folder / name / "metrics.csv", "loss")))
            print(_line(rows[-1], before), flush=True)
    if before is None:
        return DONE
    write_csv(folder / "trade_off.csv", pa.Table.from_pylist(rows))
    memory = _memory(setting)
    page = trade_off_page(
        rows,
        _baseline(before),
        settings={**json.loads((folder / "run.json").read_text()), "memory": memory},
        faults=(faults := _faults(options, recipe, checkpoint)),
        notices=(notices := [*sets[0].notices, *checkpoint.identity.notices]),
        learning_curve=curves,
    )
    lines = [*(_line(row, before) for row in rows), f"memory: {memory}"]
    return publish(folder, page, lines=lines, notices=notices, faults=faults, memory=memory)


def _check(options: Options, recipe: LoRARecipe, opened: ImageSet, model, parts) -> None:
    """Refuse what could only fail after the expensive part."""
    check_targets(recipe.adapter)
    _ = model.tokenizer
    if odd := not_two_to_one(opened.images):
        raise InputError(f"{opened.name}: {odd[0]}")
    steps_per_epoch(opened.images, 1)
    steps_per_epoch(parts[0].images, recipe.batch_size)
    needed = minimum_images(ALPHA)
    if len(parts[2].images) < needed:
        raise InputError(
            f"{len(parts[2].images)} test panoramas; the stability test needs {needed} or more"
        )
    if len(set(options.seeds)) < len(options.seeds):
        raise InputError("--seeds: one is given twice")
    for part in (parts[0], parts[2]):
        distinct_captions(part)
    data_mesh(recipe.batch_size)


def _identity(options: Options, recipe: LoRARecipe, opened: ImageSet, models) -> dict[str, object]:
    """What makes two runs the same: everything that changes a number."""
    return {
        **models_identity(options.model, models),
        "image_set": {opened.name: opened.identity},
        "prompt_prefix": options.image.prompt_prefix,
        "fit": options.fit,
        "recipe": {"name": options.recipe, **dataclasses.asdict(recipe)},
        "seeds": options.seeds,
        "split": options.split,
        "split_seed": options.split_seed,
    }


def _setting(options: Options, recipe: LoRARecipe, checkpoint: Checkpoint, parts) -> Setting:
    """Texts are embedded and frozen scores computed here, once for all lambdas and seeds."""
    first, size = parts[0].images[0], checkpoint.image_config.size
    place(first.height, first.width, size, options.fit)
    shifts = shifts_by_width([first.width], 8)[first.width]
    prefix, views = options.image.prompt_prefix, options.output.images_per_step()
    texts = texts_of(checkpoint, parts[0], prefix), texts_of(checkpoint, parts[2], prefix)
    unshifted, _ = embed_set(
        checkpoint.clip, checkpoint.image_config, parts[0], (0,), options.fit, views
    )
    scores = 100 * jnp.einsum("ne,ne->n", unshifted[:, 0], texts[0].prompts, precision="highest")
    return Setting(options, recipe, checkpoint, parts, shifts, texts, scores)


def _tune(setting: Setting, folder: Path, lam: float, seed: int) -> None:
    """Train one adapter, unless an earlier run has."""
    there = (folder / "adapter" / "adapter_config.json").exists()
    wait_for_all(f"looked for the adapter of {folder.name}")
    if there:
        return
    clip = add_adapter(setting.checkpoint.clip, setting.recipe.adapter, nnx.Rngs(seed))
    trained = _train(setting, clip, folder, lam, seed)
    if is_lead():
        save_adapter(trained, folder / "adapter")


def _measure_tuned(
    setting: Setting, folder: Path, lam: float, seed: int, before: Measured
) -> dict[str, Any]:
    """One row of the trade-off: what an adapter gained, and what it cost."""
    adapted = load_adapter(setting.checkpoint.clip, folder / "adapter").clip
    counts = parameter_counts(adapted)
    after = setting.measured(merge_adapter(adapted))
    return {
        "lambda": lam,
        "seed": seed,
        "targets": setting.recipe.targets,
        "trainable": counts.trainable,
        "median_change": after.median_change,
        "score_change": after.score_change(before),
        "spearman": after.spearman(before),
        "right_caption": after.right_caption,
        "keyword_effect": after.keyword_effect,
        # The paper's too is the bound of the untuned network.
        "stable_shifts": after.stable_shifts(before.beta, ALPHA),
        "tested_shifts": len(setting.shifts) - 1,
    }


def _train(setting: Setting, clip, folder: Path, lam: float, seed: int):
    """The adapter after the last step; going on where a killed run was."""
    recipe, images = setting.recipe, setting.parts[0].images
    config, fit = setting.checkpoint.image_config, setting.options.fit
    key = jax.random.key(seed)
    graph, state, parameters, step = adapter_step(clip, recipe, config, fit, key)
    mesh = data_mesh(recipe.batch_size)
    first = setting.first
    plan = plan_views(first.height, first.width, (0,), config.size, fit, config.interpolation)
    texts, scores = setting.texts[0].prompts, setting.frozen_scores
    frozen = Frozen(parameters, texts, scores, plan, jnp.float32(lam))
    steps = steps_per_epoch(images, recipe.batch_size)
    batches = image_batches(
        images, recipe.batch_size, recipe.epochs, seed, lambda batch: shard_batch(mesh, batch)
    )
    folder.mkdir(exist_ok=True)
    state = train(
        step,
        replicate(mesh, state),
        replicate(mesh, frozen),
        batches,
        folder,
        steps=steps * recipe.epochs,
        checkpoint_every=EPOCHS_BETWEEN_CHECKPOINTS * steps,
    )
    return nnx.merge(graph, state.trainable, parameters)


def _memory(setting: Setting) -> dict[str, str]:
    """What stays on the device while training; the frozen network has no optimiser state."""
    clip = add_adapter(setting.checkpoint.clip, setting.recipe.adapter, nnx.Rngs(0))
    config, fit = setting.checkpoint.image_config, setting.options.fit
    _, state, parameters, _ = adapter_step(clip, setting.recipe, config, fit, jax.random.key(0))
    parts = {
        "frozen parameters": parameters,
        "trained factors": state.trainable,
        "optimiser state": state.optimizer,
    }
    sizes = {name: sum(x.nbytes for x in jax.tree.leaves(tree)) for name, tree in parts.items()}
    found = {name: f"{size / 2**20:.2f} MiB" for name, size in sizes.items()}
    statistics = jax.local_devices()[0].memory_stats()
    if statistics and "peak_bytes_in_use" in statistics:
        found["peak on the device"] = f"{statistics['peak_bytes_in_use'] / 2**20:.0f} MiB"
    return found


def _baseline(before: Measured) -> dict[str, float]:
    return {
        "median_change": before.median_change,
        "right_caption": before.right_caption,
        "keyword_effect": before.keyword_effect,
        "stable_shifts": before.stable_shifts(before.beta, ALPHA),
        "tested_shifts": before.scores.shape[1] - 1,
    }


def _line(row: dict[str, Any], before: Measured) -> str:
    return (
        f"lambda {row['lambda']:g}, seed {row['seed']}: median |d| {before.median_change:.3f} -> "
        f"{row['median_change']:.3f}; right caption among 16 {before.right_caption:.1%} -> "
        f"{row['right_caption']:.1%}; Spearman {row['spearman']:.3f}; keyword effect "
        f"{before.keyword_effect:+.2f} -> {row['keyword_effect']:+.2f}"
    )


def _faults(options: Options, recipe: LoRARecipe, checkpoint: Checkpoint) -> list[FaultChoice]:
    """Which faults of the paper's code this run repeats: all that tuning has a choice in."""
    anchored = all(lam < 1 for lam in recipe.lambdas)
    return [
        crop_choice([options.fit]),
        activation_choice(checkpoint.identity.overridden, options.model.activation),
        FaultChoice(
            "only one of three kinds of LoRA targets acts",
            "reference" if recipe.targets == "reference" else "corrected",
            f"targets: {recipe.targets}",
        ),
        FaultChoice(
            "lambda = 1 has no anchor: a constant score minimises it",
            "corrected" if anchored else "reference",
            f"lambdas: {', '.join(f'{lam:g}' for lam in recipe.lambdas)}; held to the untuned "
            f"scores: {recipe.anchor}",
        ),
        FaultChoice(
            "dropout masks differ between a panorama and its shifted copy",
            "corrected" if recipe.dropout_masks == "same" else "reference",
            f"masks: {recipe.dropout_masks}",
        ),
    ]


if __name__ == "__main__":
    run_command(Options, main, __doc__)
