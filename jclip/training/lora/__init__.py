"""Tuning an image tower by LoRA so that scores survive circular shifts (paper 1)."""

from jclip.training.lora.recipe import LORA_RECIPES, LoRARecipe
from jclip.training.lora.train import (
    TuningConstants,
    adapter_step,
    make_shift_invariance_loss,
    memory_held,
    train_adapter,
)

__all__ = [
    "LORA_RECIPES",
    "LoRARecipe",
    "TuningConstants",
    "adapter_step",
    "make_shift_invariance_loss",
    "memory_held",
    "train_adapter",
]
