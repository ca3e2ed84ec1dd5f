"""What do re-projection heads do to ranks among hard negatives, and to retrieval?

    python -m experiments.heads_table --warm-up-features COCO --hard-features TRAINING
        --hard-validation VALIDATION --test-features TEST

The table of paper 2: every head through the warm-up on captions and through training against hard
negatives, all seeds at once, measured before, between and after. Folders of features come from
`experiments.extract_features`; without any, the demo world's are made, for which 60,000 photos are
rendered. `--also hard_negatives` measures heads on foils that they never saw. Writes results.csv
(one row per head, stage and seed), table.csv, heads/*.safetensors, figures/ and report.html. On two
CPU cores the demo world takes an hour, most of it rendering.
"""

import dataclasses
from pathlib import Path
from typing import Annotated, get_args

import pyarrow as pa
import tyro

from experiments import hard_negatives
from jclip.checkpoints import describe_checkpoint
from jclip.errors import InputError
from jclip.heads import (
    Head,
    HeadConfig,
    HeadKind,
    Initialisation,
    ScoreFunction,
    TextAxis,
    save_head,
)
from jclip.probes.head_foils import best_key, measured_row
from jclip.probes.heads import RECALLS, measure_cosine, measure_head
from jclip.probes.retrieval import Normalisation
from jclip.report import faults
from jclip.report.head_faults import head_choices
from jclip.report.head_foils import with_unseen_foils
from jclip.report.heads_page import heads_page, result_line
from jclip.report.training_tables import heads_table
from jclip.runs.boxes import DEMO
from jclip.runs.command import run_command
from jclip.runs.head_features import HeadFeatureOptions, HeadFeatures
from jclip.runs.head_foils import HeadFoilOptions
from jclip.runs.options import Integers, Names, OutFolder
from jclip.runs.record import Silent
from jclip.runs.run import open_run
from jclip.training.head_batches import RECIPES, HeadRecipe, SameImage
from jclip.training.head_data import box_captions, caption_pairs
from jclip.training.head_training import HeadRun, train_heads

HEADS = get_args(HeadKind)
# The demo model's embeddings hold little of patterns and materials, so that many epochs are needed.
DEMO_RATES, DEMO_EPOCHS = (1e-3, 5e-4), 40


@dataclasses.dataclass(frozen=True)
class Options:
    """Which features, which heads, and how they are trained."""

    features: tyro.conf.OmitArgPrefixes[HeadFeatureOptions] = dataclasses.field(
        default_factory=HeadFeatureOptions
    )
    heads: Names = HEADS
    """Kinds of heads: linear, linear_visual, linear_text, mlp, attention."""
    score_function: ScoreFunction = "cosine"
    """Of all but the attention head; sigmoid_cosine is the paper's."""
    initialisation: Initialisation = "pytorch"
    """Where heads start, but for the attention head."""
    seeds: Integers = (0, 1, 2, 3, 4)
    """Each trains every head through both stages."""
    warm_up_rate: Annotated[float | None, Silent] = None
    """Learning rate of the warm-up: 5e-5, the paper's; 1e-3 for the demo world, which is small."""
    hard_rate: Annotated[float | None, Silent] = None
    """Learning rate against hard negatives: 1e-5, the paper's; 5e-4 for the demo world."""
    warm_up_margin: float = RECIPES["warm-up"][1]
    """Margin of the warm-up."""
    hard_margin: float = RECIPES["hard-negatives"][1]
    """Margin of the training against hard negatives."""
    epochs: Annotated[int | None, Silent] = None
    """Of each stage: 10, the paper's; 40 for the demo world."""
    batch_size: int = 256
    """Examples per step."""
    same_image: SameImage = "masked"
    """Whether other captions of an image are masked, or negatives as in the paper's code."""
    text_axis: TextAxis = "features"
    """Along which hard negatives are normalised in training; captions in the paper's code."""
    normalisation: Normalisation = "corrected"
    """Of retrieval before any head; reference repeats the paper's fault."""
    unseen: tyro.conf.OmitArgPrefixes[HeadFoilOptions] = dataclasses.field(
        default_factory=HeadFoilOptions
    )
    out: OutFolder = None

    def stages(self) -> list[tuple[HeadRecipe, list[HeadRun]]]:
        """The two stages, each with the runs of all seeds.

        Raises:
            InputError: a number is out of range.
        """
        demo = self.features.demo
        rates = DEMO_RATES if demo else [rate for rate, _ in RECIPES.values()]
        given = (self.warm_up_rate, self.hard_rate)
        margins = (self.warm_up_margin, self.hard_margin)
        epochs = DEMO_EPOCHS if demo else HeadRecipe.epochs
        stages = []
        for stage, default, own, margin in zip(RECIPES, rates, given, margins, strict=True):
            recipe = HeadRecipe(
                stage,
                epochs=epochs if self.epochs is None else self.epochs,
                batch_size=self.batch_size,
                same_image=self.same_image,
                text_axis=self.text_axis,
            )
            rate = default if own is None else own
            stages.append((recipe, [HeadRun(seed, rate, margin) for seed in self.seeds]))
        return stages

    def configs(self, size: int) -> list[HeadConfig]:
        """All heads."""
        if unknown := [kind for kind in self.heads if kind not in HEADS]:
            raise InputError(f"head {unknown[0]}: none of {', '.join(HEADS)}")
        return [
            HeadConfig(kind, size, "sigmoid_cosine" if kind == "attention" else self.score_function)
            for kind in HEADS
            if kind in self.heads
        ]


