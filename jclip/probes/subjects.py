"""What is probed: a model under a fit, with the prompts of the images already embedded."""

import dataclasses
from collections.abc import Iterator, Sequence

import jax
import numpy as np
from flax import nnx
from jaxtyping import Float32

from jclip.checkpoints import Checkpoint, ImageConfig
from jclip.distributed import local_mesh, replicate
from jclip.images import Fit
from jclip.probes.embeddings import embed_texts


@dataclasses.dataclass(frozen=True)
class Subject:
    """One model under one fit, with the normalised text embedding `[N, E]` of every prompt.

    `graph` and `state` are the network's, from `nnx.split`, the state whole on every device of this
    process. `texts` are NaN in rows that were not asked for.
    """

    model: str
    fit: Fit
    graph: nnx.GraphDef
    state: nnx.State
    image_config: ImageConfig
    texts: Float32[np.ndarray, "n e"]


def make_subjects(
    checkpoint: Checkpoint,
    fits: Sequence[Fit],
    prompts: Sequence[str],
    rows: Sequence[int] | None = None,
) -> tuple[list[Subject], list[str]]:
    """A checkpoint under every fit, and what a reader of its numbers has to be told.

    Each distinct prompt is embedded once, whatever the number of fits.

    Args:
        checkpoint: the model.
        fits: how an image becomes a square.
        prompts: of all images.
        rows: which of the prompts to embed; all by default.
    """
    tokens = checkpoint.tokenizer(prompts)
    graph, state = nnx.split(checkpoint.clip)
    state = replicate(local_mesh(), state)
    rows = range(len(prompts)) if rows is None else rows
    texts = np.full((len(prompts), checkpoint.clip.config.embedding_width), np.nan, np.float32)
    if rows:
        texts[list(rows)] = jax.device_get(embed_texts(checkpoint.clip, tokens, rows))
    name, config = checkpoint.identity.name, checkpoint.image_config
    subjects = [Subject(name, fit, graph, state, config, texts) for fit in fits]
    truncated = int(tokens.truncated.sum())
    return subjects, [f"{name}: {notice}" for notice in _notices(checkpoint, truncated)]


def _notices(checkpoint: Checkpoint, truncated: int) -> Iterator[str]:
    identity = checkpoint.identity
    yield from identity.notices
    if identity.overridden:
        yield (
            f"runs with {identity.activation} although its weights were trained with "
            f"{identity.own_activation}."
        )
    if truncated:
        yield (
            f"{truncated} prompts are longer than {checkpoint.tokenizer.context_length} tokens "
            "and were truncated."
        )
