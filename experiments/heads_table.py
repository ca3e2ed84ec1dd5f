"""What do re-projection heads do to ranks among hard negatives, and to retrieval?

    python -m experiments.heads_table --warm-up-features COCO --hard-features TRAINING
        --hard-validation VALIDATION --test-features TEST

The table of paper 2: every head through the warm-up on captions and through training against hard
negatives, all seeds at once, measured before, between and after. Folders of features come from
`experiments.extract_features`; without any, the demo world's are made, for which 60,000 photos are
rendered. Writes results.csv (one row per head, stage and seed), table.csv, heads/*.safetensors,
figures/ and report.html. On two CPU cores the demo world takes an hour, most of it rendering.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any, Literal, get_args

import pyarrow as pa
from jclip.runs.publish import publish

from jclip.data.features import FEATURES_FILE, Features, read_features, require_same_model
from jclip.errors import InputError
from jclip.files.digests import sha256
from jclip.files.tables import write_csv
from jclip.heads import (
    Head,
    HeadConfig,
    HeadKind,
    Initialisation,
    ScoreFunction,
    TextAxis,
    base_of,
    save_head,
)
from jclip.probes.head_measures import RECALLS, measure_cosine, measure_head
from jclip.probes.retrieval import Normalisation
from jclip.report.head_training_page import head_faults
from jclip.report.heads_page import heads_page, heads_table
from jclip.report.provenance import FaultChoice
from jclip.runs.command import run_command
from jclip.runs.options import Integers, ModelOptions, Names, OutputOptions
from jclip.runs.record import default_folder, open_run
from jclip.training.head_batches import RECIPES, HeadRecipe, SameImage
from jclip.training.head_data import box_captions, caption_pairs, retrieval_pairs
from jclip.training.head_training import HeadRun, train_heads

from . import extract_features

HEADS = get_args(HeadKind)
FOLDERS = (
    "warm_up_features",
    "warm_up_validation",
    "hard_features",
    "hard_validation",
    "test_features",
    "retrieval_features",
)
# The demo model looks at 64 pixels: the middle of a box shows an object's pattern and material
# larger. Its embeddings hold little of both, so that many boxes and epochs are needed.
DEMO_RATES, DEMO_EPOCHS, DEMO_BOX_SCALE = (1e-3, 5e-4), 40, 0.75
Split = Literal["train", "validation", "test"]
DEMO_SCENES: dict[str, dict[Split, int]] = {
    "coco": {"train": 3000, "validation": 300, "test": 600},
    "annotations": {"validation": 300, "test": 600},
}
DEMO_SOURCES: dict[str, dict[str, Any]] = {
    "coco": {"coco": "demo"},
    "annotations": {"annotations": ("demo",), "box_scale": DEMO_BOX_SCALE},
}


@dataclasses.dataclass(frozen=True)
class Options:
    """Which features, which heads, and how they are trained."""

    warm_up_features: Path | None = None
    """Folder of images with captions, its split train; none of the folders: the demo world's."""
    warm_up_validation: Path | None = None
    """Folder of images with captions to validate with; default: the split val of the former."""
    hard_features: Path | None = None
    """Folder of boxes with hard negatives to train on, its set 1_attributes."""
    hard_validation: Path | None = None
    """Folder of boxes to validate with; default: a tenth of the images of the former."""
    test_features: Path | None = None
    """Folder of the boxes that are ranked, all their sets."""
    retrieval_features: Path | None = None
    """Folder of images with captions to retrieve; default: split test of --warm-up-features."""
    demo_scenes: int = 60_000
    """Scenes of the demo world to train on against hard negatives; one in about as many boxes."""
    heads: Names = HEADS
    """Kinds of heads: linear, linear_visual, linear_text, mlp, attention."""
    score_function: ScoreFunction = "cosine"
    """Of all but the attention head; sigmoid_cosine is the paper's."""
    initialisation: Initialisation = "pytorch"
    """Where heads start, but for the attention head."""
    seeds: Integers = (0, 1, 2, 3, 4)
    """Each trains every head through both stages."""
    warm_up_rate: float | None = None
    """Learning rate of the warm-up: 5e-5, the paper's; 1e-3 for the demo world, which is small."""
    hard_rate: float | None = None
    """Learning rate against hard negatives: 1e-5, the paper's; 5e-4 for the demo world."""
    warm_up_margin: float = RECIPES["warm-up"][1]
    """Margin of the warm-up."""
    hard_margin: float = RECIPES["hard-negatives"][1]
    """Margin of the training against hard negatives."""
    epochs: int | None = None
    """Of each stage: 10, the paper's; 40 for the demo world."""
    batch_size: int = 256
    """Examples per step."""
    same_image: SameImage = "masked"
    """Whether other captions of an image are masked, or negatives as in the paper's code."""
    text_axis: TextAxis = "features"
    """Along which hard negatives are normalised in training; captions in the paper's code."""
    normalisation: Normalisation = "corrected"
    """Of retrieval before any head; reference repeats the paper's fault."""
    out: Path | None = None
    """Folder of results; default runs/heads_table-HASH. The same run into it resumes."""

    @property
    def demo(self) -> bool:
        """Whether the demo world's features are made: no folder is named."""
        return not any(getattr(self, name) for name in FOLDERS)

    def recipes(self) -> tuple[HeadRecipe, HeadRecipe]:
        """How the two stages go."""
        default = DEMO_EPOCHS if self.demo else HeadRecipe.epochs
        epochs = default if self.epochs is None else self.epochs
        shared: dict[str, Any] = {"epochs": epochs, "batch_size": self.batch_size}
        return (
            HeadRecipe("warm-up", same_image=self.same_image, **shared),
            HeadRecipe("hard-negatives", text_axis=self.text_axis, **shared),
        )

    def rates(self) -> tuple[float, float]:
        """Learning rates of the two stages."""
        paper = RECIPES["warm-up"][0], RECIPES["hard-negatives"][0]
        default = DEMO_RATES if self.demo else paper
        warm_up, hard = self.warm_up_rate, self.hard_rate
        rates = default[0] if warm_up is None else warm_up, default[1] if hard is None else hard
        if worst := [rate for rate in rates if not 0 < rate < float("inf")]:
            raise InputError(f"learning rate {worst[0]:g}: more than 0 is expected")
        return rates

    def configs(self, size: int) -> list[HeadConfig]:
        """All heads."""
        if unknown := [kind for kind in self.heads if kind not in HEADS]:
            raise InputError(f"head {unknown[0]}: none of {', '.join(HEADS)}")
        return [
            HeadConfig(kind, size, "sigmoid_cosine" if kind == "attention" else self.score_function)
            for kind in HEADS
            if kind in self.heads
        ]


