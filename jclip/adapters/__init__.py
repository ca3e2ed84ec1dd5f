"""Adapters: few trained parameters beside a frozen network."""

from jclip.adapters.lora import (
    LoRAConfig,
    ParameterCounts,
    add_adapter,
    check_targets,
    merge_adapter,
    parameter_counts,
    with_dropout,
)

__all__ = [
    "LoRAConfig",
    "ParameterCounts",
    "add_adapter",
    "check_targets",
    "merge_adapter",
    "parameter_counts",
    "with_dropout",
]
