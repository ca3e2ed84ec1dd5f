"""Several devices and several processes: who they are, and where arrays live.

Probes are data parallel without talking: every process takes its share of the images, splits its
batches over its own devices (`local_mesh`), and writes its own parts of the results. Training
shares one mesh over the devices of all processes (`data_mesh`).
"""

import functools
import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec, Sharding

from jclip.errors import InputError

DATA = "data"
"""The mesh axis along which batches are split."""
HEARTBEAT_SECONDS = 30
"""A process that has been silent for so long is dead, and the others end."""
SMALLEST_SPLIT = 2**14
"""Numbers in an array below which it is whole on every device."""
# All processes meet before they end, so one that waits here longer has met a dead one.
SHUTDOWN_SECONDS = 10


def on_tpu() -> bool:
    """Whether this machine has TPU chips and the library for them; asks no backend."""
    chips = (*Path("/dev").glob("accel*"), *Path("/dev/vfio").glob("[0-9]*"))
    return bool(chips) and importlib.util.find_spec("libtpu") is not None


def join_processes(
    coordinator: str | None = None, count: int | None = None, index: int | None = None
) -> None:
    """Connect the processes of a run, before any device is asked for.

    Args:
        coordinator: `HOST:PORT` of process 0; None where JAX can find out by itself: on TPUs, and
            under Slurm, Open MPI and Kubernetes. A TPU machine that it cannot place is one alone.
        count: number of processes, with an explicit coordinator.
        index: which of them this is, from 0.

    Raises:
        InputError: the processes cannot be found, or do not all come within five minutes.
    """
    # It would take SIGTERM away from Python.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(
            coordinator,
            count,
            index,
            heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
            shutdown_timeout_seconds=SHUTDOWN_SECONDS,
        )
    except Exception as error:
        if isinstance(error, ValueError) and coordinator is None and on_tpu():
            return
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"the processes of the run could not be connected: {reason}") from error


def require_devices() -> None:
    """Have JAX find its devices.

    Raises:
        InputError: it finds none, or not those that the environment asks for.
    """
    try:
        jax.devices()
    except Exception as error:
        asked = [
            f"{name}={os.environ[name]}"
            for name in ("JAX_PLATFORMS", "JAX_PLATFORM_NAME", "XLA_FLAGS")
            if os.environ.get(name)
        ]
        reason = " ".join(str(error).split())[:300] or "no such platform on this machine"
        raise InputError(
            f"{', '.join(asked) or 'JAX_PLATFORMS is not set'}: JAX finds no device ({reason}); "
            "JAX_PLATFORMS=cpu always works"
        ) from error


def is_lead() -> bool:
    """Whether this is process 0, which writes what is written once."""
    return jax.process_index() == 0


def wait_for_all(reached: str) -> None:
    """Return when every process has come to the same point.

    If one of them dies, JAX ends the others within `HEARTBEAT_SECONDS`.

    Args:
        reached: names the point; the same in every process.
    """
    multihost_utils.sync_global_devices(reached)


def agree(value: int) -> bool:
    """Whether every process passes the same number, of less than 2**63."""
    # JAX would cut 64 bits to 32.
    halves = np.array([value >> 32, value & 0xFFFFFFFF], np.uint32)
    return bool((multihost_utils.process_allgather(halves) == halves).all())


def any_process(flag: bool) -> bool:
    """Whether the flag is set in some process; all have to ask."""
    return bool(multihost_utils.process_allgather(np.array([flag])).any())


def own_share[Item](items: Sequence[Item]) -> Sequence[Item]:
    """What this process does of a list that all processes have: every P-th item."""
    return items[jax.process_index() :: jax.process_count()]


def data_mesh(batch_size: int) -> Mesh:
    """The devices of all processes along the axis `data`.

    Raises:
        InputError: the devices do not divide the batch evenly.
    """
    if batch_size % (devices := jax.device_count()):
        raise InputError(f"a batch of {batch_size} cannot be split evenly over {devices} devices")
    return _mesh(jax.devices())


@functools.cache
def local_mesh() -> Mesh:
    """The devices of this process along the axis `data`."""
    return _mesh(jax.local_devices())


def _mesh(devices: Sequence[Any]) -> Mesh:
    axis_types = (jax.sharding.AxisType.Auto,)
    return jax.make_mesh((len(devices),), (DATA,), axis_types=axis_types, devices=devices)


def replicate(mesh: Mesh, tree: Any) -> Any:
    """Arrays, whole on every device; the same in every process of the mesh."""
    sharding = NamedSharding(mesh, PartitionSpec())
    return jax.tree.map(functools.partial(put, sharding=sharding), tree)


def split_parameters(mesh: Mesh, tree: Any) -> Any:
    """Arrays split over the devices (FSDP), a slice on each; the same in every process of the mesh.

    Each is split along its longest axis that the devices divide, small ones are whole everywhere.
    """
    return jax.tree.map(lambda array: put(array, split_sharding(mesh, array)), tree)


def split_sharding(mesh: Mesh, array: Any) -> NamedSharding:
    """Where `split_parameters` puts an array; its shape and dtype are enough."""
    axes = [axis for axis, length in enumerate(array.shape) if length % mesh.size == 0]
    if array.size < SMALLEST_SPLIT or not axes:
        return NamedSharding(mesh, PartitionSpec())
    longest = max(axes, key=array.shape.__getitem__)
    return NamedSharding(mesh, PartitionSpec(*[None] * longest, DATA))


def put(array: Any, sharding: Sharding) -> jax.Array:
    """Put what every process has where a sharding says, which may be over several processes."""
    if sharding.is_fully_addressable:
        return jax.device_put(array, sharding)
    if jax.dtypes.issubdtype(array.dtype, jax.dtypes.prng_key):
        data = put(jax.random.key_data(array), sharding)
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(array))
    whole = np.asarray(array)
    return jax.make_array_from_callback(whole.shape, sharding, whole.__getitem__)


def on_host(array: jax.Array) -> np.ndarray:
    """The whole of an array, whatever devices have it; of several processes all have to ask."""
    if array.is_fully_addressable or array.is_fully_replicated:
        return np.array(array)
    return np.asarray(multihost_utils.process_allgather(array, tiled=True))


def shard_batch(mesh: Mesh, batch: Any) -> Any:
    """Arrays split along their first axis, a slice on every device.

    Over a mesh of several processes each passes its own rows, and they follow one another.
    """
    sharding = NamedSharding(mesh, PartitionSpec(DATA))
    if mesh.is_multi_process:
        place = functools.partial(jax.make_array_from_process_local_data, sharding)
        return jax.tree.map(place, batch)
    return jax.device_put(batch, sharding)