def main(options: Options) -> int:
    """Check everything, then train and measure every head; returns the exit status."""
    stages, demo = options.stages(), options.features.demo
    options.unseen.check(demo=demo)
    features = None if demo else options.features.read()
    size = describe_checkpoint(DEMO).config.embedding_width
    configs = options.configs(size if features is None else features.warm_up.images.shape[1])
    facts = {
        "epochs": stages[0][0].epochs,
        "learning_rates": [runs[0].learning_rate for _, runs in stages],
        "features": options.features.demo_scenes if features is None else features.digests,
    }
    with open_run("heads_table", options, out=options.out, **facts) as run:
        features = features or options.features.read()
        run.confirm("features", features.digests)
        before = measure_cosine(features.test, features.retrieval, options.normalisation)
        foils = options.unseen.read(features.warm_up.base, hard_negatives.demo_run)
        rows = [measured_row(clip := ("CLIP", "before", 0), before, foils, None)]
        print(result_line(rows[-1]), flush=True)
        for config in configs:
            for stage, seed, head in _train(options, config, features, run.folder):
                measured = measure_head(head, features.test, features.retrieval)
                rows.append(measured_row((config.kind, stage, seed), measured, foils, head))
                print(result_line(rows[-1]), flush=True)
        run.write("results", pa.Table.from_pylist(rows))
        run.write("table", table := heads_table(rows))
        repeated = options.normalisation == "reference"
        meaning = "over samples" if repeated else "over features"
        choices = [
            faults.RETRIEVAL_AXIS.choose(repeated, meaning),
            *head_choices(configs, [recipe for recipe, _ in stages], options.seeds),
        ]
        sets = [name for name in before if name not in ("mean_rank", *RECALLS)]
        lines, page = [result_line(row) for row in table.to_pylist()], heads_page(table, sets)
        if foils is not None:
            run.write("foils", compared := foils.compare(clip, best_key(rows)))
            page = with_unseen_foils(page, table, foils.columns, compared)
        return run.publish(page, lines, choices)


def _train(
    options: Options, config: HeadConfig, features: HeadFeatures, folder: Path
) -> list[tuple[str, int, Head]]:
    """One kind of head through both stages: (stage, seed, head), in this order."""
    print(f"training: {config.kind}, {len(options.seeds)} seeds ...", flush=True)
    parts = (
        caption_pairs(features.warm_up, features.warm_up_validation),
        box_captions(features.hard, features.hard_validation),
    )
    initialisation = "pytorch" if config.kind == "attention" else options.initialisation
    initial, results = None, []
    for (recipe, runs), part in zip(options.stages(), parts, strict=True):
        own = folder / "training" / config.kind / recipe.stage
        trained = train_heads(
            config, recipe, runs, *part, own, initialisation=initialisation, initial=initial
        )
        initial = [one.head for one in trained]
        for one in trained:
            name = f"{config.kind}_{recipe.stage}_seed-{one.run.seed}.safetensors"
            save_head(one.head, folder / "heads" / name, base=features.warm_up.base)
            results.append((recipe.stage, one.run.seed, one.head))
    return results


if __name__ == "__main__":
    run_command(Options, main, __doc__)
