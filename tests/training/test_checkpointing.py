import json
import resource
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jclip.errors import InputError, RunStopped
from jclip.training import Checkpoints, CorruptCheckpoint

# Orbax closes its event loop on reads that are still under way when one of them has failed.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def make_state(value=0.0, **more):
    return {
        "kernel": jnp.arange(12.0).reshape(3, 4) + value,
        "half": jnp.full(5, value, jnp.bfloat16),
        "count": jnp.int32(7),
        "key": jax.random.key(3),
        **more,
    }


def equal(a, b):
    raw = [
        jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x
        for x in (a, b)
    ]
    return a.dtype == b.dtype and np.array_equal(*map(np.asarray, raw))


@pytest.fixture
def folder(tmp_path):
    """Checkpoints of steps 1 and 2, whose states differ by one."""
    with Checkpoints(tmp_path / "c") as checkpoints:
        for step in (1, 2):
            checkpoints.save(step, make_state(step), batches={"next_index": step})
    return tmp_path / "c"


def leaf_file(folder, step, leaf):
    files = [f for f in (folder / str(step) / "state" / leaf).rglob("*") if f.is_file()]
    (file,) = (f for f in files if f.name != "zarr.json")
    return file


def flip(path, bit):
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def test_a_round_trip_keeps_every_bit(folder):
    with Checkpoints(folder) as checkpoints:
        restored = checkpoints.restore_latest(make_state())
        assert checkpoints.steps == (1, 2)
    assert restored.step == 2
    assert restored.batches == {"next_index": 2}
    assert jax.tree.all(jax.tree.map(equal, restored.state, make_state(2)))


def test_an_empty_folder_restores_nothing(tmp_path):
    with Checkpoints(tmp_path / "c") as checkpoints:
        assert checkpoints.restore_latest(make_state()) is None
        with pytest.raises(InputError, match="holds no step 4"):
            checkpoints.restore(4, make_state())


