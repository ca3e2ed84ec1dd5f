"""Heads belong to the embeddings that they were trained on."""

import dataclasses
from pathlib import Path
from typing import Any

from jclip.data.features import Features
from jclip.errors import InputError
from jclip.heads.files import head_base


def base_of(features: Features) -> dict[str, Any]:
    """What `save_head` records of the features that a head was trained on."""
    origin = dataclasses.asdict(features.origin)
    return {name: origin[name] for name in ("model", "preprocessing", "fit")}


def require_base(path: Path, features: Features) -> None:
    """Refuse a head for the features of another model; published heads do not say theirs.

    Weights count, not names: the same checkpoint in two folders is one model.

    Raises:
        InputError: naming both models.
    """
    base = head_base(path)
    if base is None:
        return
    models = base["model"], features.origin.model
    if models[0].get("weights") != models[1].get("weights"):
        names = [model.get("name") for model in models]
        raise InputError(f"{path} was trained on features of {names[0]}, and these are {names[1]}")
