"""Embeddings in batches: the jitted programs that every probe calls.

Networks cross the jit boundary as `nnx.split` makes them: a static graph and a state of arrays.
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from jclip.distributed import local_mesh, replicate, shard_batch
from jclip.models import CLIP, cut_after_end_of_text
from jclip.models.unit_norm import normalised
from jclip.text.tokenizer import TokenIds

# Per device and step. Fixed, so that an embedding does not depend on how many texts a process has:
# a product of another shape rounds otherwise.
TEXT_BATCH = 32


@functools.partial(jax.jit, static_argnames="graph")
def embed_token_ids(
    graph: nnx.GraphDef, state: nnx.State, token_ids: Int[Array, "n l"]
) -> Float[Array, "n e"]:
    """Token ids `[N, L]` to normalised text embeddings `[N, E]` float32."""
    return normalised(nnx.merge(graph, state).encode_text(token_ids))


def embed_texts(
    clip: CLIP, tokens: TokenIds, rows: Sequence[int] | None = None
) -> Float[Array, "n e"]:
    """Normalised embeddings of tokenized texts; equal texts are embedded once.

    Batches are split over the devices of this process.

    Args:
        clip: whose text tower embeds.
        tokens: of all texts.
        rows: which of them to embed, at least one; all by default.

    Returns:
        `[N, E]`, in the order of `rows`.
    """
    ids = cut_after_end_of_text(tokens.ids, clip.config.text)
    ids = ids if rows is None else ids[np.asarray(rows)]
    ids, positions = np.unique(ids, axis=0, return_inverse=True)
    graph, state = nnx.split(clip)
    mesh = local_mesh()
    state = replicate(mesh, state)
    batch = TEXT_BATCH * mesh.size
    padded = np.pad(ids, ((0, -len(ids) % batch), (0, 0)), mode="edge")
    batches = padded.reshape(-1, batch, ids.shape[1])
    embedded = [embed_token_ids(graph, state, shard_batch(mesh, part)) for part in batches]
    return jnp.concatenate(replicate(mesh, embedded))[positions]
