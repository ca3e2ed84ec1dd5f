"""Can a small map on top of CLIP's frozen embeddings read out what tells fine details apart?

    python -m experiments.train_heads --stage warm-up --features COCO --seeds 0,1,2,3,4 --out W
    python -m experiments.train_heads --stage hard-negatives --features BOXES --from W

Heads and their training in paper 2, on folders that `experiments.extract_features` writes: a
warm-up on images and captions, then boxes against their hard negatives. All seeds, learning rates
and margins train at once; of each run the epoch with the lowest validation loss is kept. Writes
heads/*.safetensors, runs.csv, settings.csv, learning_curves.csv, figures/ and report.html.
"""

import csv
import dataclasses
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from jclip.data.features import Features, features_digest, read_features, require_same_model
from jclip.errors import InputError
from jclip.files.digests import sha256
from jclip.heads import (
    Head,
    HeadConfig,
    HeadKind,
    Initialisation,
    ScoreFunction,
    load_head,
    require_base,
    save_head,
)
from jclip.report.faults import Choice
from jclip.report.head_faults import few_negatives_choice, head_choices
from jclip.report.head_training_page import training_notices, training_page
from jclip.report.training_tables import curve_table, run_table, setting_table
from jclip.runs.command import run_command
from jclip.runs.options import Flag, Integers, Numbers, OutFolder
from jclip.runs.record import Silent
from jclip.runs.run import open_run
from jclip.training.head_batches import RECIPES, HeadRecipe
from jclip.training.head_data import TRAINING_SET, box_captions, caption_pairs
from jclip.training.head_training import HeadRun, train_heads

PAPERS_NEGATIVES = 10


@dataclasses.dataclass(frozen=True)
class Options:
    """What is trained, on what, and how."""

    features: Annotated[Path, Silent]
    """Folder of features: of images with captions for the warm-up, of boxes for hard negatives."""
    validation_features: Annotated[Path | None, Silent] = None
    """Folder of features to validate with; default: split val, or a tenth of the boxes' images."""
    training_set: str = TRAINING_SET
    """The set of boxes that hard negatives are of; 1_attributes is Hard, the paper's."""
    head: Annotated[HeadKind | None, Silent] = None
    """What is trained, linear by default; with --from it is what those files hold."""
    score_function: Annotated[ScoreFunction | None, Silent] = None
    """cosine by default; sigmoid_cosine is the paper's. Attention heads have their own."""
    learned_scale: Annotated[Flag, Silent] = False
    """Train a factor of the cosine too."""
    initialisation: Initialisation = "pytorch"
    """Where heads start: as the paper's code draws them, or as the identity."""
    from_: Annotated[Path | None, Silent, tyro.conf.arg(name="from")] = None
    """Start from a head's file, or from the best heads of an earlier run, seed by seed."""
    allow_pickle: Annotated[Flag, Silent] = False
    """Start from .pt files too, read through torch with weights_only."""
    seeds: Annotated[Integers, Silent] = (0,)
    """Of initial parameters and order; each is one run per learning rate and margin."""
    learning_rates: Annotated[Numbers | None, Silent] = None
    """Of Adam. 5e-5 in the warm-up, 1e-5 for hard negatives, as in the paper."""
    margins: Annotated[Numbers | None, Silent] = None
    """Of triplets. 0.2 in the warm-up, 0.05 for hard negatives, as in the paper."""
    few_negatives: Choice = "corrected"
    """Whether boxes with fewer than ten hard negatives are trained on, or dropped as in the paper's
    code (reference)."""
    recipe: tyro.conf.OmitArgPrefixes[HeadRecipe] = dataclasses.field(default_factory=HeadRecipe)
    out: OutFolder = None

    def runs(self) -> list[HeadRun]:
        """Every seed with every learning rate and margin."""
        rate, margin = RECIPES[self.recipe.stage]
        grid = (self.seeds, self.learning_rates or (rate,), self.margins or (margin,))
        for name, values in zip(("seeds", "learning-rates", "margins"), grid, strict=True):
            if not values or len(set(values)) < len(values):
                raise InputError(f"--{name}: none is given, or one twice")
        return [HeadRun(*values) for values in itertools.product(*grid)]


