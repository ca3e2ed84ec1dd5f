import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import grain
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny_run
from flax import nnx

from jclip.errors import RunStopped
from jclip.training import (
    Checkpoints,
    NonFiniteStep,
    init_state,
    make_train_step,
    train,
)

HERE = Path(__file__).parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{HERE}:{HERE.parents[1]}", "JAX_PLATFORMS": "cpu"}


def raw(state):
    """Every leaf as an array, PRNG keys included."""
    keys = jax.tree.leaves(state)
    return [
        np.asarray(jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x)
        for x in keys
    ]


def assert_equal(a, b):
    a, b = raw(a), raw(b)
    assert [x.dtype for x in a] == [x.dtype for x in b]
    for x, y in zip(a, b, strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A whole run: its folder and its final state."""
    folder = tmp_path_factory.mktemp("undisturbed")
    return folder, tiny_run.train(folder)


def start_process(folder, steps=tiny_run.STEPS):
    command = [sys.executable, str(HERE / "tiny_run.py"), str(folder), str(steps)]
    return subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)


def wait_for_step(folder, step, process):
    """Wait until a checkpoint of `step` or a later one is there."""
    while process.poll() is None:
        names = [p.name for p in folder.glob("checkpoints/*") if p.name.isdigit()]
        if any(int(name) >= step for name in names):
            return
        time.sleep(0.01)
    pytest.fail(process.stderr.read())


def test_frozen_parameters_have_no_gradient_and_no_optimizer_state():
    _, state, frozen = tiny_run.start()
    assert set(state.trainable) == {"head"}
    assert set(frozen) == {"backbone"}
    moments = state.optimizer[0]
    assert jax.tree.structure(moments.mu) == jax.tree.structure(state.trainable)
    assert sum(x.size for x in jax.tree.leaves(state.optimizer)) == 2 * (8 * 2 + 2) + 1
    after, _ = jax.jit(tiny_run.prepare()[2])(state, frozen, next(tiny_run.make_batches()))
    assert jax.tree.structure(after) == jax.tree.structure(state)
    assert (after.trainable["head"]["kernel"][...] != state.trainable["head"]["kernel"][...]).all()


def test_a_filter_that_matches_nothing_is_refused():
    with pytest.raises(ValueError, match="no parameter is trainable"):
        init_state(
            tiny_run.Regressor(nnx.Rngs(0)), tiny_run.OPTIMIZER, jax.random.key(0), nnx.LoRAParam
        )


def test_the_step_is_optax_by_hand_with_clipping():
    optimizer = optax.sgd(0.5)
    graphdef, state, frozen = init_state(
        tiny_run.Regressor(nnx.Rngs(0)), optimizer, jax.random.key(0), tiny_run.is_head
    )
    loss = tiny_run.make_loss(graphdef)
    batch = next(tiny_run.make_batches())
    after, metrics = make_train_step(loss, optimizer, max_gradient_norm=0.01)(state, frozen, batch)
    key = jax.random.fold_in(state.key, 0)
    gradient = jax.grad(lambda p: loss(p, frozen, batch, key)[0])(state.trainable)
    norm = np.sqrt(sum((x**2).sum() for x in raw(gradient)))
    assert norm > 0.01
    assert float(metrics["gradient_norm"]) == pytest.approx(norm, rel=1e-6)
    for new, old, slope in zip(
        raw(after.trainable), raw(state.trainable), raw(gradient), strict=True
    ):
        np.testing.assert_allclose(new, old - 0.5 * 0.01 / norm * slope, rtol=1e-5)
    same, _ = make_train_step(loss, optimizer, max_gradient_norm=100.0)(state, frozen, batch)
    plain, _ = make_train_step(loss, optimizer)(state, frozen, batch)
    assert_equal(same, plain)


def test_an_epoch_scans_and_seeds_map():
    states = [tiny_run.start(seed)[1] for seed in (0, 1)]
    graphdef, _, frozen = tiny_run.start()
    step = make_train_step(tiny_run.make_loss(graphdef), tiny_run.OPTIMIZER)
    batches = tiny_run.make_batches()
    batches = [next(batches) for _ in range(4)]
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *batches)

    def epoch(state):
        return jax.lax.scan(lambda s, batch: step(s, frozen, batch), state, stacked)

    mapped, metrics = jax.jit(jax.vmap(epoch))(jax.tree.map(lambda *x: jnp.stack(x), *states))
    assert metrics["loss"].shape == (2, 4)
    for seed, state in enumerate(states):
        for batch in batches:
            state, _ = jax.jit(step)(state, frozen, batch)
        for got, expected in zip(raw(mapped), raw(state), strict=True):
            np.testing.assert_allclose(got[seed], expected, rtol=1e-4, atol=1e-6)


def test_metrics_have_a_row_per_logged_step(undisturbed):
    folder, _ = undisturbed
    header, *rows = (folder / "metrics.csv").read_text().splitlines()
    assert header == "step,loss,gradient_norm,worst"
    assert [int(row.split(",")[0]) for row in rows] == list(range(2, 21, 2))
    header, *rows = (folder / "validation.csv").read_text().splitlines()
    assert header == "step,size"
    assert len(rows) == 20


def test_the_callers_arrays_stay_usable_and_the_step_compiles_once(tmp_path, caplog):
    model = tiny_run.Regressor(nnx.Rngs(0))
    graphdef, state, frozen = init_state(
        model, tiny_run.OPTIMIZER, jax.random.key(0), tiny_run.is_head
    )
    step = make_train_step(tiny_run.make_loss(graphdef), tiny_run.OPTIMIZER)
    with jax.log_compiles():
        trained = train(step, state, frozen, tiny_run.make_batches(), tmp_path, steps=3)
    assert caplog.text.count("Finished XLA compilation of jit(train_step)") == 1
    assert int(trained.step) == 3
    assert int(state.step) == 0
    assert np.isfinite(model(jnp.ones((1, 6)))).all()


def test_checkpoints_and_logs_do_not_change_the_result(undisturbed, tmp_path):
    state = tiny_run.train(tmp_path, log_every=50, checkpoint_every=50, validate=None)
    assert_equal(state, undisturbed[1])
    assert not (tmp_path / "metrics.csv").exists()
    # The last step always is a checkpoint.
    with Checkpoints(tmp_path / "checkpoints") as checkpoints:
        assert checkpoints.steps == (20,)


def test_a_run_killed_midway_ends_with_the_same_bits(undisturbed, tmp_path):
    with start_process(tmp_path) as process:
        wait_for_step(tmp_path, 3, process)
        time.sleep(random.uniform(0, 0.3))
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert_equal(tiny_run.train(tmp_path), undisturbed[1])
    for name in ("metrics.csv", "validation.csv"):
        assert (tmp_path / name).read_text() == (undisturbed[0] / name).read_text()


def test_sigterm_saves_and_exits_143(tmp_path):
    with start_process(tmp_path, steps=1_000_000) as process:
        wait_for_step(tmp_path, 2, process)
        process.send_signal(signal.SIGTERM)
        complaint = process.stderr.read()
    assert process.returncode == 143, complaint
    with Checkpoints(tmp_path / "checkpoints") as checkpoints:
        latest = checkpoints.steps[-1]
    validated = (tmp_path / "validation.csv").read_text().splitlines()[-1]
    assert latest == int(validated.split(",")[0])
    expected = tiny_run.train(tmp_path / "again", steps=latest, validate=None, checkpoint_every=99)
    assert_equal(tiny_run.train(tmp_path, steps=latest), expected)


@pytest.fixture
def interrupts():
    """SIGINT raises KeyboardInterrupt, also where the tests run in the background and ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_signal_between_checkpoints_saves_that_step(interrupts, undisturbed, tmp_path):
    batches = SignallingBatches(tiny_run.make_batches(), at=6)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        tiny_run.train(tmp_path, batches=batches, checkpoint_every=100)
    assert signal.getsignal(signal.SIGINT) is before
    with Checkpoints(tmp_path / "checkpoints") as checkpoints:
        assert checkpoints.steps == (6,)
    assert_equal(tiny_run.train(tmp_path), undisturbed[1])


class SignallingBatches(grain.DatasetIterator):
    """Batches, and an interrupt while one of them is read."""

    def __init__(self, batches, at):
        super().__init__(batches)
        self.at = at

    def __next__(self):
        self.at -= 1
        if self.at == 0:
            signal.raise_signal(signal.SIGINT)
        return next(self._parent)

    def get_state(self):
        return self._parent.get_state()

    def set_state(self, state):
        self._parent.set_state(state)


def test_a_damaged_last_checkpoint_costs_only_steps(undisturbed, tmp_path):
    tiny_run.train(tmp_path, steps=7)
    (chunk,) = (tmp_path / "checkpoints/7/state").glob("trainable.head.kernel*/c/0/0")
    content = bytearray(chunk.read_bytes())
    content[20] ^= 4
    chunk.write_bytes(content)
    with pytest.warns(UserWarning, match=r"7: trainable\.head\.kernel.* going on from step 6"):
        state = tiny_run.train(tmp_path)
    assert_equal(state, undisturbed[1])
    assert (tmp_path / "metrics.csv").read_text() == (undisturbed[0] / "metrics.csv").read_text()


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_checkpoint(tmp_path):
    graphdef, state, frozen = tiny_run.start()
    good = tiny_run.make_loss(graphdef)

    def loss(trainable, frozen, batch, key):
        value, metrics = good(trainable, frozen, batch, key)
        return value / (batch["x"].max() < 1e3), metrics

    rows = tiny_run.examples(48)
    rows[35]["x"] = rows[35]["x"] * 1e30
    broken = iter(grain.MapDataset.source(rows).batch(8).to_iter_dataset())
    step = make_train_step(loss, tiny_run.OPTIMIZER)
    with pytest.raises(NonFiniteStep, match=r"step 5: loss is (inf|nan); .* is of step 4"):
        train(step, state, frozen, broken, tmp_path, steps=6, log_every=3, checkpoint_every=2)
    with Checkpoints(tmp_path / "checkpoints") as checkpoints:
        assert checkpoints.steps == (2, 4)
        assert all(np.isfinite(x).all() for x in raw(checkpoints.restore(4, state).state))


def test_too_few_batches_are_refused(tmp_path):
    graphdef, state, frozen = tiny_run.start()
    step = make_train_step(tiny_run.make_loss(graphdef), tiny_run.OPTIMIZER)
    few = iter(grain.MapDataset.source(tiny_run.examples(16)).batch(8).to_iter_dataset())
    with pytest.raises(ValueError, match="the batches ended before step 3"):
        train(step, state, frozen, few, tmp_path, steps=4)


def test_a_batch_sharded_over_a_mesh_trains_alike(undisturbed, tmp_path):
    script = """
import sys, pathlib, jax, numpy as np, tiny_run
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
from jclip.training import make_train_step, train
assert jax.device_count() == 2
mesh = jax.make_mesh((2,), ("data",), axis_types=(AxisType.Auto,))
graphdef, state, frozen = tiny_run.start()
state, frozen = jax.device_put((state, frozen), NamedSharding(mesh, P()))
split = NamedSharding(mesh, P("data"))
make = jax.make_array_from_process_local_data
place = lambda batch: jax.tree.map(lambda x: make(split, x), batch)
step = make_train_step(tiny_run.make_loss(graphdef), tiny_run.OPTIMIZER, max_gradient_norm=1.0)
folder = pathlib.Path(sys.argv[1])
for steps in (9, 20):
    dataset = tiny_run.make_dataset().map(place)
    last = train(step, state, frozen, iter(dataset), folder, steps=steps, checkpoint_every=3)
kernel = last.trainable["head"]["kernel"][...]
assert kernel.sharding.is_fully_replicated and len(kernel.sharding.device_set) == 2
np.save(folder / "kernel.npy", kernel)
"""
    environment = ENVIRONMENT | {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    command = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    expected = undisturbed[1].trainable["head"]["kernel"][...]
    np.testing.assert_allclose(np.load(tmp_path / "kernel.npy"), expected, rtol=1e-4, atol=1e-6)


def test_a_handler_that_returns_still_ends_the_run(tmp_path):
    def validate(*_):
        signal.raise_signal(signal.SIGTERM)
        return {"size": 1.0}

    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        with pytest.raises(RunStopped, match="ended by SIGTERM"):
            tiny_run.train(tmp_path, steps=9, checkpoint_every=4, validate=validate)
    finally:
        signal.signal(signal.SIGTERM, before)
    with Checkpoints(tmp_path / "checkpoints") as checkpoints:
        assert checkpoints.steps == (4,)
