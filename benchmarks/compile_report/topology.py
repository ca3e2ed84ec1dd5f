"""TPU topologies by name, and the chips that they are made of.

The numbers of a chip (peak bfloat16 rate, HBM and its bandwidth) are those of Google Cloud's
published system architecture pages, "TPU v4", "TPU v5e", "TPU v5p" and "TPU v6e (Trillium)".
"""

import dataclasses
import importlib.util
import os

import jax
import numpy as np
from jax.experimental import topologies
from jax.sharding import Mesh

from jclip.distributed import DATA
from jclip.errors import InputError


@dataclasses.dataclass(frozen=True)
class Chip:
    """One generation of TPU chips; a gigabyte is 10^9 bytes.

    `configuration` is what libtpu calls the way in which a chip's cores appear: those of a v4 or
    v5p chip as one device, as in a run.
    """

    peak_flops: float
    hbm_bytes: float
    hbm_bandwidth: float
    dimensions: int
    configuration: str = "default"


CHIPS = {
    "v4": Chip(275e12, 32e9, 1228e9, 3, "megacore"),
    "v5e": Chip(197e12, 16e9, 819e9, 2),
    "v5p": Chip(459e12, 95e9, 2765e9, 3, "megacore"),
    "v6e": Chip(918e12, 32e9, 1640e9, 2),
}
_SHAPES = {
    2: ("1x1", "2x2", "2x4", "4x4", "4x8", "8x8", "8x16", "16x16"),
    3: ("2x2x1", "2x2x2", "2x2x4", "2x4x4", "4x4x4", "4x4x8", "4x8x8", "8x8x8"),
}
# Else libtpu asks the network what TPU it is on, complains that it is on none, and waits for a
# process that holds the chips.
_ALONE = {
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_HOST_BOUNDS": "1,1,1",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "true",
}
TOPOLOGIES = tuple(
    f"{name}:{shape}" for name, chip in CHIPS.items() for shape in _SHAPES[chip.dimensions]
)
"""Names as `--topology` takes them: generation and chips along each side."""


@dataclasses.dataclass(frozen=True)
class Topology:
    """A named slice: its kind of chip, and one stand-in device per chip."""

    name: str
    chip: Chip
    mesh: Mesh
    """All chips along the axis `data`."""

    @property
    def one_chip(self) -> Mesh:
        """For programs that use one chip only."""
        return Mesh(self.mesh.devices[:1], (DATA,))


def describe_topology(name: str) -> Chip:
    """The chip of a topology, by name alone.

    Raises:
        InputError: the name is not known.
    """
    if name not in TOPOLOGIES:
        raise InputError(f"--topology {name}: not one of {', '.join(TOPOLOGIES)}")
    return CHIPS[name.split(":")[0]]


def open_topology(name: str) -> Topology:
    """Stand-ins for the chips of a topology, which can be compiled for; no TPU is needed.

    Raises:
        InputError: the name is not known, or the package libtpu, which holds the compiler, is not
            installed.
    """
    chip = describe_topology(name)
    if importlib.util.find_spec("libtpu") is None:
        raise InputError(
            "libtpu, the compiler for TPUs, is not installed: uv pip install --editable '.[tpu]'"
        )
    for variable, value in _ALONE.items():
        os.environ.setdefault(variable, value)
    given = {"platform": "tpu", "chip_config_name": chip.configuration}
    try:
        described = topologies.get_topology_desc(name, **given)
    except jax.errors.JaxRuntimeError as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"--topology {name}: refused by libtpu ({reason})") from None
    return Topology(name, chip, Mesh(np.array(described.devices), (DATA,)))
