"""From the tokens of a tower to one embedding."""

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from jclip.models.config import TextConfig, TransformerConfig
from jclip.models.transformer import MLP, Attention, LayerNorm


class MapHead(nnx.Module):
    """Multi-head attention pooling (Zhai et al. 2022): a learned query attends to all tokens.

    What it attends to is not added to the query; an MLP with a residual path follows.
    """

    def __init__(self, config: TransformerConfig, *, dtype, rngs: nnx.Rngs):
        self.probe = nnx.Param(nnx.initializers.normal(1)(rngs.params(), (config.width,)))
        self.attention = Attention(config, dtype=dtype, rngs=rngs)
        self.norm = LayerNorm(config.width, epsilon=config.norm_epsilon, rngs=rngs)
        self.mlp = MLP(config, dtype=dtype, rngs=rngs)

    def __call__(
        self, tokens: Float[Array, "n t d"], keep: Bool[Array, "#n 1 1 t"] | None = None
    ) -> Float[Array, "n d"]:
        """Tokens `[N, T, D]`, of which those are looked at that `keep` is true for."""
        probes = jnp.broadcast_to(self.probe[...], (len(tokens), 1, tokens.shape[-1]))
        return self.asked(probes, tokens, keep)[:, 0]

    def asked(
        self,
        queries: Float[Array, "n q d"],
        tokens: Float[Array, "n t d"],
        keep: Bool[Array, "#n 1 1 t"] | None = None,
    ) -> Float[Array, "n q d"]:
        """The same for other queries."""
        x = self.attention(queries, tokens, keep)
        return x + self.mlp(self.norm(x))


def pooled_positions(token_ids: Int[Array | np.ndarray, "n l"], config: TextConfig):
    """Where each text is pooled, `[N]` int, of the array library of `token_ids`.

    At the first `end_of_text`, or at the first largest id where there is none.
    """
    if config.pooling == "end":
        end = config.end_of_text
        return (token_ids if end is None else token_ids == end).argmax(axis=-1)
    last = token_ids.shape[1] - 1 if config.pooling == "last" else 0
    return (token_ids[:, 0] * 0) + last


def cut_after_end_of_text(
    token_ids: Int[np.ndarray, "n l"], config: TextConfig, multiple: int = 8
) -> Int[np.ndarray, "n m"]:
    """Drop the columns behind every row's end of text; exact where the text tower is causal.

    Where it is not, or pools elsewhere, nothing is dropped. The width kept is rounded up to a
    `multiple`, so that only a few shapes are compiled.
    """
    if not config.causal or config.pooling != "end":
        return token_ids
    longest = int(pooled_positions(token_ids, config).max()) + 1
    return token_ids[:, : -(-longest // multiple) * multiple]
