"""The maps that heads are made of: an affine one, which starts as PyTorch's does, and an MLP."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

# tanh(tanh(s x)) = s x (1 - 2 (s x)^2 / 3 + ..): 1e-5 off in direction for |x| <= 1.
_IDENTITY_SCALE = 2.0**-8


class Affine(nnx.Module):
    """`x @ kernel + bias` in float32, started as `torch.nn.Linear`: uniform in +-1/sqrt(inputs).

    Args:
        inputs: of the kernel `[inputs, outputs]`.
        outputs: of it.
        rngs: where kernel and bias come from.
        bound: of the kernel's values, if not 1/sqrt(inputs).
        zero_bias: whether the bias starts at zero.
        identity: a factor of the identity to start as instead.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        rngs: nnx.Rngs,
        *,
        bound: float | None = None,
        zero_bias: bool = False,
        identity: float | None = None,
    ):
        default = inputs**-0.5

        def uniform(shape, limit):
            return jax.random.uniform(rngs.params(), shape, minval=-limit, maxval=limit)

        if identity is not None:
            self.kernel = nnx.Param(identity * jnp.eye(inputs, outputs))
        else:
            self.kernel = nnx.Param(uniform((inputs, outputs), default if bound is None else bound))
        zero_bias = zero_bias or identity is not None
        self.bias = nnx.Param(jnp.zeros(outputs) if zero_bias else uniform((outputs,), default))

    def __call__(self, x: Float[Array, "*batch i"]) -> Float[Array, "*batch o"]:
        """`[..., inputs]` to `[..., outputs]`."""
        return jnp.matmul(x, self.kernel[...], precision="highest") + self.bias[...]


class TanhLayers(nnx.Module):
    """affine - tanh - affine - tanh, all of one width.

    Args:
        size: the width.
        rngs: where the maps come from.
        identity: whether to start as the identity up to a factor, which no cosine notices: the
            inputs are scaled down to where tanh is straight.
    """

    def __init__(self, size: int, rngs: nnx.Rngs, *, identity: bool):
        self.first = Affine(size, size, rngs, identity=_IDENTITY_SCALE if identity else None)
        self.second = Affine(size, size, rngs, identity=1.0 if identity else None)

    def __call__(self, x: Float[Array, "*n d"]) -> Float[Array, "*n d"]:
        """`[..., D]` to the same."""
        return jnp.tanh(self.second(jnp.tanh(self.first(x))))
