"""Checkpoints: weights in and out."""

from jclip.checkpoints.checkpoint import (
    Checkpoint,
    CheckpointDescription,
    describe_checkpoint,
    load_checkpoint,
    load_clip,
)
from jclip.checkpoints.description import DEMO_NOTICE, Identity
from jclip.checkpoints.preprocessing import ImageConfig
from jclip.checkpoints.registry import PAPER_1, REGISTRY, RegisteredCheckpoint, expand_names
from jclip.checkpoints.save import save_clip

__all__ = [
    "DEMO_NOTICE",
    "PAPER_1",
    "REGISTRY",
    "Checkpoint",
    "CheckpointDescription",
    "Identity",
    "ImageConfig",
    "RegisteredCheckpoint",
    "describe_checkpoint",
    "expand_names",
    "load_checkpoint",
    "load_clip",
    "save_clip",
]
