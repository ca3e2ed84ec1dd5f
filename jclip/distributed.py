"""Where arrays live when there are several devices: parameters everywhere, batches in slices."""

from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jclip.errors import InputError

__all__ = ["DATA", "data_mesh", "replicate", "shard_batch"]

DATA = "data"
"""The mesh axis along which batches are split."""


def data_mesh(batch_size: int) -> Mesh:
    """All devices along the axis `data`.

    Raises:
        InputError: the devices do not divide the batch evenly.
    """
    devices = jax.device_count()
    if batch_size % devices:
        raise InputError(f"a batch of {batch_size} cannot be split evenly over {devices} devices")
    return jax.make_mesh((devices,), (DATA,), axis_types=(jax.sharding.AxisType.Auto,))


def replicate(mesh: Mesh, tree: Any) -> Any:
    """Arrays, whole on every device."""
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


def shard_batch(mesh: Mesh, batch: Any) -> Any:
    """Arrays split along their first axis, a slice on every device."""
    return jax.device_put(batch, NamedSharding(mesh, PartitionSpec(DATA)))