def test_the_last_two_are_kept(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        for step in range(1, 7):
            checkpoints.save(step, make_state(step))
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.steps == (5, 6)
        fifth = checkpoints.restore(5, make_state())
    assert equal(fifth.state["kernel"], make_state(5)["kernel"])


@pytest.mark.parametrize("leaf", ["kernel", "half", "count", "key"])
def test_a_flipped_bit_is_refused_naming_the_leaf(folder, leaf):
    file = leaf_file(folder, 2, leaf)
    flip(file, 8 * (file.stat().st_size // 3))
    with Checkpoints(folder) as checkpoints:
        with pytest.raises(CorruptCheckpoint, match=rf"c/2\b.*{leaf}"):
            checkpoints.restore(2, make_state())


def test_no_flipped_bit_changes_a_value_unseen(folder):
    expected = make_state(2)
    rng = np.random.default_rng(0)
    files = [f for f in (folder / "2").rglob("*") if f.is_file() and f.stat().st_size]
    for file in files:
        bit = int(rng.integers(8 * file.stat().st_size))
        flip(file, bit)
        with Checkpoints(folder) as checkpoints:
            try:
                state = checkpoints.restore(2, make_state()).state
            except InputError as error:
                assert str(folder) in str(error)
            else:
                assert jax.tree.all(jax.tree.map(equal, state, expected)), file
        flip(file, bit)


def test_a_truncated_file_is_refused_naming_the_leaf(folder):
    file = leaf_file(folder, 2, "kernel")
    file.write_bytes(file.read_bytes()[:-5])
    with Checkpoints(folder) as checkpoints:
        with pytest.raises(CorruptCheckpoint, match=r"kernel"):
            checkpoints.restore(2, make_state())


def test_a_missing_leaf_is_refused_by_name(folder):
    shutil.rmtree(folder / "2" / "state" / "half")
    with Checkpoints(folder) as checkpoints:
        with pytest.raises(CorruptCheckpoint, match=r"half"):
            checkpoints.restore(2, make_state())


def test_an_extra_leaf_is_refused_by_name(folder, tmp_path):
    with Checkpoints(tmp_path / "other") as checkpoints:
        checkpoints.save(2, make_state(2, intruder=jnp.ones(2)))
    shutil.rmtree(folder / "2" / "state")
    shutil.copytree(tmp_path / "other" / "2" / "state", folder / "2" / "state")
    with Checkpoints(folder) as checkpoints:
        with pytest.raises(CorruptCheckpoint, match=r"intruder"):
            checkpoints.restore(2, make_state())


def test_another_iterator_state_is_refused(folder):
    file = folder / "2" / "record" / "data.json"
    record = json.loads(file.read_text())
    record["batches"]["next_index"] = 3
    file.write_text(json.dumps(record))
    with Checkpoints(folder) as checkpoints:
        with pytest.raises(CorruptCheckpoint, match=r"c/2: the record of its digests is damaged"):
            checkpoints.restore(2, make_state())


def test_the_latest_falls_back_to_the_previous_good_step_and_says_so(folder):
    flip(leaf_file(folder, 2, "kernel"), 200)
    with Checkpoints(folder) as checkpoints:
        with pytest.warns(UserWarning, match=r"kernel is damaged.*; going on from step 1"):
            restored = checkpoints.restore_latest(make_state())
        assert checkpoints.steps == (1,)
        checkpoints.save(2, make_state(2))
    assert (restored.step, restored.batches) == (1, {"next_index": 1})
    assert equal(restored.state["kernel"], make_state(1)["kernel"])
    assert (folder / "2.damaged").is_dir()
    with Checkpoints(folder) as checkpoints:
        assert checkpoints.restore_latest(make_state()).step == 2


def test_without_an_intact_step_nothing_is_restored(folder):
    for step in (1, 2):
        flip(leaf_file(folder, step, "kernel"), 200)
    with Checkpoints(folder) as checkpoints:
        with pytest.raises(CorruptCheckpoint, match="no other checkpoint is intact"):
            checkpoints.restore_latest(make_state())
        assert checkpoints.steps == (1, 2)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (make_state(bias=jnp.ones(2)), r"bias is absent, not float32\[2\]"),
        (
            make_state() | {"kernel": jnp.ones((4, 3))},
            r"kernel is float32\[3,4\], not float32\[4,3\]",
        ),
    ],
)
def test_another_model_is_refused_and_not_called_damaged(folder, template, message):
    with Checkpoints(folder) as checkpoints:
        with pytest.raises(InputError, match=message) as caught:
            checkpoints.restore_latest(template)
        assert not isinstance(caught.value, CorruptCheckpoint)
        assert checkpoints.steps == (1, 2)


def test_what_is_not_finite_is_never_written(folder):
    with Checkpoints(folder) as checkpoints:
        with pytest.raises(ValueError, match="step 3: half is not finite"):
            checkpoints.save(3, make_state() | {"half": jnp.array([1, np.nan], jnp.bfloat16)})
        assert checkpoints.steps == (1, 2)


def test_a_step_that_could_not_be_written_is_not_the_latest(folder):
    """A limit on the size of files stands for a full disk."""
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    noise = jax.random.normal(jax.random.key(0), (5000,))
    with Checkpoints(folder) as checkpoints:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, unlimited[1]))
        try:
            with pytest.raises(RunStopped, match=r"step 3 could not be written .*there: 1, 2"):
                checkpoints.save(3, make_state(noise=noise))
                checkpoints.wait()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
        assert checkpoints.steps == (1, 2)
        assert checkpoints.restore_latest(make_state()).step == 2
        checkpoints.save(3, make_state(3))
    with Checkpoints(folder) as checkpoints:
        assert checkpoints.restore_latest(make_state()).step == 3


def test_a_failure_to_write_the_last_checkpoint_is_not_lost(folder):
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    noise = jax.random.normal(jax.random.key(0), (5000,))
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, unlimited[1]))
    try:
        with pytest.raises(RunStopped, match=r"step 3 could not be written"):
            with Checkpoints(folder) as checkpoints:
                checkpoints.save(3, make_state(noise=noise))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)


def test_a_failure_that_closing_tells_of_is_said_in_the_same_words(folder, monkeypatch):
    checkpoints = Checkpoints(folder)
    close = checkpoints._orbax.close

    def failing():
        close()
        raise ValueError("No space left on device")

    monkeypatch.setattr(checkpoints._orbax, "close", failing)
    with pytest.raises(RunStopped, match=r"could not be written \(No space left on .*there: 1, 2"):
        checkpoints.close()


def test_the_arrays_may_be_donated_at_once(tmp_path):
    grow = jax.jit(lambda x: x + 1, donate_argnums=0)
    with Checkpoints(tmp_path) as checkpoints:
        state = {"x": jnp.zeros(100_000)}
        checkpoints.save(1, state)
        for _ in range(5):
            state = {"x": grow(state["x"])}
        checkpoints.wait()
        assert not checkpoints.restore(1, state).state["x"].any()
