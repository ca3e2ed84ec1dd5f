"""An adapter into the kernels, and out of them again."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jclip.adapters.lora import DenseLayer, LoRALinear, adapted_layers, map_dense_layers
from jclip.models import CLIP
from jclip.models.transformer import Linear


def merge_adapter(clip: CLIP) -> CLIP:
    """A network of plain dense layers that computes the same: kernels W + scale * A @ B.

    The sum is taken in float32 and rounded to the kernels' dtype.

    Args:
        clip: left as it is, so that keeping it is the exact way back; arrays that do not change
            are shared.
    """

    def merge(_: str, layer: DenseLayer) -> DenseLayer:
        if isinstance(layer, Linear):
            return layer
        _add(layer.base, layer.update())
        return layer.base

    return map_dense_layers(clip, merge)


def unmerge_adapter(merged: CLIP, adapted: CLIP) -> CLIP:
    """The inverse of `merge_adapter`, but for rounding in the kernels' dtype.

    Args:
        merged: a network whose kernels hold an adapter, such as one read from a file; left as is.
        adapted: where the adapter comes from; of the same configuration. Its kernels play no part.

    Returns:
        A network with the adapter beside kernels that no longer hold it.

    Raises:
        ValueError: `merged` has an adapter beside its kernels, or the configurations differ.
    """
    if adapted_layers(merged):
        raise ValueError("the network has its adapter beside its kernels already")
    if merged.config != adapted.config:
        raise ValueError(f"the adapter belongs to {adapted.config}, not to {merged.config}")
    adapters = adapted_layers(adapted)

    def unmerge(path: str, layer: DenseLayer) -> DenseLayer:
        if path not in adapters or not isinstance(layer, Linear):
            return layer
        adapter: LoRALinear = nnx.clone(adapters[path])
        _add(layer, -adapter.update())
        adapter.base = layer
        return adapter

    return map_dense_layers(merged, unmerge)


def _add(layer: Linear, update: Float[Array, "l i o"]) -> None:
    kernel = layer.kernel[...]
    layer.kernel[...] = (kernel.astype(jnp.float32) + update).astype(kernel.dtype)
