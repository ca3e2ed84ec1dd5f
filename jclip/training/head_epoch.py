"""An epoch of training for many re-projection heads at once, as one compiled program.

Features stay on the device. An epoch is a scan over shuffled batches and a validation; seeds and
hyper-parameters are an axis that is mapped over.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, Key

from jclip.training.head_batches import HeadData, HeadRecipe, batches_of, loss_of_batch

_ADAM = optax.scale_by_adam()

Constants = tuple[Float[Array, " r"], Float[Array, " r"]]
"""Learning rate and margin of every run."""


class HeadState(NamedTuple):
    """All that changes from epoch to epoch, of one run; mapped over, each leaf has an axis more.

    Losses are `[1 + E]`, by epoch; place 0 of the training's is unused.
    """

    epoch: Int[Array, "*r"]
    key: Key[Array, "*r"]
    parameters: nnx.State
    adam: optax.OptState
    best: nnx.State
    best_epoch: Int[Array, "*r"]
    best_loss: Float[Array, "*r"]
    stopped: Bool[Array, "*r"]
    training_losses: Float[Array, "*r e_plus_1"]
    validation_losses: Float[Array, "*r e_plus_1"]


def initial_state(parameters: nnx.State, keys: Key[Array, " r"], epochs: int) -> HeadState:
    """The state of R runs before the first of at most `epochs`.

    Parameters are those of all heads, each leaf `[R, ..]`; `keys` are where the order of each run's
    examples comes from.
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
    one = functools.partial(_validation_loss, recipe, graph, validation)
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

    `graph` is of the heads; `state`, of all runs, is donated; `validation` decides the best epoch.
    """

    def one_run(state: HeadState, learning_rate, margin) -> HeadState:
        order, key = jax.random.split(jax.random.fold_in(state.key, state.epoch))
        batches = batches_of(jax.random.permutation(order, data.examples), recipe.batch_size)

        def step(carry, batch):
            parameters, adam = carry
            number, rows = batch

            def loss(parameters):
                head, drawn = nnx.merge(graph, parameters), jax.random.fold_in(key, number)
                return loss_of_batch(recipe, head, data, rows, margin, drawn)

            value, gradients = jax.value_and_grad(loss)(parameters)
            updates, adam = _ADAM.update(gradients, adam)
            parameters = jax.tree.map(lambda p, u: p - learning_rate * u, parameters, updates)
            return (parameters, adam), value

        numbered = (jnp.arange(len(batches)), batches)
        (parameters, adam), losses = jax.lax.scan(step, (state.parameters, state.adam), numbered)
        epoch = state.epoch + 1
        loss = _validation_loss(recipe, graph, validation, parameters, margin)
        better = loss < state.best_loss
        best_epoch = jnp.where(better, epoch, state.best_epoch)
        after = HeadState(
            epoch=epoch,
            key=state.key,
            parameters=parameters,
            adam=adam,
            best=_choose(better, parameters, state.best),
            best_epoch=best_epoch,
            best_loss=jnp.minimum(loss, state.best_loss),
            stopped=epoch - best_epoch >= (recipe.patience or recipe.epochs),
            training_losses=state.training_losses.at[epoch].set(losses.mean()),
            validation_losses=state.validation_losses.at[epoch].set(loss),
        )
        return _choose(state.stopped, state, after)

    return jax.vmap(one_run)(state, *constants)


def _choose(condition, yes, no):
    return jax.tree.map(functools.partial(jnp.where, condition), yes, no)


def _validation_loss(
    recipe: HeadRecipe,
    graph: nnx.GraphDef,
    validation: HeadData,
    parameters: nnx.State,
    margin: Float[Array, ""],
) -> Float[Array, ""]:
    """Mean over batches in order; what a loss draws is the same in every epoch and run."""
    head, key = nnx.merge(graph, parameters), jax.random.key(0)

    def step(number, rows):
        drawn = jax.random.fold_in(key, number)
        return number + 1, loss_of_batch(recipe, head, validation, rows, margin, drawn)

    batches = batches_of(validation.examples, recipe.batch_size)
    return jax.lax.scan(step, jnp.int32(0), batches)[1].mean()
