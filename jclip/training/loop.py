"""The training loop: a pure step, and `train`, which repeats it and can be killed any moment."""

import contextlib
import dataclasses
import math
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import grain
import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Key
from tqdm import tqdm

from jclip.distributed import any_process
from jclip.errors import RunStopped
from jclip.training.checkpointing import Checkpoints
from jclip.training.metrics import MetricsFile

# NNX's own hints cannot be checked at run time.
Variables = Any
"""A pytree of arrays: an `nnx.State`, as `nnx.split` gives it."""
LossFunction = Callable[[Variables, Variables, Any, Array], tuple[Array, dict[str, Array]]]
"""(trainable, frozen, batch, PRNG key) -> (loss, metrics), all scalars; pure."""
TrainStep = Callable[["TrainState", Variables, Any], tuple["TrainState", dict[str, Array]]]
"""(state, frozen, batch) -> (state, metrics); pure."""


class NonFiniteStep(RunStopped):
    """A step's loss or gradient is not a number. The message names the step."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TrainState:
    """All that changes from step to step: with the iterator's state, all a resumed run needs.

    A pytree, so a field may also hold shardings or axes; mapped over seeds, each has an axis more.
    """

    step: Any
    """Steps done, int32."""
    trainable: Variables
    optimizer: Any
    """What optax keeps, for the trainable parameters only."""
    key: Any
    """The run's PRNG key, the same in every step."""


def init_state(
    model: nnx.Module,
    optimizer: optax.GradientTransformation,
    key: Key[Array, ""],
    trainable: Any = nnx.Param,
) -> tuple[nnx.GraphDef, TrainState, Variables]:
    """Split a model into what is trained and what is not.

    Args:
        model: left as it is; `nnx.merge(graphdef, state.trainable, frozen)` gives the trained one.
        optimizer: gets a state for the trainable parameters only.
        key: where every step's randomness comes from.
        trainable: an NNX filter: a variable type, or a predicate over (path, variable).

    Returns:
        The graph definition, the state before the first step, and the frozen variables.

    Raises:
        ValueError: the filter matches nothing.
    """
    graphdef, parameters, frozen = nnx.split(model, trainable, ...)
    if not jax.tree.leaves(parameters):
        raise ValueError(f"no parameter is trainable: {trainable} matches none")
    state = TrainState(jnp.int32(0), parameters, optimizer.init(parameters), key)
    return graphdef, state, frozen


def make_train_step(
    loss_function: LossFunction,
    optimizer: optax.GradientTransformation,
    max_gradient_norm: float | None = None,
) -> TrainStep:
    """One step as a pure function: to be jitted, scanned over batches or mapped over seeds.

    Args:
        loss_function: its key is new in every step and depends only on the state's key and step.
        optimizer: the same as in `init_state`.
        max_gradient_norm: longer gradients, over all parameters together, are shortened to this.

    Returns:
        (state, frozen, batch) -> (state, metrics): the loss function's own metrics, `loss`, and
        `gradient_norm` before clipping.
    """

    def train_step(state: TrainState, frozen: Variables, batch: Any):
        key = jax.random.fold_in(state.key, state.step)
        differentiate = jax.value_and_grad(loss_function, has_aux=True)
        (loss, metrics), gradients = differentiate(state.trainable, frozen, batch, key)
        norm = optax.tree.norm(gradients)
        if max_gradient_norm is not None:
            factor = jnp.minimum(1.0, max_gradient_norm / norm)
            gradients = jax.tree.map(lambda g: (g * factor).astype(g.dtype), gradients)
        updates, optimizer_state = optimizer.update(gradients, state.optimizer, state.trainable)
        trainable: Variables = optax.apply_updates(state.trainable, updates)
        after = TrainState(state.step + 1, trainable, optimizer_state, state.key)
        return after, {"loss": loss, "gradient_norm": norm, **metrics}

    return train_step


def compiled_step(train_step: Callable[[Any, Any, Any], Any], state: Any) -> Any:
    """The step under jit: it consumes the state it is given, and leaves the next in its place.

    Args:
        train_step: (state, frozen, batch) -> (state, metrics), from `make_train_step`.
        state: says where its arrays are; `jax.ShapeDtypeStruct`s with shardings will do.
    """
    shardings = jax.tree.map(lambda leaf: leaf.sharding, state)
    return jax.jit(train_step, donate_argnums=0, out_shardings=(shardings, None))


