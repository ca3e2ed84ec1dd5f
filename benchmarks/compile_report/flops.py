"""Operations of a program counted from its jaxpr, and the time that a chip needs for them at least.

XLA's own count takes the body of a loop once however often it runs; here a scan counts as often as
it is long.
"""

import math
from collections.abc import Iterator
from typing import Any

from jax.extend.core import ClosedJaxpr, Jaxpr

from benchmarks.compile_report.chips import Chip


def product_flops(program: ClosedJaxpr | Jaxpr, *, loops_once: bool = False) -> int:
    """Multiplications and additions in all matrix products of a program, over all its devices.

    Element-wise work is left out, as in every roofline of matrix units.

    Args:
        program: of `jax.jit(..).trace(..).jaxpr`.
        loops_once: count the body of every loop once, as XLA does.

    Raises:
        ValueError: a product in a loop whose length the program does not say, or a convolution.
    """
    jaxpr = program.jaxpr if isinstance(program, ClosedJaxpr) else program
    return sum(_equation_flops(equation, loops_once) for equation in jaxpr.eqns)


def _equation_flops(equation: Any, loops_once: bool) -> int:
    name = equation.primitive.name
    if name == "dot_general":
        (contracted, _), _ = equation.params["dimension_numbers"]
        left = equation.invars[0].aval.shape
        inner = math.prod(left[axis] for axis in contracted)
        return 2 * inner * math.prod(equation.outvars[0].aval.shape)
    if name == "conv_general_dilated":
        raise ValueError("the program has a convolution, whose operations are not counted")
    within = [product_flops(part, loops_once=loops_once) for part in _parts(equation)]
    if name == "cond":
        return max(within)
    if name == "while" and not loops_once and any(within):
        raise ValueError("the program has products in a loop of unknown length")
    times = equation.params["length"] if name == "scan" and not loops_once else 1
    return times * sum(within)


def _parts(equation: Any) -> Iterator[ClosedJaxpr | Jaxpr]:
    """The programs within an equation: bodies, branches, functions."""
    for value in equation.params.values():
        for part in value if isinstance(value, tuple | list) else (value,):
            if isinstance(part, ClosedJaxpr | Jaxpr):
                yield part


def roofline(flops: float, moved: float, chip: Chip) -> dict[str, Any]:
    """The least time of a program on one chip, and what sets it (Williams, Waterman and Patterson).

    `intensity` and `ridge` are operations per byte: of the program, and where the chip's rate and
    bandwidth balance; `moved` are bytes to and from its memory. No run is faster than
    `roofline_ms`, the longer of computing and moving.
    """
    times = {"compute": 1e3 * flops / chip.peak_flops, "memory": 1e3 * moved / chip.hbm_bandwidth}
    bound = max(times, key=lambda kind: times[kind])
    return {
        "intensity": flops / moved,
        "ridge": chip.peak_flops / chip.hbm_bandwidth,
        **{f"{kind}_ms": time for kind, time in times.items()},
        "roofline_ms": times[bound],
        "bound": bound,
    }
