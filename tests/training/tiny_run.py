"""A small training run, in the test's own process or as one that can be killed: FOLDER [STEPS]."""

import functools
import signal
import sys
from pathlib import Path

import grain
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from jclip.training import init_state, loop, make_train_step

OPTIMIZER = optax.adamw(1e-2)
STEPS = 20


class Regressor(nnx.Module):
    """A frozen projection and a trained head."""

    def __init__(self, rngs):
        self.backbone = nnx.Linear(6, 8, rngs=rngs)
        self.head = nnx.Linear(8, 2, rngs=rngs)

    def __call__(self, x):
        return self.head(jnp.tanh(self.backbone(x)))


def is_head(path, _):
    return "head" in path


def start(seed=0):
    """The graph definition, the state and the frozen parameters of the run."""
    return init_state(Regressor(nnx.Rngs(seed)), OPTIMIZER, jax.random.key(seed), is_head)


def make_loss(graphdef):
    def loss(trainable, frozen, batch, key):
        noise = 0.1 * jax.random.normal(key, batch["x"].shape)
        error = nnx.merge(graphdef, trainable, frozen)(batch["x"] + noise) - batch["y"]
        return (error**2).mean(), {"worst": jnp.abs(error).max()}

    return loss


def examples(count=40):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(count, 6)).astype(np.float32)
    return [{"x": row, "y": row[:2] - row[2:4]} for row in x]


def make_dataset(rows=None):
    source = grain.MapDataset.source(examples() if rows is None else rows)
    few_ahead = grain.ReadOptions(num_threads=1, prefetch_buffer_size=2)
    return source.shuffle(seed=1).repeat().batch(8).to_iter_dataset(few_ahead)


def make_batches(rows=None):
    return iter(make_dataset(rows))


def validate(trainable, frozen):
    return {"size": float(sum(jnp.abs(leaf).sum() for leaf in jax.tree.leaves(trainable)))}


@functools.cache
def prepare():
    """State, frozen parameters and the step, made once so that JAX compiles the step once."""
    graphdef, state, frozen = start()
    return state, frozen, make_train_step(make_loss(graphdef), OPTIMIZER, max_gradient_norm=1.0)


def train(folder, steps=STEPS, **options):
    state, frozen, train_step = prepare()
    options = {
        "log_every": 2,
        "checkpoint_every": 1,
        "validate": validate,
        "batches": make_batches(),
        **options,
    }
    return loop.train(train_step, state, frozen, folder=folder, steps=steps, **options)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    train(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else STEPS)
