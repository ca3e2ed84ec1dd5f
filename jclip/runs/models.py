"""The checkpoints that a command line names: described first, loaded when all else is checked."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from flax import nnx

from jclip.checkpoints import (
    Checkpoint,
    CheckpointDescription,
    describe_checkpoint,
    expand_names,
    load_checkpoint,
)
from jclip.checkpoints.peft import describe_adapter, load_adapter
from jclip.distributed import local_mesh, replicate
from jclip.runs.folder import confirm
from jclip.runs.options import ModelOptions


def describe_models(options: ModelOptions) -> list[CheckpointDescription]:
    """All checkpoints but their weights; with an adapter, its folder's name joins theirs.

    Raises:
        InputError: see `describe_checkpoint` and `describe_adapter`.
    """
    described = [
        describe_checkpoint(name, activation=options.activation, allow_pickle=options.allow_pickle)
        for name in expand_names(options.models)
    ]
    if options.adapter is None:
        return described
    describe_adapter(options.adapter)
    return [_named(model, f"{model.identity.name}+{options.adapter.name}") for model in described]


def _named(model: CheckpointDescription, name: str) -> CheckpointDescription:
    return dataclasses.replace(model, identity=dataclasses.replace(model.identity, name=name))


def models_identity(
    options: ModelOptions, models: Sequence[CheckpointDescription]
) -> dict[str, Any]:
    """The part of a run's identity that is about its checkpoints; digests are confirmed later."""
    return {
        "models": {m.identity.name: m.identity.activation for m in models},
        "precision": options.dtype().name,
        "adapter": options.adapter and str(options.adapter),
    }


def load_models(
    folder: Path, options: ModelOptions, models: Sequence[CheckpointDescription]
) -> Iterator[Checkpoint]:
    """Load the checkpoints one after the other, each onto every device of this process.

    Their digests join the run's identity.

    Raises:
        InputError: see `load_checkpoint` and `load_adapter`; or a run with other weights is
            resumed.
    """
    for model in models:
        print(f"loading {model.identity.name} ...", flush=True)
        checkpoint = load_checkpoint(model, dtype=options.dtype())
        confirm(folder, f"weights of {model.identity.name}", checkpoint.identity.sha256)
        if options.adapter is not None:
            checkpoint = _adapted(folder, options, checkpoint)
        nnx.update(checkpoint.clip, replicate(local_mesh(), nnx.state(checkpoint.clip)))
        yield checkpoint


def _adapted(folder: Path, options: ModelOptions, checkpoint: Checkpoint) -> Checkpoint:
    assert options.adapter is not None
    adapter = load_adapter(checkpoint.clip, options.adapter)
    confirm(folder, f"adapter of {checkpoint.identity.name}", adapter.sha256)
    identity = checkpoint.identity
    identity = dataclasses.replace(identity, notices=(*identity.notices, *adapter.notices))
    described = dataclasses.replace(checkpoint.description, identity=identity)
    return Checkpoint(clip=adapter.clip, description=described)
