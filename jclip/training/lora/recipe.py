"""Recipes of tuning for shift invariance: every constant of paper 1's, and ours."""

import dataclasses
from typing import Literal

import optax

from jclip.adapters.lora import LoRAConfig
from jclip.data.training_batches import LastBatch
from jclip.errors import InputError

DropoutMasks = Literal["same", "different"]
Anchor = Literal["both", "shifted"]


@dataclasses.dataclass(frozen=True)
class LoRARecipe:
    """How an adapter is trained for shift invariance.

    The defaults that differ from the paper's code: all dense layers instead of the one that acts,
    a loss that anchors both scores, dropout masks shared by a panorama and its shifted copy, and a
    learning rate at which a few hundred panoramas suffice.

    Args:
        lambdas: weights of shifted against original score; the rest anchors to the untuned score.
        targets: adapted layers: all, attention, reference (the first MLP product) or a regular
            expression.
        dropout_masks: whether a panorama and its shifted copy share dropout masks.
        anchor: which scores are held to the untuned ones.
        learning_rate: of AdamW, without a schedule.
        rank: of the update of each kernel.
        alpha: the update is scaled by alpha / rank.
        dropout: share of the adapter's input that is dropped.
        use_rslora: scale by alpha / sqrt(rank) instead.
        epochs: passes over the training panoramas, each with new shifts.
        batch_size_train: panoramas per step.
        last_batch: whether panoramas that fill no batch are dropped for the epoch, or make a short
            one, as in the paper's code; fewer than one batch always do.
        weight_decay: of AdamW.
        clip_norm: longest gradient, over all factors.

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
    batch_size_train: int = 16
    last_batch: LastBatch = "dropped"
    weight_decay: float = 0.01
    clip_norm: float = 1.0

    def __post_init__(self):
        for lam in self.lambdas:
            if not 0 <= lam <= 1:
                raise InputError(f"lambda {lam:g}: from 0 to 1 is expected")
        for name in ("learning_rate", "epochs", "batch_size_train", "clip_norm"):
            if not 0 < getattr(self, name) < float("inf"):
                raise InputError(f"{name} {getattr(self, name):g}: more than 0 is expected")
        if not 0 <= self.weight_decay < float("inf"):
            raise InputError(f"weight_decay {self.weight_decay:g}: 0 or more is expected")
        _ = self.adapter

    @property
    def adapter(self) -> LoRAConfig:
        """The adapter that is trained."""
        return LoRAConfig(self.rank, self.alpha, self.dropout, self.use_rslora, self.targets)

    @property
    def optimizer(self) -> optax.GradientTransformation:
        """AdamW."""
        return optax.adamw(self.learning_rate, weight_decay=self.weight_decay)


LORA_RECIPES: dict[Literal["corrected", "reference"], LoRARecipe] = {
    "corrected": LoRARecipe(),
    "reference": LoRARecipe(
        lambdas=(1.0,),
        targets="reference",
        dropout_masks="different",
        anchor="shifted",
        learning_rate=1e-5,
        last_batch="short",
    ),
}
"""`reference` is paper 1's: r 8, alpha 16, AdamW 1e-5 without a schedule, 20 epochs of batches of
16, gradients clipped at 1, lambda 1; of its targets only the first MLP product acts."""
