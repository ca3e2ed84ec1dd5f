"""Training re-projection heads, many seeds and settings at once (paper 2, training)."""

import contextlib
import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float
from tqdm import tqdm

from jclip.errors import InputError, RunStopped
from jclip.heads import Head, HeadConfig, Initialisation, create_head
from jclip.training.checkpointing import Checkpoints
from jclip.training.head_batches import HeadData, HeadRecipe
from jclip.training.head_epoch import HeadState, epoch_of_all, initial_state, validate_all


@dataclasses.dataclass(frozen=True)
class HeadRun:
    """One of the runs that are trained together: what differs between them.

    Raises:
        InputError: the learning rate is out of range.
    """

    seed: int
    learning_rate: float
    margin: float

    def __post_init__(self):
        if not 0 < self.learning_rate < float("inf"):
            raise InputError(f"learning rate {self.learning_rate:g}: more than 0 is expected")

    @property
    def name(self) -> str:
        """For files and reports."""
        return f"seed-{self.seed}_lr-{self.learning_rate:g}_margin-{self.margin:g}"


@dataclasses.dataclass(frozen=True)
class TrainedHead:
    """The head of the epoch with the lowest validation loss, and how the run went.

    `training_losses` `[E]` are means over the batches of each epoch; `validation_losses` `[1 + E]`
    begin before the first one. A run that was stopped early has fewer.
    """

    run: HeadRun
    head: Head
    best_epoch: int
    training_losses: Float[np.ndarray, " e"]
    validation_losses: Float[np.ndarray, " e_plus_1"]

    @property
    def validation_loss(self) -> float:
        """Of the best epoch."""
        return float(self.validation_losses[self.best_epoch])


def train_heads(
    config: HeadConfig,
    recipe: HeadRecipe,
    runs: Sequence[HeadRun],
    data: HeadData,
    validation: HeadData,
    folder: Path | None = None,
    *,
    initialisation: Initialisation = "pytorch",
    initial: Sequence[Head] | None = None,
) -> list[TrainedHead]:
    """Train one head per run, all together, going on after the last epoch that the folder holds.

    A run's result depends on its own seed and constants only, but for the rounding of products.
    Runs of one seed start from the same parameters and see the examples in the same order.

    Args:
        config: what the heads are.
        recipe: how they are trained.
        runs: seed, learning rate and margin of each.
        data: what they are trained on.
        validation: what decides the best epoch, and when to stop.
        folder: gets `checkpoints/`, after every epoch; None keeps nothing.
        initialisation: where heads start, if `initial` is not given.
        initial: where each run starts instead.

    Raises:
        InputError: the loss cannot take the head's scores, there are no examples or fewer than two,
            or the embeddings are not of the head's size; or the folder's checkpoints are of another
            training.
        RunStopped: a loss is not finite (which run and epoch is said), or a checkpoint could not be
            written.
    """
    recipe.check(config)
    _check_data(config, data, validation)
    graph, state = start_runs(config, recipe, runs, initialisation, initial)
    constants = (
        jnp.array([run.learning_rate for run in runs], jnp.float32),
        jnp.array([run.margin for run in runs], jnp.float32),
    )
    keeping = contextlib.nullcontext() if folder is None else Checkpoints(folder / "checkpoints")
    with keeping as checkpoints:
        restored = checkpoints and checkpoints.restore_latest(state)
        if restored:
            state = restored.state
        else:
            first = validate_all(recipe, graph, state, constants, validation)
            state = state._replace(validation_losses=state.validation_losses.at[:, 0].set(first))
        done, total = restored.step if restored else 0, recipe.epochs
        epochs = range(done + 1, total + 1)
        for epoch in tqdm(epochs, initial=done, total=total, unit="epoch", disable=None):
            if bool(state.stopped.all()):
                break
            state = epoch_of_all(recipe, graph, state, constants, data, validation)
            _check_finite(runs, state, epoch)
            if checkpoints:
                checkpoints.save(epoch, state)
    return _results(runs, graph, state)


def _check_data(config: HeadConfig, data: HeadData, validation: HeadData) -> None:
    for name, part in (("training", data), ("validation", validation)):
        if len(part.examples) < 2:
            raise InputError(f"{len(part.examples)} {name} examples: at least 2 are needed")
        if part.images.shape[1] != config.size:
            raise InputError(
                f"{name} embeddings of {part.images.shape[1]}, for a head of {config.size}"
            )


def start_runs(
    config: HeadConfig,
    recipe: HeadRecipe,
    runs: Sequence[HeadRun],
    initialisation: Initialisation,
    initial: Sequence[Head] | None,
) -> tuple[nnx.GraphDef, HeadState]:
    """The graph of all heads, and the state of all runs before the first epoch."""
    keys = jnp.stack([jax.random.key(run.seed) for run in runs])
    if initial is None:

        def create(key):
            return nnx.state(create_head(config, nnx.Rngs(key), initialisation))

        graph = nnx.graphdef(nnx.eval_shape(lambda: create_head(config, nnx.Rngs(0))))
        parameters = jax.vmap(create)(keys)
    else:
        graph = nnx.graphdef(initial[0])
        parameters = jax.tree.map(lambda *x: jnp.stack(x), *map(nnx.state, initial))
    return graph, initial_state(parameters, keys, recipe.epochs)


def _check_finite(runs: Sequence[HeadRun], state: HeadState, epoch: int) -> None:
    columns = (state.training_losses[:, epoch], state.validation_losses[:, epoch])
    for kind, losses in zip(("training", "validation"), jax.device_get(columns), strict=True):
        for run, loss in zip(runs, losses, strict=True):
            if not math.isfinite(loss):
                raise RunStopped(f"{run.name}: the {kind} loss of epoch {epoch} is {loss}")


def _results(runs: Sequence[HeadRun], graph: nnx.GraphDef, state: HeadState) -> list[TrainedHead]:
    columns = (state.epoch, state.best_epoch, state.training_losses, state.validation_losses)
    fetched = zip(runs, *map(np.asarray, columns), strict=True)
    return [
        TrainedHead(
            run=run,
            head=nnx.merge(graph, jax.tree.map(lambda leaf, at=number: leaf[at], state.best)),
            best_epoch=int(best_epoch),
            training_losses=training[1 : done + 1],
            validation_losses=validated[: done + 1],
        )
        for number, (run, done, best_epoch, training, validated) in enumerate(fetched)
    ]
