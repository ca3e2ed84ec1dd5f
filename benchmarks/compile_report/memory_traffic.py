"""Bytes that a compiled program moves to and from a chip's main memory.

XLA's count takes the body of a loop once; here it counts as often as the loop runs. What XLA has
put into the small memory beside the compute units (memory spaces other than 0) costs nothing, and
what an instruction slices counts as large as the slice. Padding to tiles is not counted.
"""

import math
import re
from collections.abc import Mapping

from benchmarks.compile_report.hlo import Instruction, Module

_ARRAY = re.compile(r"\b([a-z]+\d*)\w*\[([\d,]*)\](?:\{([^}]*)\})?")
_BITS = {"pred": 8}
_FREE = {"after-all", "bitcast", "constant", "get-tuple-element"}
_FREE |= {"parameter", "partition-id", "tuple"}
# Calls that reserve memory or join neighbours, and move nothing.
_ONLY_NAMES = re.compile(r'custom_call_target="(AllocateBuffer|ConcatBitcast)"')
_SLICING = {"dynamic-slice", "gather", "slice"}


def memory_traffic(module: Module) -> int:
    """Bytes read and written by one run of the program on one chip.

    Raises:
        ValueError: a loop of unknown length.
    """
    return _computation(module, module.entry)


def _computation(module: Module, name: str) -> int:
    computation = module.computations[name]
    return sum(_instruction(module, computation, one) for one in computation.values())


def _instruction(module: Module, computation: Mapping[str, Instruction], one: Instruction) -> int:
    kind = one.opcode
    if kind in _FREE or kind.endswith("-start"):
        return 0
    if kind == "custom-call" and _ONLY_NAMES.search(one.attributes):
        return 0
    if kind == "while":
        return module.trips(one) * _computation(module, one.called("body"))
    if kind == "call":
        return _computation(module, one.called("to_apply"))
    if kind == "conditional":
        branches = re.findall(r"%([\w.\-]+)", one.attributes.split("branch_computations=")[-1])
        return max(_computation(module, b) for b in branches if b in module.computations)
    sources = _operands(computation, one)
    written = _bytes(one.shape)
    if kind.endswith("-done"):
        # A copy or slice that goes on beside computing: as much is read as is written.
        read = _operands(computation, sources[0])
        return written + sum(min(_bytes(r.shape), _size(one.shape)) for r in read)
    if kind == "fusion":
        return _fusion(module, one, sources)
    if kind == "dynamic-update-slice":
        return 2 * min(written, _bytes(sources[1].shape))
    read = [_bytes(source.shape) for source in sources]
    if kind in _SLICING:
        read[0] = min(read[0], _size(one.shape))
    return written + sum(read)


def _operands(computation: Mapping[str, Instruction], one: Instruction) -> list[Instruction]:
    return [computation[name] for name in one.operands if name in computation]


def _fusion(module: Module, one: Instruction, sources: list[Instruction]) -> int:
    """Several instructions in one: its operands are read, its results written, the rest is free."""
    fused = module.computations[one.called("calls")]
    read = sum(
        min(_bytes(source.shape), _looked_at(module, fused, _parameter(fused, number)))
        for number, source in enumerate(sources)
    )
    root = next(instruction for instruction in fused.values() if instruction.root)
    results = root.operands if root.opcode == "tuple" else (root.name,)
    written = sum(
        min(size, _changed(module, fused, fused[result]))
        for result, (size, space) in zip(results, _arrays(one.shape), strict=False)
        if space == 0
    )
    return int(read + written)


def _parameter(fused: Mapping[str, Instruction], number: int) -> Instruction:
    wanted = str(number)
    return next(p for p in fused.values() if p.opcode == "parameter" and p.argument == wanted)


def _looked_at(module: Module, fused: Mapping[str, Instruction], value: Instruction) -> float:
    """How many bytes of a value the fused instructions look at; infinite: all of it."""
    total = 0.0
    for user in fused.values():
        for place, operand in enumerate(user.operands):
            if operand != value.name:
                continue
            if user.opcode == "bitcast":
                total += _looked_at(module, fused, user)
            elif user.opcode in _SLICING and place == 0:
                total += _size(user.shape)
            elif user.opcode == "fusion":
                inner = module.computations[user.called("calls")]
                total += _looked_at(module, inner, _parameter(inner, place))
            elif user.opcode != "dynamic-update-slice" or place != 0:
                return math.inf
    return total


def _changed(module: Module, fused: Mapping[str, Instruction], result: Instruction) -> float:
    """How many bytes of a result are new; infinite: all of it."""
    if result.opcode == "bitcast":
        return _changed(module, fused, fused[result.operands[0]])
    if result.opcode == "dynamic-update-slice":
        return _size(fused[result.operands[1]].shape)
    if result.opcode == "fusion":
        inner = module.computations[result.called("calls")]
        root = next(instruction for instruction in inner.values() if instruction.root)
        return math.inf if root.opcode == "tuple" else _changed(module, inner, root)
    return math.inf


def _bytes(shape: str) -> int:
    """Of the arrays of a shape that are in main memory."""
    return sum(size for size, space in _arrays(shape) if space == 0)


def _size(shape: str) -> int:
    """Of the arrays of a shape, wherever they are."""
    return sum(size for size, _ in _arrays(shape))


def _arrays(shape: str):
    """Bytes and memory space of every array in `f32[8,4]{1,0:T(8,128)S(1)}` or a tuple of such."""
    for kind, extent, layout in _ARRAY.findall(shape):
        space = re.search(r"S\((\d+)\)", layout)
        elements = math.prod(int(side) for side in extent.split(",") if side)
        bits = _BITS.get(kind) or int(re.sub(r"\D", "", kind) or 0)
        yield elements * bits // 8, int(space[1]) if space else 0
