"""What embeddings by a checkpoint depend on, and with them a head that is trained on these."""

import dataclasses
from typing import Any

from jclip.checkpoints import Checkpoint


def base_of(checkpoint: Checkpoint, fit: str, precision: str) -> dict[str, Any]:
    """What a head that is trained on such embeddings belongs to; see `Features.base`.

    Args:
        checkpoint: the model.
        fit: how images became squares.
        precision: of its products.
    """
    config = dataclasses.asdict(checkpoint.image_config)
    return {
        "model": model_base(checkpoint, precision),
        "preprocessing": {name: config[name] for name in ("size", "mean", "std", "interpolation")},
        "fit": fit,
    }


def model_base(checkpoint: Checkpoint, precision: str) -> dict[str, Any]:
    """The `model` of it: by name, activation, digests of its weights, and precision."""
    identity = checkpoint.identity
    names = ("name", "source", "activation", "own_activation")
    return {
        **{name: getattr(identity, name) for name in names},
        "weights": dict(identity.sha256),
        "precision": precision,
    }