@dataclasses.dataclass(frozen=True)
class Data:
    """The features of every purpose, all of one model."""

    warm_up: Features
    warm_up_validation: Features | None
    hard: Features
    hard_validation: Features | None
    boxes: Features
    retrieval: Features


def main(options: Options) -> int:
    """Check everything, then train and measure every head; returns the exit status."""
    recipes = options.recipes()
    folders = _folders(options)
    data = _read(folders)
    configs = options.configs(data.warm_up.images.shape[1])
    identity = _identity(options, folders)
    folder = options.out or default_folder("heads_table", identity)
    open_run(folder, "heads_table", identity)
    before = measure_cosine(data.boxes, data.retrieval, options.normalisation)
    rows: list[dict[str, Any]] = [{"head": "CLIP", "stage": "before", "seed": 0, **before}]
    print(_line(rows[-1]), flush=True)
    for config in configs:
        for stage, seed, head in _train(options, config, recipes, data, folder):
            named = {"head": config.kind, "stage": stage, "seed": seed}
            rows.append({**named, **measure_head(head, data.boxes, data.retrieval)})
            print(_line(rows[-1]), flush=True)
    write_csv(folder / "results.csv", pa.Table.from_pylist(rows))
    write_csv(folder / "table.csv", table := heads_table(rows))
    faults = [_retrieval_fault(options), *head_faults(configs, recipes, options.seeds)]
    page = heads_page(
        rows,
        [name for name in before if name not in ("mean_rank", *RECALLS)],
        settings=json.loads((folder / "run.json").read_text()),
        faults=faults,
        notices=(),
    )
    lines = [_line(row) for row in table.to_pylist()]
    return publish(folder, page, lines=lines, notices=(), faults=faults)