def train(
    train_step: TrainStep,
    state: TrainState,
    frozen: Variables,
    batches: grain.DatasetIterator,
    folder: Path,
    *,
    steps: int,
    log_every: int = 10,
    checkpoint_every: int = 100,
    validate: Callable[[Variables, Variables], Mapping[str, float]] | None = None,
) -> TrainState:
    """Train until `steps` steps are done, going on from the folder's latest intact checkpoint.

    Killed at any moment and called again with the same arguments, it ends with the same bits as
    if never killed. SIGTERM and SIGINT take effect after the running step is saved; a second one
    at once. Numbers are fetched from the device when they are logged or saved, not at every step.

    Args:
        train_step: from `make_train_step`.
        state: from `init_state`; not consumed. Where its arrays are, training happens: replicate
            it over a mesh, and let `batches` yield sharded arrays, for data parallelism.
        frozen: from `init_state`, placed like `state`.
        batches: yields pytrees of arrays of the same shapes, `steps` times at least.
        folder: gets `metrics.csv`, `validation.csv` and `checkpoints/`.
        steps: how many steps make a whole run.
        log_every: steps between rows of `metrics.csv`.
        checkpoint_every: steps between checkpoints; the last step always is one.
        validate: (trainable, frozen) -> numbers for `validation.csv`, at every checkpoint.

    Raises:
        NonFiniteStep: a loss or gradient is NaN or infinite; the last good checkpoint is kept.
        RunStopped: a checkpoint could not be written.
        CorruptCheckpoint: no checkpoint in the folder is intact.
        InputError: the checkpoints are of another model or optimizer.
        ValueError: `batches` ended too early.
    """
    checkpoints = Checkpoints(folder / "checkpoints")
    with _deferred_signals() as received, checkpoints:
        done, state = _resume(checkpoints, state, batches)
        step = compiled_step(train_step, state)
        metrics_file = MetricsFile(folder / "metrics.csv", done)
        validation_file = MetricsFile(folder / "validation.csv", done)
        unchecked: dict[int, dict[str, Array]] = {}
        alone = jax.process_count() == 1
        progress = tqdm(range(done + 1, steps + 1), initial=done, total=steps, disable=None)
        for number in progress:
            if (batch := next(batches, None)) is None:
                raise ValueError(f"the batches ended before step {number}")
            state, unchecked[number] = step(state, frozen, batch)
            due = number % checkpoint_every == 0 or number == steps
            log = number % log_every == 0
            # All processes stop after the same step; they ask each other at logged steps only.
            stop = any_process(bool(received)) if log or due or alone else False
            if not (log or due or stop):
                continue
            values = _fetch_finite(unchecked, checkpoints)
            if log:
                metrics_file.write(number, values)
                progress.set_postfix(loss=f"{values['loss']:.4g}")
            if due and validate is not None:
                validation_file.write(number, validate(state.trainable, frozen))
            if due or stop:
                checkpoints.save(number, state, batches=batches.get_state())
            # A signal may have come while this step was saved.
            if (stop or (alone and due and received)) and number < steps:
                if not received:
                    raise RunStopped("another process was ended by a signal; this one has saved")
                break
    return state


def _resume(
    checkpoints: Checkpoints, state: TrainState, batches: grain.DatasetIterator
) -> tuple[int, TrainState]:
    restored = checkpoints.restore_latest(state)
    if restored is None:
        # A copy, since the first step donates what it gets and the caller's model shares these
        # arrays; with its place fixed, as the step's results have it, or the step compiles twice.
        shardings = jax.tree.map(lambda leaf: leaf.sharding, state)
        return 0, jax.jit(lambda s: jax.tree.map(jnp.copy, s), out_shardings=shardings)(state)
    batches.set_state(restored.batches)
    return restored.step, restored.state


def _fetch_finite(
    unchecked: dict[int, dict[str, Array]], checkpoints: Checkpoints
) -> dict[str, float]:
    """The last step's metrics as numbers, when no step since the last time went wrong."""
    fetched = jax.device_get(unchecked)
    unchecked.clear()
    first = ("loss", "gradient_norm")
    for number, metrics in fetched.items():
        for name in first:
            if not math.isfinite(metrics[name]):
                saved = checkpoints.steps
                raise NonFiniteStep(
                    f"step {number}: {name} is {metrics[name]}; the last good checkpoint in "
                    f"{checkpoints.folder} is of step {saved[-1] if saved else '- there is none'}"
                )
    # A compiled step returns its metrics in alphabetical order.
    return {name: float(metrics[name]) for name in dict.fromkeys((*first, *metrics))}


@contextlib.contextmanager
def _deferred_signals() -> Iterator[list[int]]:
    """The first SIGTERM or SIGINT is put off until the block has ended; yields what came.

    An exception out of a signal handler could fall between a step and the name of its result,
    after the state before it has been donated.
    """
    received: list[int] = []
    previous: dict[int, Any] = {}

    def reinstall() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    def receive(number: int, _) -> None:
        received.append(number)
        reinstall()

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            previous[number] = signal.signal(number, receive)
    try:
        yield received
    finally:
        reinstall()
    if received:
        signal.raise_signal(received[0])
        raise RunStopped(f"ended by {signal.Signals(received[0]).name}; the same command goes on")
