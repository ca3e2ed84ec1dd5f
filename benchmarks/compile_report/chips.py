"""Chips that programs are compiled for: the numbers that a program is held against, by name.

Those of TPUs (peak bfloat16 rate, HBM and its bandwidth) are of Google Cloud's published system
architecture pages, "TPU v4", "TPU v5e", "TPU v5p" and "TPU v6e (Trillium)"; those of GPUs are in
`gpus.toml`, each with its source.
"""

import dataclasses
import tomllib
from pathlib import Path
from typing import Any

_GPUS = Path(__file__).with_name("gpus.toml")
# The same for every card since compute capability 8.0 (CUDA C++ Programming Guide).
_EVERY_GPU = {
    "threads_per_block_limit": 1024,
    "threads_per_warp": 32,
    "shared_memory_per_block": 49152,
    "registers_per_core_limit": 65536,
    "registers_per_block_limit": 65536,
    "block_dim_limit_x": 2147483647,
    "block_dim_limit_y": 65535,
    "block_dim_limit_z": 65535,
    "thread_dim_limit_x": 1024,
    "thread_dim_limit_y": 1024,
    "thread_dim_limit_z": 64,
}


@dataclasses.dataclass(frozen=True)
class Chip:
    """A kind of chip; a gigabyte is 10^9 bytes."""

    peak_flops: float
    hbm_bytes: float
    hbm_bandwidth: float


@dataclasses.dataclass(frozen=True)
class TPU(Chip):
    """A generation of TPUs.

    `configuration` is what libtpu calls the way in which a chip's cores appear: those of a v4 or
    v5p chip as one device, as in a run.
    """

    dimensions: int
    configuration: str = "default"


@dataclasses.dataclass(frozen=True)
class GPU(Chip):
    """A card, and what the compiler for GPUs is told of it."""

    card: str
    capability: tuple[int, int]
    accelerated: bool
    """Whether it has the features of its own compute capability only, `sm_90a` and the like."""
    compiler: dict[str, Any]

    def target(self, cudnn: str, toolkit: str) -> str:
        """Text of XLA's `GpuTargetConfigProto`: this card, and the libraries of that machine."""
        major, minor = self.capability
        cudnn = ".".join(cudnn.split(".")[:3])
        features = "ACCELERATED_FEATURES" if self.accelerated else "NONE"
        fields = {
            **_EVERY_GPU,
            **self.compiler,
            "memory_bandwidth": int(self.hbm_bandwidth),
            "dnn_version": _quoted(cudnn),
            **dict.fromkeys(
                ("driver_version", "runtime_version", "compile_time_toolkit_version"),
                _quoted(toolkit),
            ),
        }
        dnn = dict(zip(("major", "minor", "patch"), cudnn.split("."), strict=True))
        device = "\n".join(f"  {name}: {value}" for name, value in fields.items())
        return (
            f"gpu_device_info {{\n{device}\n  cuda_compute_capability "
            f"{{ major: {major} minor: {minor} feature_extension: {features} }}\n}}\n"
            f'platform_name: "CUDA"\ndevice_description_str: {_quoted(self.card)}\n'
            f"dnn_version_info {{ {' '.join(f'{k}: {v}' for k, v in dnn.items())} }}\n"
        )


def _quoted(text: str) -> str:
    return f'"{text}"'


def _gpu(described: dict[str, Any]) -> GPU:
    return GPU(
        described["peak_flops"],
        described["memory"],
        described["bandwidth"],
        described["card"],
        tuple(described["capability"]),
        described["accelerated"],
        described["compiler"],
    )


TPUS = {
    "v4": TPU(275e12, 32e9, 1228e9, 3, "megacore"),
    "v5e": TPU(197e12, 16e9, 819e9, 2),
    "v5p": TPU(459e12, 95e9, 2765e9, 3, "megacore"),
    "v6e": TPU(918e12, 32e9, 1640e9, 2),
}
GPUS = {name: _gpu(one) for name, one in tomllib.loads(_GPUS.read_text("utf-8")).items()}
CHIPS: dict[str, Chip] = {**TPUS, **GPUS}