def main(options: Options) -> int:
    """Check everything, train all runs at once, save, report."""
    recipe, runs = options.recipe, options.runs()
    folders = (options.features, options.validation_features)
    training = read_features(options.features)
    validation = options.validation_features and read_features(options.validation_features)
    if validation:
        require_same_model(training, validation)
    config, initial, files = _start(options, runs, training)
    recipe.check(config)
    least = PAPERS_NEGATIVES if options.few_negatives == "reference" else 0
    if recipe.stage == "warm-up":
        if least:
            raise InputError("--few-negatives: only of --stage hard-negatives")
        data = caption_pairs(training, validation)
    else:
        data = box_captions(training, validation, options.training_set, least)
    facts = {
        "features": [folder and features_digest(folder) for folder in folders],
        "head": dataclasses.asdict(config),
        "from": files,
        "runs": [dataclasses.asdict(run) for run in runs],
    }
    with open_run("train_heads", options, out=options.out, **facts) as run:
        trained = train_heads(
            config,
            recipe,
            runs,
            *data,
            run.folder,
            initialisation=options.initialisation,
            initial=initial,
        )
        for one in trained:
            file = run.folder / "heads" / f"{one.run.name}.safetensors"
            save_head(one.head, file, base=training.base)
        run.write("runs", run_table(trained))
        run.write("settings", setting_table(trained))
        run.write("learning_curves", curve_table(trained))
        examples = len(data[0].examples), len(data[1].examples)
        lines = [
            f"{one.run.name}: validation loss {one.validation_losses[0]:.4g} -> "
            f"{one.validation_loss:.4g} in epoch {one.best_epoch}"
            for one in trained
        ]
        run.note(*training_notices(trained, recipe))
        page = training_page(trained, config, recipe, examples)
        choices = head_choices([config], [recipe], options.seeds)
        if recipe.stage == "hard-negatives":
            choices.append(few_negatives_choice(least, data, one_set=validation is None))
            run.note(*([choices[-1].meaning] if least else []))
        return run.publish(page, lines, choices)


def _start(
    options: Options, runs: Sequence[HeadRun], features: Features
) -> tuple[HeadConfig, list[Head] | None, dict[str, str]]:
    """What the heads are, where each run starts, and the digests of the files it starts from."""
    if options.from_ is None:
        kind = options.head or "linear"
        attention = kind == "attention"
        own = options.score_function or ("sigmoid_cosine" if attention else "cosine")
        config = HeadConfig(kind, features.images.shape[1], own, options.learned_scale)
        return config, None, {}
    if options.head or options.score_function or options.learned_scale:
        raise InputError("--from: the files say what the head is; leave out --head and its score")
    paths = {seed: _earlier(options.from_, seed) for seed in options.seeds}
    heads = {}
    for seed, path in paths.items():
        require_base(path, features.base)
        heads[seed] = load_head(path, allow_pickle=options.allow_pickle)
    config = heads[options.seeds[0]].config
    if any(head.config != config for head in heads.values()):
        raise InputError(f"{options.from_}: heads of different kinds cannot be trained together")
    files = {str(seed): sha256(path) for seed, path in paths.items()}
    return config, [heads[run.seed] for run in runs], files


def _earlier(path: Path, seed: int) -> Path:
    """The file itself, or of a run's heads with this seed the one with the least validation loss.

    Raises:
        InputError: there is none.
    """
    if not path.is_dir():
        return path
    if not (path / "runs.csv").is_file():
        raise InputError(f"{path}: no runs.csv; --from wants a head's file or a finished run")
    with (path / "runs.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if int(row["seed"]) == seed]
    if not rows:
        raise InputError(f"{path / 'runs.csv'}: no run of seed {seed}")
    best = min(rows, key=lambda row: float(row["validation_loss"]))
    return path / "heads" / f"{best['run']}.safetensors"


if __name__ == "__main__":
    run_command(Options, main, __doc__)
