"""The models that a probe asks: checkpoints, and folders of embeddings that other programs made."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from jclip.checkpoints import Checkpoint
from jclip.data.supplied import Probed, Supplied, read_supplied
from jclip.data.supplied_rows import Embedded, Scored, match
from jclip.data.view_plan import Plan
from jclip.errors import InputError
from jclip.runs.models import describe_models
from jclip.runs.options import ModelOptions
from jclip.runs.run import Run


def probed_models(options: ModelOptions, embeddings: Sequence[str]) -> list[Probed]:
    """All models of a run: checkpoints, described, then what is supplied, read and checked.

    With folders of embeddings no checkpoint is probed unless others than the default are named.

    Raises:
        InputError: see `describe_models` and `read_supplied`; or an option of checkpoints is given
            and there is none.
    """
    supplied = [read_supplied(Path(folder)) for folder in embeddings]
    if not supplied or options.models != ModelOptions.models:
        return [*describe_models(options), *supplied]
    for name in ("adapter", "activation"):
        if getattr(options, name) is not None:
            raise InputError(f"{name}: of checkpoints, and embeddings are supplied", name)
    return [*supplied]


def load_probed(
    run: Run, options: ModelOptions, models: Sequence[Probed]
) -> list[Checkpoint | Supplied]:
    """The models of a run, ready: checkpoints loaded, what is supplied as it is.

    Raises:
        InputError: see `Run.load`; or an earlier run into the folder used other embeddings.
    """
    checkpoints = run.load(options, [m for m in models if not isinstance(m, Supplied)])
    supplied = [model for model in models if isinstance(model, Supplied)]
    note_supplied(run, supplied)
    return [*checkpoints, *supplied]


def matched(models: Sequence[Probed], plan: Plan | None) -> Mapping[str, Embedded | Scored]:
    """What is supplied as a plan has it, by the model's name; empty before there is a plan.

    Raises:
        InputError: see `match`.
    """
    supplied = [model for model in models if isinstance(model, Supplied)]
    return {} if plan is None else {one.identity.name: match(one, plan) for one in supplied}


def note_supplied(run: Run, supplied: Sequence[Supplied]) -> None:
    """Say on the page what is not known of them, and hold the folder to their digests."""
    for identity in (model.identity for model in supplied):
        run.confirm(f"embeddings of {identity.name}", identity.sha256)
        run.note(*(f"{identity.name}: {notice}" for notice in identity.notices))
