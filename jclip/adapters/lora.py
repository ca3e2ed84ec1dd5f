"""LoRA: a trained low-rank update beside frozen dense kernels (Hu et al. 2021), as peft does it."""

import dataclasses
import math
import operator
import re
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Key

from jclip.errors import InputError
from jclip.models import CLIP
from jclip.models.transformer import Linear

TARGETS = {
    "reference": r"image_tower\..*\.mlp\.up",
    "attention": r"image_tower\..*\.attention\..*",
    "all": r"image_tower\..*",
}
"""Named sets of targets, all in the image tower. `reference` is what acts of paper 1's targets
(in_proj, out_proj, c_fc): open_clip has no module in_proj, and its attention bypasses out_proj."""

_DENSE = ("attention.query", "attention.key", "attention.value", "attention.out", "mlp.up")
_PATHS = tuple(
    f"{tower}.transformer.blocks.{dense}"
    for tower in ("image_tower", "text_tower")
    for dense in (*_DENSE, "mlp.down")
)


@dataclasses.dataclass(frozen=True)
class LoRAConfig:
    """What an adapter is; the defaults are paper 1's, but for the targets.

    Args:
        rank: columns of A and rows of B.
        alpha: the update is multiplied by alpha / rank, with `use_rslora` by alpha / sqrt(rank).
        dropout: share of A's input that is set to zero; only under `with_dropout`.
        use_rslora: see `alpha` (Kalajdzievski 2023).
        targets: a name of `TARGETS`, or one or several regular expressions, each for whole paths
            such as `image_tower.transformer.blocks.mlp.up`.

    Raises:
        InputError: rank or alpha is not positive, dropout is outside [0, 1), or a target is no
            regular expression.
    """

    rank: int = 8
    alpha: float = 16.0
    dropout: float = 0.1
    use_rslora: bool = False
    targets: str | tuple[str, ...] = "all"

    def __post_init__(self):
        if self.rank < 1:
            raise InputError(f"LoRA rank {self.rank}: a positive number is expected")
        if not 0 < self.alpha < math.inf:
            raise InputError(f"LoRA alpha {self.alpha}: a positive number is expected")
        if not 0 <= self.dropout < 1:
            raise InputError(f"LoRA dropout {self.dropout}: from 0 to below 1 is expected")
        for pattern in self.patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                raise InputError(f"LoRA target {pattern!r}: {error}") from None

    @property
    def scale(self) -> float:
        """The factor of A @ B."""
        return self.alpha / (math.sqrt(self.rank) if self.use_rslora else self.rank)

    @property
    def patterns(self) -> tuple[str, ...]:
        """The targets as regular expressions."""
        if isinstance(self.targets, tuple):
            return self.targets
        return (TARGETS.get(self.targets, self.targets),)


class InertFactor(nnx.Variable):
    """A factor of an adapter that the library it came from stores but never applies."""


class LoRALinear(nnx.Module):
    """`base(x) + scale * dropout(x) @ A @ B`, stacked over the blocks as `base` is.

    Operands are in the kernel's dtype, as in `Linear`; the factors are kept in float32. The base,
    with kernel `[L, I, O]`, is owned from now on.

    `layers` are the blocks that the adapter covers, all if None. In the others both factors have to
    be zero, and so are their gradients: training leaves them alone. The factors of an `inert` one
    are only kept, neither applied nor trained.
    """

    def __init__(
        self,
        base: Linear,
        lora_a: Float[Array, "l i r"],
        lora_b: Float[Array, "l r o"],
        *,
        config: LoRAConfig,
        layers: tuple[int, ...] | None = None,
        inert: bool = False,
    ):
        kind = InertFactor if inert else nnx.LoRAParam
        self.base = base
        self.lora_a, self.lora_b = kind(lora_a), kind(lora_b)
        self.dropout_keys: nnx.RngKey | None = nnx.data(None)
        self.config = config
        self.layers = tuple(range(len(lora_a))) if layers is None else layers
        self.inert = inert

    @property
    def kernel(self) -> nnx.Variable:
        """The base's kernel; its dtype is the one to compute in."""
        return self.base.kernel

    def __call__(self, x: Float[Array, "*batch i"]) -> Float[Array, "*batch o"]:
        """`[..., I]` to `[..., O]` float32, in one block."""
        y = self.base(x)
        if self.inert:
            return y
        if self.dropout_keys is not None:
            kept = 1 - self.config.dropout
            mask = jax.random.bernoulli(self.dropout_keys[...], kept, x.shape)
            x = jnp.where(mask, x / kept, 0)
        dtype = self.kernel[...].dtype
        for factor in (self.lora_a[...], self.lora_b[...]):
            x = jnp.matmul(
                x.astype(dtype), factor.astype(dtype), preferred_element_type=jnp.float32
            )
        return y + self.config.scale * x

    def update(self) -> Float[Array, "l i o"]:
        """What the adapter adds to the kernels, float32."""
        if self.inert:
            return jnp.zeros(self.kernel.shape)
        product = jnp.matmul(self.lora_a[...], self.lora_b[...], precision="highest")
        return self.config.scale * product


DenseLayer = Linear | LoRALinear


def dense_layers(clip: CLIP) -> dict[str, DenseLayer]:
    """The dense layers of both towers' blocks by dotted path: all that can be adapted."""
    return {path: operator.attrgetter(path)(clip) for path in _PATHS}


