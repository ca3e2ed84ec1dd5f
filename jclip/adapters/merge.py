"""An adapter into the kernels."""

import jax.numpy as jnp

from jclip.adapters.lora import DenseLayer, map_dense_layers
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
        kernel = layer.kernel[...]
        layer.kernel[...] = (kernel.astype(jnp.float32) + layer.update()).astype(kernel.dtype)
        return layer.base

    return map_dense_layers(clip, merge)
