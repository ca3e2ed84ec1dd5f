"""Embeddings in batches: the jitted programs that every probe calls.

Networks cross the jit boundary as `nnx.split` makes them: a static graph and a state of arrays.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from jclip.models import CLIP, cut_after_end_of_text
from jclip.text.tokenizer import TokenIds

__all__ = ["embed_texts", "embed_token_ids", "normalised"]

TEXT_BATCH = 256


def normalised(embeddings: Float[Array, "*n e"]) -> Float[Array, "*n e"]:
    """Scaled to length 1 in float32, as `x / x.norm()` in the reference."""
    embeddings = embeddings.astype(jnp.float32)
    return embeddings / jnp.linalg.norm(embeddings, axis=-1, keepdims=True)


@functools.partial(jax.jit, static_argnames="graph")
def embed_token_ids(
    graph: nnx.GraphDef, state: nnx.State, token_ids: Int[Array, "n l"]
) -> Float[Array, "n e"]:
    """Token ids `[N, L]` to normalised text embeddings `[N, E]` float32."""
    return normalised(nnx.merge(graph, state).encode_text(token_ids))


def embed_texts(clip: CLIP, tokens: TokenIds, batch: int = TEXT_BATCH) -> Float[Array, "n e"]:
    """Normalised embeddings `[N, E]` of tokenized texts; equal texts are embedded once."""
    distinct, rows = np.unique(tokens.ids, axis=0, return_inverse=True)
    ids = cut_after_end_of_text(distinct, clip.config.text)
    graph, state = nnx.split(clip)
    batch = min(batch, len(ids))
    padded = np.pad(ids, ((0, -len(ids) % batch), (0, 0)), mode="edge")
    batches = padded.reshape(-1, batch, ids.shape[1])
    embedded = [embed_token_ids(graph, state, part) for part in batches]
    return jnp.concatenate(embedded)[rows]
