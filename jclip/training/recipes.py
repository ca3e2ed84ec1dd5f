"""Recipes of fine-tuning: every constant of paper 1's, and ours."""

import dataclasses
from typing import Literal

from jclip.adapters import LoRAConfig
from jclip.errors import InputError
from jclip.training.shift_invariance import Anchor, DropoutMasks


@dataclasses.dataclass(frozen=True)
class LoRARecipe:
    """How an adapter is trained for shift invariance.

    The defaults that differ from the paper's code: all dense layers instead of the one that acts,
    a loss that anchors both scores, dropout masks shared by a panorama and its shifted copy, and a
    learning rate at which a few hundred panoramas suffice.

    Raises:
        InputError: a constant is out of range.
    """

    lambdas: tuple[float, ...] = (0.5,)
    targets: str = "all"
    dropout_masks: DropoutMasks = "same"
    anchor: Anchor = "both"
    learning_rate: float = 3e-4
    rank: int = 8
    alpha: float = 16.0
    dropout: float = 0.1
    use_rslora: bool = False
    epochs: int = 20
    batch_size: int = 16
    weight_decay: float = 0.01
    clip_norm: float = 1.0

    def __post_init__(self):
        for lam in self.lambdas:
            if not 0 <= lam <= 1:
                raise InputError(f"lambda {lam:g}: from 0 to 1 is expected")
        for name in ("learning_rate", "epochs", "batch_size", "clip_norm"):
            if not 0 < getattr(self, name) < float("inf"):
                raise InputError(f"{name} {getattr(self, name):g}: more than 0 is expected")
        if not 0 <= self.weight_decay < float("inf"):
            raise InputError(f"weight decay {self.weight_decay:g}: 0 or more is expected")
        _ = self.adapter

    @property
    def adapter(self) -> LoRAConfig:
        """The adapter that is trained."""
        return LoRAConfig(self.rank, self.alpha, self.dropout, self.use_rslora, self.targets)


RECIPES: dict[Literal["corrected", "reference"], LoRARecipe] = {
    "corrected": LoRARecipe(),
    "reference": LoRARecipe(
        lambdas=(1.0,),
        targets="reference",
        dropout_masks="different",
        anchor="shifted",
        learning_rate=1e-5,
    ),
}
"""`reference` is paper 1's: r 8, alpha 16, AdamW 1e-5 without a schedule, 20 epochs of batches of
16, gradients clipped at 1, lambda 1; of its targets only the first MLP product acts."""
