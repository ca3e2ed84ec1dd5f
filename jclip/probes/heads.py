"""What a re-projection head does: ranks among hard negatives, and retrieval (paper 2, results)."""

import numpy as np
from jaxtyping import Int

from jclip.data.features import Features
from jclip.heads import Head
from jclip.probes.fine_grained import rank_features
from jclip.probes.retrieval import (
    Normalisation,
    cosine_retrieval,
    rank_captions,
    rank_images,
    recall_at,
)

RECALLS = tuple(f"{way}_r{k}" for way in ("i2t", "t2i") for k in (1, 5, 10))
"""Recall in per cent: image to text and text to image, at 1, 5 and 10."""


def measure_head(head: Head, boxes: Features, pairs: Features) -> dict[str, float]:
    """The mean rank over all sets as `mean_rank`, that of each set by its name, and `RECALLS`.

    Args:
        head: what scores.
        boxes: of kind `fg_ovd`; ties count against the right caption, as in the paper.
        pairs: of kind `coco`, what is retrieved.
    """
    some = (pairs.images, pairs.captions, pairs.caption_images, head.similarity)
    ranks = rank_captions(*some), rank_images(*some)
    return {**_mean_ranks(boxes, head), **_recalls(*ranks)}


def measure_cosine(
    boxes: Features, pairs: Features, normalisation: Normalisation = "corrected"
) -> dict[str, float]:
    """The same as `measure_head` for the embeddings themselves."""
    some = (pairs.images, pairs.captions, pairs.caption_images)
    ranks = cosine_retrieval(*some, normalisation=normalisation)
    return {**_mean_ranks(boxes, None), **_recalls(*ranks)}


def _mean_ranks(boxes: Features, head: Head | None) -> dict[str, float]:
    ranked = rank_features(boxes, "", head and head.scores)
    means = {one.name: float(np.nanmean(one.in_table)) for one in ranked}
    return {"mean_rank": float(np.mean(list(means.values()))), **means}


def _recalls(*ranks: Int[np.ndarray, "_"]) -> dict[str, float]:
    """By image, then by caption."""
    values = [value for own in ranks for value in recall_at(own).values()]
    return dict(zip(RECALLS, values, strict=True))
