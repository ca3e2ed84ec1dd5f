"""From the tensors of a file to the parameters of the network, by a table of rules."""

import dataclasses
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import jax
import numpy as np
from flax import nnx
from jaxtyping import Float

from jclip.checkpoints.causes import likely_cause
from jclip.errors import InputError
from jclip.files.tensors import PickledTensors, SafetensorsTensors, UnwrappedTensors

TensorSource = SafetensorsTensors | PickledTensors | UnwrappedTensors
_LONGEST = 480
"""Characters of what an error says of a file's tensors."""


@dataclasses.dataclass(frozen=True)
class TensorRule:
    """One tensor of a file, and the parameter it becomes.

    Args:
        source: the tensor's name; `{layer}` stands for the number of the block, whose parameters
            are stacked in the network.
        target: the parameter's path joined by dots; several if the tensor is split along its first
            axis into equal parts.
        form: how the tensor is stored: as the parameter is, `transposed`, or as the `patches` of a
            convolution [width, 3, rows, columns].
        ignored: whether the tensor, where present, is left out on purpose.
        ones: how many axes of length 1 stand before the tensor's others.
    """

    source: str
    target: str | tuple[str, ...] = ()
    form: Literal["same", "transposed", "patches"] = "same"
    ignored: bool = False
    ones: int = 0

    @property
    def targets(self) -> tuple[str, ...]:
        """The parameters, in the order of the parts."""
        return (self.target,) if isinstance(self.target, str) else self.target


def norm_rules(source: str, target: str) -> list[TensorRule]:
    """Those of a layer norm."""
    bias = TensorRule(f"{source}.bias", f"{target}.bias")
    return [TensorRule(f"{source}.weight", f"{target}.scale"), bias]


def linear_rules(source: str, target: str) -> list[TensorRule]:
    """Those of a dense layer, whose kernel PyTorch keeps as [outputs, inputs]."""
    bias = TensorRule(f"{source}.bias", f"{target}.bias")
    return [TensorRule(f"{source}.weight", f"{target}.kernel", "transposed"), bias]


def filled_module[Module: nnx.Module](
    make: Callable[[], Module],
    values: Callable[[Mapping[str, jax.ShapeDtypeStruct]], Mapping[str, jax.Array]],
) -> Module:
    """The module that `make` builds, its initial parameters never computed but given.

    `values` takes the shape and dtype of each parameter by its path, joined by dots.
    """
    graph, state = nnx.split(nnx.eval_shape(make))
    leaves = {".".join(map(str, path)): (path, leaf) for path, leaf in nnx.to_flat_state(state)}
    found = values({name: leaf.get_value() for name, (_, leaf) in leaves.items()})
    filled = [(path, leaf.replace(found[name])) for name, (path, leaf) in leaves.items()]
    return nnx.merge(graph, nnx.from_flat_state(filled))


def assign(
    rules: Sequence[TensorRule],
    tensors: TensorSource,
    parameters: Mapping[str, jax.ShapeDtypeStruct],
    file: str,
) -> dict[str, jax.Array]:
    """Fill every parameter exactly once, using every tensor exactly once.

    One parameter at a time is in host memory. Values are cast to the parameter's dtype. `file` is
    what the error calls the checkpoint.

    Raises:
        InputError: tensors are missing, unexpected, misshapen, not floating-point or not finite;
            of each kind the first are named, and the likely cause where one is seen.
    """
    filled: dict[str, jax.Array] = {}

    def fill(fitting: Mapping[str, Any]) -> list[str]:
        values, unfit = _fill(fitting, tensors, parameters)
        filled.update(values)
        return unfit

    check_tensors(rules, tensors.shapes, parameters, file, fill)
    return filled


def check_tensors(
    rules: Sequence[TensorRule],
    shapes: Mapping[str, tuple[int, ...]],
    parameters: Mapping[str, jax.ShapeDtypeStruct],
    file: str,
    fill: Callable[[Mapping[str, Any]], list[str]] = lambda fitting: [],
) -> None:
    """Refuse tensors whose names or shapes are not those that `assign` needs.

    `fill` takes the others and returns the names of those that are not finite.

    Raises:
        InputError: see `assign`.
    """
    expected = _expected(rules, parameters)
    known = expected.keys() | {rule.source for rule in rules if rule.ignored}
    held = {name: one for name, one in expected.items() if name in shapes}
    fitting = {name: one for name, one in held.items() if _fits(shapes[name], one[2])}
    problems = {
        "missing": [name for name in expected if name not in held],
        "unexpected": [name for name in shapes if name not in known],
        "misshapen": [
            f"{name} {shapes[name]} for {shape}"
            for name, (_, _, shape) in held.items()
            if name not in fitting
        ],
        "not finite": fill(fitting),
    }
    if any(problems.values()):
        differs = problems["missing"] or problems["unexpected"]
        cause = likely_cause(expected, shapes) if differs else None
        cause = f" ({cause})" if cause else ""
        raise InputError(f"{file} does not hold the network it describes{cause}; {_said(problems)}")


