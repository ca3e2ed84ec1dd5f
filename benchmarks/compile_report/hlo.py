"""The text of a compiled program: its computations, how often loops run, what it communicates."""

import dataclasses
import re
from collections import Counter

COLLECTIVES = (
    "all-gather",
    "all-reduce",
    "all-to-all",
    "collective-broadcast",
    "collective-permute",
    "ragged-all-to-all",
    "reduce-scatter",
)

_HEADER = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{$")
_INSTRUCTION = re.compile(r"^\s+(ROOT )?%?([\w.\-]+) = (.*)$")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"')
_NAME = re.compile(r"%([\w.\-]+)")


@dataclasses.dataclass(frozen=True)
class Instruction:
    """`NAME = SHAPE OPCODE(OPERANDS), ATTRIBUTES`."""

    name: str
    shape: str
    opcode: str
    operands: tuple[str, ...]
    argument: str
    """What stands between the parentheses."""
    attributes: str
    root: bool

    def called(self, attribute: str) -> str:
        """The computation that an attribute such as `body` names.

        Raises:
            ValueError: there is none.
        """
        found = re.search(rf"\b{attribute}=%?([\w.\-]+)", self.attributes)
        if found is None:
            raise ValueError(f"{self.opcode} {self.name} has no {attribute}")
        return found[1]


@dataclasses.dataclass(frozen=True)
class Module:
    """All computations by name, each with its instructions by name."""

    computations: dict[str, dict[str, Instruction]]
    entry: str

    def trips(self, loop: Instruction) -> int:
        """How often a `while` runs: as XLA found, or the bound of its counter; scans begin at 0.

        Raises:
            ValueError: XLA does not say, and its condition is no comparison with a constant.
        """
        if known := _TRIPS.search(loop.attributes):
            return int(known[1])
        condition = self.computations[loop.called("condition")]
        root = next(one for one in condition.values() if one.root)
        bounds = [condition[name] for name in root.operands if name in condition]
        bounds = [one for one in bounds if one.opcode == "constant"]
        if root.opcode != "compare" or "direction=LT" not in root.attributes or len(bounds) != 1:
            raise ValueError(f"cannot tell how often the loop {loop.name} runs")
        return int(bounds[0].argument)


def parse_module(text: str) -> Module:
    """Read `compiled.as_text()`.

    Raises:
        ValueError: it has no entry computation.
    """
    computations: dict[str, dict[str, Instruction]] = {}
    entry, current = "", {}
    for line in text.splitlines():
        if header := _HEADER.match(line):
            current = computations.setdefault(header[2], {})
            entry = header[2] if header[1] else entry
        elif found := _INSTRUCTION.match(line):
            current[found[2]] = _instruction(found[2], found[3], bool(found[1]))
    if not entry:
        raise ValueError("no entry computation in the text of the compiled program")
    return Module(computations, entry)


def _instruction(name: str, text: str, root: bool) -> Instruction:
    end = _closing(text, 0) + 1 if text.startswith("(") else text.index(" ")
    shape, rest = text[:end], text[end:].lstrip()
    opening = rest.index("(")
    closing = _closing(rest, opening)
    argument = rest[opening + 1 : closing]
    operands = tuple(_NAME.findall(argument))
    return Instruction(name, shape, rest[:opening], operands, argument, rest[closing + 1 :], root)


def _closing(text: str, opening: int) -> int:
    """Where the parenthesis that opens at `opening` closes."""
    depth = 0
    for parenthesis in re.finditer(r"[()]", text[opening:]):
        depth += 1 if parenthesis[0] == "(" else -1
        if depth == 0:
            return opening + parenthesis.start()
    raise ValueError(f"unbalanced parentheses in {text[:80]!r}")


def collectives(module: Module) -> Counter[str]:
    """How many instructions of every kind of collective the program holds, wherever they stand."""
    kinds = (
        one.opcode.removesuffix("-start")
        for computation in module.computations.values()
        for one in computation.values()
    )
    return Counter(kind for kind in kinds if kind in COLLECTIVES)
