"""The checkpoints that a command line names: described first, loaded when all else is checked."""

from collections.abc import Iterator, Sequence

from jclip.checkpoints import (
    Checkpoint,
    CheckpointDescription,
    describe_checkpoint,
    expand_names,
    load_checkpoint,
)
from jclip.checkpoints.adapted import with_adapter, with_adapter_name
from jclip.checkpoints.checkpoint import check_weights
from jclip.runs.options import ModelOptions


def describe_models(options: ModelOptions) -> list[CheckpointDescription]:
    """All checkpoints but their weights; with an adapter, its folder's name joins theirs.

    Tokenizers are read already, and the names and shapes of tensors that are here, as what is wrong
    with one should end a run early.

    Raises:
        InputError: see `describe_checkpoint` and `check_weights`.
    """
    described = [
        describe_checkpoint(
            name,
            activation=options.activation,
            text_cleaning=options.text_cleaning,
            text_kind=options.text_kind,
            allow_pickle=options.allow_pickle,
            architecture=options.architecture,
        )
        for name in expand_names(options.models)
    ]
    for model in described:
        _ = model.tokenizer
        check_weights(model, options.adapter)
    if options.adapter is None:
        return described
    return [with_adapter_name(model, options.adapter) for model in described]


def load_models(
    options: ModelOptions, models: Sequence[CheckpointDescription]
) -> Iterator[Checkpoint]:
    """Load the checkpoints one after the other, the adapter merged into each.

    Raises:
        InputError: see `load_checkpoint` and `load_adapter`.
    """
    for model in models:
        print(f"loading {model.identity.name} ...", flush=True)
        checkpoint = load_checkpoint(model, dtype=options.dtype())
        yield checkpoint if options.adapter is None else with_adapter(checkpoint, options.adapter)
