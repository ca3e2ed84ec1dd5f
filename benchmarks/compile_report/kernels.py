"""What a compiled program sets to work on one chip, by kind, loops as often as they run.

On a GPU each of these is a kernel that is launched, on a TPU an instruction of its own.
"""

import re
from collections import Counter

from benchmarks.compile_report.hlo import COLLECTIVES, Instruction, Module

KINDS = ("products", "attention", "element-wise", "copies", "collectives")
"""Matrix products; attention that keeps its scores to itself; all other computing; data moved
unchanged; talk between chips."""

_FREE = {"after-all", "bitcast", "constant", "get-tuple-element"}
_FREE |= {"parameter", "partition-id", "replica-id", "tuple"}
_MOVING = {"bitcast", "broadcast", "concatenate", "constant", "copy", "dynamic-slice"}
_MOVING |= {"dynamic-update-slice", "parameter", "reshape", "slice", "transpose", "tuple"}
_PRODUCTS = {"convolution", "dot"}
_ONLY_NAMES = re.compile(r'custom_call_target="(AllocateBuffer|ConcatBitcast)"')


def count_kernels(module: Module) -> Counter[str]:
    """How many run in one run of the program, by kind.

    Raises:
        ValueError: a loop of unknown length.
    """
    return _computation(module, module.entry)


def _computation(module: Module, name: str) -> Counter[str]:
    total: Counter[str] = Counter()
    for one in module.computations[name].values():
        total += _instruction(module, one)
    return total


def _instruction(module: Module, one: Instruction) -> Counter[str]:
    kind = one.opcode
    if kind in _FREE or kind.endswith("-done") or _ONLY_NAMES.search(one.attributes):
        return Counter()
    if kind == "while":
        body, times = _computation(module, one.called("body")), module.trips(one)
        return Counter({name: times * count for name, count in body.items()})
    if kind == "call":
        return _computation(module, one.called("to_apply"))
    if kind == "conditional":
        branches = re.findall(r"%([\w.\-]+)", one.attributes.split("branch_computations=")[-1])
        ways = [_computation(module, name) for name in branches if name in module.computations]
        return max(ways, key=Counter.total)
    return Counter((_kind(module, one),))


def _kind(module: Module, one: Instruction) -> str:
    held = _held(module, one)
    if held & set(COLLECTIVES):
        return "collectives"
    called = re.search(r'custom_call_target="([^"]*)"', one.attributes)
    target = called[1].lower() if called else ""
    if "fmha" in target:
        return "attention"
    if held & _PRODUCTS or "gemm" in target or "matmul" in target:
        return "products"
    return "copies" if held <= _MOVING else "element-wise"


def _held(module: Module, one: Instruction) -> set[str]:
    """The operations of an instruction, those fused into it included."""
    opcode = one.opcode.removesuffix("-start")
    if opcode not in ("fusion", "async"):
        return {opcode}
    fused = module.computations[one.called("calls")]
    return set().union(*(_held(module, inner) for inner in fused.values()))