def adapted_layers(clip: CLIP) -> dict[str, LoRALinear]:
    """Those of the dense layers that hold an adapter."""
    layers = dense_layers(clip).items()
    return {path: layer for path, layer in layers if isinstance(layer, LoRALinear)}


def map_dense_layers(clip: CLIP, function: Callable[[str, DenseLayer], DenseLayer]) -> CLIP:
    """A copy of the network, sharing its arrays, with each dense layer replaced.

    The function takes a dotted path and the copy's own layer, to be changed at will.
    """
    copy = nnx.clone(clip)
    for path, layer in dense_layers(copy).items():
        owner, name = path.rsplit(".", 1)
        setattr(operator.attrgetter(owner)(copy), name, function(path, layer))
    return copy


def add_adapter(clip: CLIP, config: LoRAConfig, rngs: nnx.Rngs) -> CLIP:
    """A network with an adapter that changes nothing yet: A as peft draws it, B zero.

    A is uniform within 1 / sqrt(inputs). The factors are `nnx.LoRAParam`s, so
    `init_state(..., trainable=nnx.LoRAParam)` trains just them. Dropout is off until
    `with_dropout`. The network itself is left as it is; its arrays are shared.

    Raises:
        InputError: a target matches no dense layer, or the rank exceeds a side of one.
        ValueError: the network has an adapter.
    """
    if adapted_layers(clip):
        raise ValueError("the network has an adapter already; merge it first")
    check_targets(config)
    targets = target_paths(config)

    def adapt(path: str, layer: DenseLayer) -> DenseLayer:
        if path not in targets or isinstance(layer, LoRALinear):
            return layer
        layers, inputs, outputs = layer.kernel.shape
        if config.rank > min(inputs, outputs):
            raise InputError(
                f"LoRA rank {config.rank} exceeds a side of {path}, {inputs} x {outputs}"
            )
        shape, bound = (layers, inputs, config.rank), inputs**-0.5
        lora_a = jax.random.uniform(rngs.params(), shape, minval=-bound, maxval=bound)
        lora_b = jnp.zeros((layers, config.rank, outputs))
        return LoRALinear(layer, lora_a, lora_b, config=config)

    return map_dense_layers(clip, adapt)


def check_targets(config: LoRAConfig) -> None:
    """Refuse an adapter that would not be anywhere.

    Raises:
        InputError: a target matches no dense layer.
    """
    for pattern in config.patterns:
        if not any(re.fullmatch(pattern, path) for path in _PATHS):
            raise InputError(
                f"LoRA target {pattern!r} matches no dense layer; there are {', '.join(_PATHS)}"
            )


def target_paths(config: LoRAConfig) -> tuple[str, ...]:
    """The dense layers that an adapter is for, as dotted paths."""
    patterns = config.patterns
    return tuple(path for path in _PATHS if any(re.fullmatch(p, path) for p in patterns))


def with_dropout(clip: CLIP, key: Key[Array, ""]) -> CLIP:
    """The network with the adapter's dropout on, its masks drawn from a key; for training.

    The same key and the same shape of input give the same masks, row by row, so that two views of
    an image can share theirs; another key, as every step needs it, gives others. Every block and
    every target has its own. To be called inside the loss, on the network that `nnx.merge` gives
    there, which is left as it is.
    """
    targets = {path: number for number, path in enumerate(_PATHS)}

    def drop(path: str, layer: DenseLayer) -> DenseLayer:
        if isinstance(layer, LoRALinear) and layer.config.dropout:
            keys = jax.random.split(jax.random.fold_in(key, targets[path]), len(layer.kernel))
            layer.dropout_keys = nnx.data(nnx.RngKey(keys, tag="dropout"))
        return layer

    return map_dense_layers(clip, drop)


def merge_adapter(clip: CLIP) -> CLIP:
    """A network of plain dense layers that computes the same: kernels W + scale * A @ B.

    The sum is taken in float32 and rounded to the kernels' dtype. The network itself is left as it
    is, so that keeping it is the exact way back; arrays that do not change are shared.
    """

    def merge(_: str, layer: DenseLayer) -> DenseLayer:
        if isinstance(layer, Linear):
            return layer
        kernel = layer.kernel[...]
        layer.kernel[...] = (kernel.astype(jnp.float32) + layer.update()).astype(kernel.dtype)
        return layer.base

    return map_dense_layers(clip, merge)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ParameterCounts:
    """How many numbers are trained, frozen, and kept without ever being applied."""

    trainable: int
    frozen: int
    inert: int


def parameter_counts(clip: CLIP) -> ParameterCounts:
    """Count the network's parameters; blocks that an adapter does not cover count nothing."""
    counts = {False: 0, True: 0}
    for layer in adapted_layers(clip).values():
        sizes = (factor[...][0].size for factor in (layer.lora_a, layer.lora_b))
        counts[layer.inert] += len(layer.layers) * sum(sizes)
    others = nnx.state(clip, nnx.All(nnx.Param, nnx.Not(nnx.LoRAParam)))
    frozen = sum(leaf.size for leaf in jax.tree.leaves(others))
    return ParameterCounts(trainable=counts[False], frozen=frozen, inert=counts[True])
