"""Which faults of paper 1's fine-tuning a run repeats."""

from jclip.report import faults
from jclip.training.lora.recipe import LoRARecipe


def tuning_choices(
    recipe: LoRARecipe, fit: str, overridden: bool, activation: str | None
) -> list[faults.FaultChoice]:
    """All faults of paper 1's code that tuning for shift invariance has a choice in."""
    lambdas = ", ".join(f"{lam:g}" for lam in recipe.lambdas)
    anchored = f"lambdas: {lambdas}; held to the untuned scores: {recipe.anchor}"
    masks = recipe.dropout_masks
    return [
        *faults.model_choices([fit], overridden, activation),
        faults.LORA_TARGETS.choose(recipe.targets == "reference", f"targets: {recipe.targets}"),
        faults.NO_ANCHOR.choose(1 in recipe.lambdas, anchored),
        faults.DROPOUT_MASKS.choose(masks == "different", f"masks: {masks}"),
    ]
