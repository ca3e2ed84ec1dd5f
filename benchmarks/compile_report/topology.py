"""Topologies by name, TPU slices and GPUs: stand-ins for chips, which can be compiled for."""

import dataclasses
import os
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import jax
import numpy as np
from jax.experimental import topologies
from jax.sharding import Mesh

from benchmarks.compile_report.chips import CHIPS, GPU, GPUS, TPU, TPUS, Chip
from jclip.distributed import DATA
from jclip.errors import InputError

_SLICES = {
    2: ("1x1", "2x2", "2x4", "4x4", "4x8", "8x8", "8x16", "16x16"),
    3: ("2x2x1", "2x2x2", "2x2x4", "2x4x4", "4x4x4", "4x4x8", "4x8x8", "8x8x8"),
}
_GPU_COUNTS, _GPUS_OF_A_HOST = ("1", "2", "4", "8", "16", "32", "64"), 8
# Else libtpu asks the network what TPU it is on, complains that it is on none, and waits for a
# process that holds the chips; and the plugin for GPUs refuses to load where there is none.
_ALONE = {
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_HOST_BOUNDS": "1,1,1",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "true",
    "JAX_SKIP_CUDA_CONSTRAINTS_CHECK": "1",
}
# The package that holds the compiler, and the extra that installs it.
_COMPILERS = {TPU: ("libtpu", "TPUs", "tpu"), GPU: ("jax-cuda13-plugin", "GPUs", "cuda")}
TOPOLOGIES = (
    *(f"{name}:{shape}" for name, chip in TPUS.items() for shape in _SLICES[chip.dimensions]),
    *(f"{name}:{count}" for name in GPUS for count in _GPU_COUNTS),
)
"""Names as `--topology` takes them: of TPUs chips along each side, of GPUs how many."""


@dataclasses.dataclass(frozen=True)
class Topology:
    """A named set of chips of one kind, and one stand-in device per chip."""

    name: str
    chip: Chip
    mesh: Mesh
    """All chips along the axis `data`."""

    @property
    def one_chip(self) -> Mesh:
        """For programs that use one chip only."""
        return Mesh(self.mesh.devices[:1], (DATA,))


def take_no_chip() -> None:
    """Have JAX compute on the CPU, and its plugins load without a chip, in order to compile for it.

    Counts only before JAX is first asked for its devices, when it loads all plugins.
    """
    for variable, value in _ALONE.items():
        os.environ.setdefault(variable, value)
    jax.config.update("jax_platforms", "cpu")


def describe_topology(name: str) -> Chip:
    """The chip of a topology, by name alone.

    Raises:
        InputError: the name is not known.
    """
    kind = name.split(":")[0]
    if kind not in CHIPS:
        raise InputError(f"{name}: no known chip; known are {', '.join(CHIPS)}", "topology")
    if name not in TOPOLOGIES:
        known = [one for one in TOPOLOGIES if one.startswith(f"{kind}:")]
        raise InputError(f"{name}: not one of {', '.join(known)}", "topology")
    return CHIPS[kind]


def compiler_version(chip: Chip) -> tuple[str, str]:
    """Name and version of the package that compiles for a kind of chip.

    Raises:
        InputError: it is not installed.
    """
    package, chips, extra = _COMPILERS[type(chip)]
    try:
        return package, version(package)
    except PackageNotFoundError:
        raise InputError(
            f"{package}, which holds the compiler for {chips}, is not installed: "
            f"uv pip install --editable '.[{extra}]'"
        ) from None


def open_topology(name: str) -> Topology:
    """Stand-ins for the chips of a topology, which can be compiled for; none has to be there.

    Raises:
        InputError: the name is not known, the package that holds the compiler is not installed, or
            it cannot describe those chips.
    """
    chip = describe_topology(name)
    package, _ = compiler_version(chip)
    take_no_chip()
    try:
        devices = _stand_ins(chip, name)
    except (jax.errors.JaxRuntimeError, NotImplementedError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{name}: {package} cannot describe it ({reason})", "topology") from None
    return Topology(name, chip, Mesh(np.array(devices), (DATA,)))


def _stand_ins(chip: Chip, name: str) -> Sequence[Any]:
    """Of GPUs as many as the name says on as few hosts as hold them, with the libraries here."""
    if isinstance(chip, TPU):
        configured = {"platform": "tpu", "chip_config_name": chip.configuration}
        return topologies.get_topology_desc(name, **configured).devices
    assert isinstance(chip, GPU)
    count = int(name.split(":")[1])
    hosts = -(-count // _GPUS_OF_A_HOST)
    described = topologies.get_topology_desc(
        platform="cuda",
        topology=f"1x{hosts}x{count // hosts}",
        target_config=chip.target(version("nvidia-cudnn-cu13"), version("nvidia-cuda-runtime")),
    )
    return described.devices