def _said(problems: Mapping[str, Sequence[str]]) -> str:
    """The first names of each kind; of many problems fewer."""
    groups = {kind: _merge_layers(names) for kind, names in problems.items() if names}
    said = ""
    for shown in (3, 1):
        parts = [
            f"{kind}: {', '.join(group[:shown])}"
            + (f" and {len(group) - shown} more" if len(group) > shown else "")
            for kind, group in groups.items()
        ]
        said = "; ".join(parts)
        if len(said) <= _LONGEST:
            break
    return said


def _fits(found: tuple[int, ...], expected: tuple[int, ...]) -> bool:
    """Whether the shapes are the same; PyTorch has scalars in vectors of one element too."""
    return found == expected or (expected == () and math.prod(found) == 1)


def _expected(rules, parameters):
    """Tensor name -> (rule, layer or None, shape as stored), for the parameters there are."""
    expected = {}
    for rule in rules:
        # A network without layer scale has no such parameters; their tensors are then unexpected.
        if rule.ignored or rule.targets[0] not in parameters:
            continue
        shape = parameters[rule.targets[0]].shape
        stacked = "{layer}" in rule.source
        for layer in range(shape[0]) if stacked else (None,):
            stored = _stored_shape(rule, shape[1:] if stacked else shape)
            expected[rule.source.format(layer=layer)] = (rule, layer, stored)
    return expected


def _stored_shape(rule: TensorRule, shape: tuple[int, ...]) -> tuple[int, ...]:
    if rule.form == "patches":
        patch = math.isqrt(shape[0] // 3)
        return (shape[1], 3, patch, patch)
    if rule.form == "transposed":
        shape = shape[::-1]
    parts = len(rule.targets)
    return (1,) * rule.ones + (shape if parts == 1 else (shape[0] * parts, *shape[1:]))


def _fill(expected, tensors: TensorSource, parameters):
    """Parameters by path, and the names of tensors that hold something else than finite floats."""
    by_target: dict[str, list] = {}
    for name, (rule, layer, _) in expected.items():
        for part, target in enumerate(rule.targets):
            by_target.setdefault(target, []).append((name, rule, layer, part))
    filled, unfit = {}, []
    for target, sources in by_target.items():
        parameter = parameters[target]
        buffer = np.empty(parameter.shape, parameter.dtype)
        for name, rule, layer, part in sources:
            tensor = tensors.read(name)
            # Kind "V" is how numpy sees bfloat16 and the 8-bit floats.
            if tensor.dtype.kind not in "fV" or not np.isfinite(tensor).all():
                unfit.append(name)
                continue
            if not parameter.shape:
                tensor = tensor.reshape(())
            buffer[... if layer is None else layer] = _converted(rule, tensor, part)
        filled[target] = jax.device_put(buffer)
    return filled, list(dict.fromkeys(unfit))


def _converted(rule: TensorRule, tensor: np.ndarray, part: int) -> np.ndarray:
    tensor = tensor.reshape(tensor.shape[rule.ones :])
    if len(rule.targets) > 1:
        tensor = np.split(tensor, len(rule.targets))[part]
    if rule.form == "transposed":
        return tensor.T
    if rule.form == "patches":
        return tensor.transpose(2, 3, 1, 0).reshape(-1, len(tensor))
    return tensor


def restore(
    rules: Sequence[TensorRule], parameters: Mapping[str, Any]
) -> dict[str, Float[np.ndarray, "..."]]:
    """The tensors that `assign` would fill these parameters from."""
    tensors = {}
    for rule in rules:
        if rule.ignored or rule.targets[0] not in parameters:
            continue
        parts = [np.asarray(parameters[target]) for target in rule.targets]
        layers = zip(*parts, strict=True) if "{layer}" in rule.source else [parts]
        for layer, values in enumerate(layers):
            tensors[rule.source.format(layer=layer)] = _restored(rule, values)
    return tensors


def _restored(rule: TensorRule, parts: Sequence[np.ndarray]) -> np.ndarray:
    if rule.form == "patches":
        (value,) = parts
        _, _, patch, _ = _stored_shape(rule, value.shape)
        return value.reshape(patch, patch, 3, -1).transpose(3, 2, 0, 1)
    if rule.form == "transposed":
        parts = [value.T for value in parts]
    value = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return value.reshape((1,) * rule.ones + value.shape)


def _merge_layers(names: Iterable[str]) -> list[str]:
    """All names, merged where only the number of the layer differs: `layers.{0,1,2}.bias`."""
    merged: dict[str, list[str]] = {}
    for name in names:
        number = re.search(r"(?<=\.)\d+(?=\.)", name)
        key = name if number is None else f"{name[: number.start()]}*{name[number.end() :]}"
        merged.setdefault(key, []).append("" if number is None else number.group())
    return [
        key.replace("*", numbers[0] if len(numbers) == 1 else f"{{{_listed(numbers)}}}", 1)
        for key, numbers in merged.items()
    ]


def _listed(numbers: list[str]) -> str:
    return ",".join(numbers if len(numbers) <= 4 else [*numbers[:2], "...", numbers[-1]])
