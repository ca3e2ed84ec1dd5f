"""Which faults of paper 2's training of heads a run repeats."""

from collections.abc import Sequence

from jclip.heads import HeadConfig
from jclip.report import faults
from jclip.report.faults import FaultChoice
from jclip.training.head_batches import BoxCaptions, HeadData, HeadRecipe


def head_choices(
    configs: Sequence[HeadConfig], recipes: Sequence[HeadRecipe], seeds: Sequence[int]
) -> list[FaultChoice]:
    """All that training, by the recipes of its stages and with the seeds, has a choice in."""
    chosen = []
    for recipe in recipes:
        if recipe.stage == "warm-up":
            repeated = recipe.same_image == "negatives"
            meaning = "they do" if repeated else "they are neither right nor wrong"
            chosen.append(faults.SAME_IMAGE_NEGATIVES.choose(repeated, meaning))
        else:
            repeated = recipe.text_axis == "captions"
            meaning = f"normalised over {recipe.text_axis}"
            chosen.append(faults.TEXT_AXIS.choose(repeated, meaning))
    if scores := {c.score_function for c in configs if c.kind != "attention"}:
        repeated = "sigmoid_cosine" in scores and not any(c.learned_scale for c in configs)
        meaning = f"score: {', '.join(sorted(scores))}"
        chosen.append(faults.SQUEEZED_SCORE.choose(repeated, meaning))
    meaning = f"seeds: {', '.join(map(str, seeds))}"
    return [*chosen, faults.ONE_SEED.choose(len(seeds) == 1, meaning)]


def few_negatives_choice(least: int, data: Sequence[HeadData], *, one_set: bool) -> FaultChoice:
    """What became of boxes with fewer negatives than `least`, which is 0 where all are kept.

    `data` are the boxes of training and of validation, parts of one set or two sets.
    """
    placed = [len(part.boxes) for part in data if isinstance(part, BoxCaptions)]
    boxes = placed[0] if one_set else sum(placed)
    dropped = boxes - sum(len(part.examples) for part in data)
    meaning = f"{dropped} of {boxes} boxes have fewer than {least} negatives and are dropped"
    kept = "they are kept, what is missing is masked"
    return faults.FEW_NEGATIVES_DROPPED.choose(least > 0, meaning if least else kept)
