"""An epoch of training for many re-projection heads at once, as one compiled program.

Features stay on the device. An epoch is a scan over shuffled batches and a validation; seeds and
hyper-parameters are an axis that is mapped over.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Float, Key

from jclip.training.head_batches import HeadData, HeadRecipe, batches_of, loss_of_batch

_ADAM = optax.scale_by_adam()

Constants = tuple[Float[Array, " r"], Float[Array, " r"]]
"""Learning rate and margin of every run."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class HeadState:
    """All that changes from epoch to epoch, of one run; mapped over, each leaf has an axis more.

    Losses are `[1 + E]`, by epoch; place 0 of the training's is unused.
    """

    epoch: Any
    key: Any
    parameters: Any
    adam: Any
    best: Any
    best_epoch: Any
    best_loss: Any
    stopped: Any
    training_losses: Any
    validation_losses: Any


def initial_state(parameters: Any, keys: Key[Array, " r"], epochs: int) -> HeadState:
    """The state of R runs before the first epoch.

    Args:
        parameters: of all heads, each leaf `[R, ..]`.
        keys: where the order of each run's examples comes from.
        epochs: how many there will be at most.
    """
    count = len(keys)
    return HeadState(
        epoch=jnp.zeros(count, jnp.int32),
        key=keys,
        parameters=parameters,
        adam=jax.vmap(_ADAM.init)(parameters),
        # A copy: an epoch is given its state for good, and no array twice.
        best=jax.tree.map(jnp.copy, parameters),
        best_epoch=jnp.zeros(count, jnp.int32),
        best_loss=jnp.full(count, jnp.inf),
        stopped=jnp.zeros(count, bool),
        training_losses=jnp.zeros((count, epochs + 1)),
        validation_losses=jnp.zeros((count, epochs + 1)),
    )


@functools.partial(jax.jit, static_argnames=("recipe", "graph"))
def validate_all(
    recipe: HeadRecipe,
    graph: nnx.GraphDef,
    state: HeadState,
    constants: Constants,
    validation: HeadData,
) -> Float[Array, " r"]:
    """The validation loss of every run as it is."""

    def one(parameters, margin):
        return _validation_loss(recipe, graph, parameters, margin, validation)

    return jax.vmap(one)(state.parameters, constants[1])


@functools.partial(jax.jit, static_argnames=("recipe", "graph"), donate_argnames="state")
def epoch_of_all(
    recipe: HeadRecipe,
    graph: nnx.GraphDef,
    state: HeadState,
    constants: Constants,
    data: HeadData,
    validation: HeadData,
) -> HeadState:
    """All runs after one more epoch; those that were stopped stay as they are.

    Args:
        recipe: how heads are trained.
        graph: of the heads.
        state: of all runs; donated.
        constants: learning rates and margins.
        data: what they are trained on.
        validation: what decides the best epoch.
    """

    def one(state, learning_rate, margin):
        return _epoch(recipe, graph, state, learning_rate, margin, data, validation)

    return jax.vmap(one)(state, *constants)


def _epoch(
    recipe: HeadRecipe,
    graph: nnx.GraphDef,
    state: HeadState,
    learning_rate: Float[Array, ""],
    margin: Float[Array, ""],
    data: HeadData,
    validation: HeadData,
) -> HeadState:
    """One run after one more epoch, or as it is if it was stopped."""
    epoch_key = jax.random.fold_in(state.key, state.epoch)
    order, key = jax.random.split(epoch_key)
    batches = batches_of(jax.random.permutation(order, data.examples), recipe.batch_size)

    def step(carry, batch):
        parameters, adam = carry
        number, rows = batch

        def loss(parameters):
            head = nnx.merge(graph, parameters)
            return loss_of_batch(recipe, head, data, rows, margin, jax.random.fold_in(key, number))

        value, gradients = jax.value_and_grad(loss)(parameters)
        updates, adam = _ADAM.update(gradients, adam)
        parameters = jax.tree.map(lambda p, u: p - learning_rate * u, parameters, updates)
        return (parameters, adam), value

    numbered = (jnp.arange(len(batches)), batches)
    (parameters, adam), losses = jax.lax.scan(step, (state.parameters, state.adam), numbered)
    epoch = state.epoch + 1
    loss = _validation_loss(recipe, graph, parameters, margin, validation)
    better = loss < state.best_loss
    best_epoch = jnp.where(better, epoch, state.best_epoch)
    waited = epoch - best_epoch
    after = HeadState(
        epoch=epoch,
        key=state.key,
        parameters=parameters,
        adam=adam,
        best=_choose(better, parameters, state.best),
        best_epoch=best_epoch,
        best_loss=jnp.minimum(loss, state.best_loss),
        stopped=waited >= (recipe.patience or recipe.epochs),
        training_losses=state.training_losses.at[epoch].set(losses.mean()),
        validation_losses=state.validation_losses.at[epoch].set(loss),
    )
    return _choose(state.stopped, state, after)


def _choose(condition, yes, no):
    return jax.tree.map(functools.partial(jnp.where, condition), yes, no)


def _validation_loss(
    recipe: HeadRecipe,
    graph: nnx.GraphDef,
    parameters: Any,
    margin: Float[Array, ""],
    validation: HeadData,
) -> Float[Array, ""]:
    """Mean over batches in order; what a loss draws is the same in every epoch and run."""
    head = nnx.merge(graph, parameters)
    key: Key[Array, ""] = jax.random.key(0)

    def step(number, rows):
        batch_key = jax.random.fold_in(key, number)
        return number + 1, loss_of_batch(recipe, head, validation, rows, margin, batch_key)

    batches = batches_of(validation.examples, recipe.batch_size)
    return jax.lax.scan(step, jnp.int32(0), batches)[1].mean()
