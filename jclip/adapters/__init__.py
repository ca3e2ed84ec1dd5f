"""Adapters: few trained parameters beside a frozen network."""

from jclip.adapters.lora import (
    LoRAConfig,
    ParameterCounts,
    add_adapter,
    check_targets,
    parameter_counts,
    with_dropout,
)
from jclip.adapters.merge import merge_adapter

__all__ = [
    "LoRAConfig",
    "ParameterCounts",
    "add_adapter",
    "check_targets",
    "merge_adapter",
    "parameter_counts",
    "with_dropout",
]
