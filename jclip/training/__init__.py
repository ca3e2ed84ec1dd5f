"""One training loop for everything that is trained, and checkpoints that can be believed."""

from jclip.training.checkpointing import Checkpoints, CorruptCheckpoint, Restored
from jclip.training.loop import NonFiniteStep, TrainState, init_state, make_train_step, train
from jclip.training.losses import charbonnier, info_nce

__all__ = [
    "Checkpoints",
    "CorruptCheckpoint",
    "NonFiniteStep",
    "Restored",
    "TrainState",
    "charbonnier",
    "info_nce",
    "init_state",
    "make_train_step",
    "train",
]
