"""What is probed: a model under a fit, with the prompts of the images already embedded."""

import dataclasses
from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Float32

from jclip.checkpoints import Checkpoint, ImageConfig
from jclip.images import Fit
from jclip.images.fits import FitOption, fits_of
from jclip.probes.embed import Network, embed_texts, split_network


@dataclasses.dataclass(frozen=True)
class Subject:
    """One model under one fit, with normalised embeddings `[N, K, E]` of every image's prompts.

    `texts` are NaN in rows that were not asked for.
    """

    model: str
    fit: Fit
    network: Network
    image_config: ImageConfig
    texts: Float32[np.ndarray, "n k e"]


def make_subjects(
    checkpoint: Checkpoint,
    fits: Sequence[FitOption],
    prompts: Sequence[Sequence[str]],
    rows: Sequence[int] | None = None,
    *,
    cut_ends: bool = False,
) -> tuple[list[Subject], list[str]]:
    """A checkpoint under every fit, and what a reader of its numbers has to be told.

    Each distinct prompt is embedded once, whatever the number of fits.

    Args:
        checkpoint: the model.
        fits: how an image becomes a square.
        prompts: K of each of N images.
        rows: the images whose prompts are embedded; all by default.
        cut_ends: prompts that are too long lose their end of text too, as torchmetrics cuts them;
            what is pooled then has seen none of the text.
    """
    name, config = checkpoint.identity.name, checkpoint.image_config
    count = len(prompts[0])
    every = [prompt for own in prompts for prompt in own]
    tokens = checkpoint.tokenizer(every)
    if cut_ends:
        # The start of the text is pooled where there is no end, and it sees nothing but itself.
        tokens.ids[tokens.truncated, -1] = tokens.ids[tokens.truncated, -2]
    rows = range(len(prompts)) if rows is None else rows
    width = checkpoint.clip.config.embedding_width
    texts = np.full((len(prompts), count, width), np.nan, np.float32)
    if rows:
        flat = [row * count + k for row in rows for k in range(count)]
        embedded = jax.device_get(embed_texts(checkpoint.clip, tokens, flat))
        texts[list(rows)] = embedded.reshape(len(rows), count, width)
    network = split_network(checkpoint.clip)
    subjects = [Subject(name, fit, network, config, texts) for fit in fits_of(fits, config)]
    notices = [f"{name}: {notice}" for notice in checkpoint.tokenizer.notices(every)]
    if truncated := int(tokens.truncated.sum()):
        notices.append(
            f"{name}: {truncated} prompts are longer than {checkpoint.tokenizer.context_length} "
            "tokens and were truncated."
        )
    return subjects, notices
