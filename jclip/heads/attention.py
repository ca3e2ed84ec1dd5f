"""The attention head: a class token looks at an image and a text, and its output is the score."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from jclip.heads.configuration import HeadConfig
from jclip.heads.maps import Affine

# Numbers per block of a similarity matrix times attention heads: 64 MiB an array.
BLOCK = 2**24


class Seen(NamedTuple):
    """All that the class token can learn of other tokens, `[..., H]` each.

    `logits` is how much each attention head wants to look at a token; `values` is what a full look
    at it adds to the score.
    """

    logits: Float[Array, "*n h"]
    values: Float[Array, "*n h"]


class AttentionHead(nnx.Module):
    """One multi-head attention over [CLS, image, text], no residual, no norm (paper 2, heads).

    CLS is an affine map of a constant 1; the score is the sigmoid of the first component of the
    output at CLS. Only that component is computed: it needs two numbers per token and attention
    head, so that N images with M texts cost N M H operations instead of N M D D.

    Args:
        config: of kind `attention`.
        rngs: where the parameters come from, as `torch.nn.MultiheadAttention` draws them.
    """

    def __init__(self, config: HeadConfig, rngs: nnx.Rngs):
        self.config = config
        size = config.size
        self.cls = Affine(1, size, rngs)
        # Xavier's bound for the whole matrix of queries, keys and values.
        bound = (6 / (4 * size)) ** 0.5
        self.in_projection = Affine(size, 3 * size, rngs, bound=bound, zero_bias=True)
        self.out_projection = Affine(size, size, rngs, zero_bias=True)

    def similarity(
        self, images: Float[Array | np.ndarray, "n d"], texts: Float[Array | np.ndarray, "m d"]
    ) -> Float[Array, "n m"]:
        """The score of every image `[N, D]` with every text `[M, D]`, as CLIP gives them.

        It is computed in blocks of bounded memory.
        """
        seen, said = self._see(jnp.asarray(images)), self._see(jnp.asarray(texts))
        own = self._see(self._class_token())
        rows = max(1, BLOCK // said.logits.size)

        # What is computed within a block is computed again for its gradient, not kept.
        @jax.checkpoint
        def one_image(image: Seen) -> Float[Array, " m"]:
            return self._score(own, image, said)

        return jax.lax.map(one_image, seen, batch_size=rows)

    def scores(
        self, images: Float[Array | np.ndarray, "n d"], texts: Float[Array | np.ndarray, "n k d"]
    ) -> Float[Array, "n k"]:
        """The score of every image `[N, D]` with texts of its own `[N, K, D]`, as CLIP has them."""
        seen = self._see(jnp.asarray(images)[:, None])
        return self._score(self._see(self._class_token()), seen, self._see(jnp.asarray(texts)))

    def _class_token(self) -> Float[Array, " d"]:
        return self.cls(jnp.ones(1))

    def _see(self, tokens: Float[Array, "*n d"]) -> Seen:
        heads = self.config.attention_heads
        kernels = jnp.split(self.in_projection.kernel[...], 3, axis=1)
        biases = jnp.split(self.in_projection.bias[...], 3)
        query = self._class_token() @ kernels[0] + biases[0]
        query = query * (self.config.size // heads) ** -0.5
        to_score = self.out_projection.kernel[...][:, 0]

        def read(index: int, weights: Float[Array, " d"]) -> Float[Array, "*n h"]:
            per_head = (kernels[index] * weights).reshape(self.config.size, heads, -1).sum(axis=2)
            offset = (biases[index] * weights).reshape(heads, -1).sum(axis=1)
            return jnp.matmul(tokens, per_head, precision="highest") + offset

        return Seen(read(1, query), read(2, to_score))

    def _score(self, *tokens: Seen) -> Float[Array, "*n"]:
        logits = jnp.stack(jnp.broadcast_arrays(*(token.logits for token in tokens)))
        shares = jax.nn.softmax(logits, axis=0)
        total = sum(share * token.values for share, token in zip(shares, tokens, strict=True))
        return jax.nn.sigmoid(jnp.sum(total, axis=-1) + self.out_projection.bias[...][0])