def _folders(options: Options) -> dict[str, Path | None]:
    """The folders of features; those of the demo world if none is named."""
    if not options.demo:
        folders: dict[str, Path | None] = {name: getattr(options, name) for name in FOLDERS}
        for name in ("warm_up_features", "hard_features", "test_features"):
            if folders[name] is None:
                raise InputError(f"--{name.replace('_', '-')} is missing")
        return folders
    made = {}
    for kind, names in (
        ("coco", ("warm_up_features", "warm_up_validation", "retrieval_features")),
        ("annotations", ("hard_features", "hard_validation", "test_features")),
    ):
        counts: dict[Split, int] = {"train": options.demo_scenes, **DEMO_SCENES[kind]}
        for name, (split, scenes) in zip(names, counts.items(), strict=True):
            made[name] = Path("runs") / f"demo-{kind}-{split}-{scenes}"
            extract_features.main(
                extract_features.Options(
                    ModelOptions(),
                    OutputOptions(out=made[name]),
                    demo_scenes=scenes,
                    demo_split=split,
                    **DEMO_SOURCES[kind],
                )
            )
    return made


def _read(folders: dict[str, Path | None]) -> Data:
    read = {name: folder and read_features(folder) for name, folder in folders.items()}
    warm_up, hard, boxes = (read[f"{name}_features"] for name in ("warm_up", "hard", "test"))
    assert warm_up and hard and boxes
    for other in read.values():
        if other is not None:
            require_same_model(warm_up, other)
    retrieval = read["retrieval_features"] or retrieval_pairs(warm_up)
    return Data(
        warm_up, read["warm_up_validation"], hard, read["hard_validation"], boxes, retrieval
    )


def _train(
    options: Options,
    config: HeadConfig,
    recipes: tuple[HeadRecipe, HeadRecipe],
    data: Data,
    folder: Path,
) -> list[tuple[str, int, Head]]:
    """One kind of head through both stages: (stage, seed, head), in this order."""
    print(f"training: {config.kind}, {len(options.seeds)} seeds ...", flush=True)
    parts = (
        caption_pairs(data.warm_up, data.warm_up_validation),
        box_captions(data.hard, data.hard_validation),
    )
    margins = options.warm_up_margin, options.hard_margin
    initialisation = "pytorch" if config.kind == "attention" else options.initialisation
    initial, results = None, []
    for recipe, part, rate, margin in zip(recipes, parts, options.rates(), margins, strict=True):
        runs = [HeadRun(seed, rate, margin) for seed in options.seeds]
        own = folder / "training" / config.kind / recipe.stage
        trained = train_heads(
            config, recipe, runs, *part, own, initialisation=initialisation, initial=initial
        )
        initial = [one.head for one in trained]
        for one in trained:
            name = f"{config.kind}_{recipe.stage}_seed-{one.run.seed}.safetensors"
            save_head(one.head, folder / "heads" / name, base=base_of(data.warm_up))
            results.append((recipe.stage, one.run.seed, one.head))
    return results


def _line(row: dict[str, Any]) -> str:
    which = f"seed {row['seed']}" if "seed" in row else f"{row['seeds']} seeds"
    recalls = " ".join(f"{row[name]:.1f}" for name in RECALLS)
    return f"{row['head']}, {row['stage']}, {which}: mean rank {row['mean_rank']:.2f}; {recalls}"


def _identity(options: Options, folders: dict[str, Path | None]) -> dict[str, object]:
    """What makes two runs the same: everything that changes a number."""
    own = dataclasses.asdict(options)
    for name in ("out", "warm_up_rate", "hard_rate", "demo_scenes", *FOLDERS):
        own.pop(name)
    own["epochs"] = options.recipes()[0].epochs
    digests = {name: path and sha256(path / FEATURES_FILE) for name, path in folders.items()}
    return {**own, "learning_rates": options.rates(), "features": digests}


def _retrieval_fault(options: Options) -> FaultChoice:
    return FaultChoice(
        "retrieval before any head normalises over the samples",
        options.normalisation,
        "over samples" if options.normalisation == "reference" else "over features",
    )


if __name__ == "__main__":
    run_command(Options, main, __doc__)
