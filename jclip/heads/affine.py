"""An affine map that starts as PyTorch's does."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float


class Affine(nnx.Module):
    """`x @ kernel + bias` in float32, started as `torch.nn.Linear`: uniform in +-1/sqrt(inputs).

    Args:
        inputs: of the kernel `[inputs, outputs]`.
        outputs: of it.
        rngs: where kernel and bias come from.
        bound: of the kernel's values, if not 1/sqrt(inputs).
        zero_bias: whether the bias starts at zero.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        rngs: nnx.Rngs,
        *,
        bound: float | None = None,
        zero_bias: bool = False,
    ):
        default = inputs**-0.5

        def uniform(shape, limit):
            return jax.random.uniform(rngs.params(), shape, minval=-limit, maxval=limit)

        self.kernel = nnx.Param(uniform((inputs, outputs), default if bound is None else bound))
        self.bias = nnx.Param(jnp.zeros(outputs) if zero_bias else uniform((outputs,), default))

    def __call__(self, x: Float[Array, "*batch i"]) -> Float[Array, "*batch o"]:
        """`[..., inputs]` to `[..., outputs]`."""
        return jnp.matmul(x, self.kernel[...], precision="highest") + self.bias[...]
