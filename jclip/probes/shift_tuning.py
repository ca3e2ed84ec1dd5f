"""What fine-tuning for shift invariance gained, and what it cost (paper 1)."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
import scipy
from flax import nnx
from jaxtyping import Array, Float, UInt8

from jclip.checkpoints import Checkpoint, ImageConfig
from jclip.data.image_sets import ImageSet
from jclip.data.pipeline import plan_batches, stream_batches
from jclip.distributed import local_mesh, replicate, shard_batch
from jclip.errors import InputError
from jclip.images import Fit, ViewPlan, flip, plan_views
from jclip.models import CLIP
from jclip.probes.embeddings import embed_texts
from jclip.probes.retrieval import right_caption_share
from jclip.probes.shift import embed_shifts
from jclip.statistics.calibration import calibrate_flip_bound
from jclip.statistics.stability import shift_statistics
from jclip.text.prompts import GENERICS, IDENTIFIERS

AMONG = 16
"""Captions among which an image has to find its own."""


@dataclasses.dataclass(frozen=True)
class Texts:
    """Normalised embeddings `[N, E]` of every image's prompt, and of the same with a format word.

    The identifier and the generic word are the first of `jclip.text.prompts`. `distinct` are the
    rows of the first image with each prompt: of two equal captions neither would be wrong.
    """

    prompts: Float[Array, "n e"]
    identifiers: Float[Array, "n e"]
    generics: Float[Array, "n e"]
    distinct: Sequence[int]


@dataclasses.dataclass(frozen=True)
class Measured:
    """Scores of one network on panoramas that no adapter was trained on.

    `scores` `[N, S]` are 100 x cosine, column 0 unshifted; `mirrored` `[N]` of the flipped
    panoramas; `right_caption` the share of panoramas whose own caption is first among 16;
    `keyword_effect` the median difference of score between the first identifier and the first
    generic word before the same content.
    """

    scores: Float[np.ndarray, "n s"]
    mirrored: Float[np.ndarray, " n"]
    right_caption: float
    keyword_effect: float

    @property
    def median_change(self) -> float:
        """Median |d| over all panoramas and all shifts but 0."""
        return float(np.median(np.abs(self.scores[:, 1:] - self.scores[:, :1])))

    @property
    def beta(self) -> float:
        """The stability bound that left-right flips of these panoramas give."""
        return calibrate_flip_bound(self.scores[:, 0], self.mirrored).value

    def stable_shifts(self, beta: float, alpha: float = 0.01) -> int:
        """Number of shifts that the corrected test finds stable within `beta`."""
        tests = shift_statistics(self.scores, beta, alpha).corrected
        assert tests is not None
        return int(tests.stable.sum())

    def score_change(self, before: "Measured") -> float:
        """Mean change of the unshifted score."""
        return float(np.mean(self.scores[:, 0] - before.scores[:, 0]))

    def spearman(self, before: "Measured") -> float:
        """Rank correlation of the unshifted scores: a constant score would be stable too."""
        found: Any = scipy.stats.spearmanr(before.scores[:, 0], self.scores[:, 0])
        return float(found.statistic)


def distinct_captions(opened: ImageSet) -> list[int]:
    """The first image of every caption, in order.

    Raises:
        InputError: fewer than 16 different captions.
    """
    distinct = np.sort(np.unique(opened.captions, return_index=True)[1])
    if len(distinct) < AMONG:
        raise InputError(
            f"{opened.name}: a part of {len(opened.images)} images with {len(distinct)} different "
            f"captions; the right one is looked for among {AMONG}"
        )
    return distinct.tolist()


def texts_of(checkpoint: Checkpoint, opened: ImageSet, prompt_prefix: str) -> Texts:
    """Embed what `measure` needs; the text tower is not tuned, so this is done once.

    Raises:
        InputError: fewer than 16 different captions.
    """

    def embed(words: str):
        prompts = [f"{prompt_prefix}{words}{caption}" for caption in opened.captions]
        return embed_texts(checkpoint.clip, checkpoint.tokenizer(prompts))

    distinct = distinct_captions(opened)
    identifier, generic = f"{IDENTIFIERS[0]} ", f"{GENERICS[0]} "
    return Texts(embed(""), embed(identifier), embed(generic), distinct)


@functools.partial(jax.jit, static_argnames=("graph", "image_config", "fit"))
def _embed(
    graph: nnx.GraphDef,
    state: nnx.State,
    images: UInt8[Array, "n h w 3"],
    plan: ViewPlan,
    unshifted: ViewPlan,
    *,
    image_config: ImageConfig,
    fit: Fit,
) -> tuple[Float[Array, "n s e"], Float[Array, "n e"]]:
    embed = functools.partial(embed_shifts, graph, state, image_config=image_config, fit=fit)
    return embed(images, plan), embed(flip(images), unshifted)[:, 0]


def embed_set(
    clip: CLIP,
    image_config: ImageConfig,
    opened: ImageSet,
    shifts: Sequence[int],
    fit: Fit,
    views: int,
) -> tuple[Float[np.ndarray, "n s e"], Float[np.ndarray, "n e"]]:
    """Normalised embeddings of panoramas of one size at every shift, and of their mirror images."""
    graph, state = nnx.split(clip)
    first, interpolation = opened.images[0], image_config.interpolation
    size, mesh = image_config.size, local_mesh()
    made = [
        plan_views(first.height, first.width, wanted, size, fit, interpolation)
        for wanted in (tuple(shifts), (0,))
    ]
    state, (plan, unshifted) = replicate(mesh, (state, made))
    plans = plan_batches(opened.images, max(1, views // (len(shifts) + 1)), mesh.size)
    embedded = []
    for batch in stream_batches(opened.images, plans, record_failures=False):
        pixels = shard_batch(mesh, batch.pixels)
        found = _embed(graph, state, pixels, plan, unshifted, image_config=image_config, fit=fit)
        embedded.append((len(batch.indices), found))
    fetched = [(rows, *jax.device_get(found)) for rows, found in embedded]
    return (
        np.concatenate([turned[:rows] for rows, turned, _ in fetched]),
        np.concatenate([mirrored[:rows] for rows, _, mirrored in fetched]),
    )


def measure(
    clip: CLIP,
    image_config: ImageConfig,
    opened: ImageSet,
    texts: Texts,
    shifts: Sequence[int],
    fit: Fit,
    views: int,
) -> Measured:
    """Score a network on a set of panoramas, each decoded and embedded once."""
    turned, mirrored = embed_set(clip, image_config, opened, shifts, fit, views)
    prompts, identifiers, generics = map(
        np.asarray, (texts.prompts, texts.identifiers, texts.generics)
    )
    unshifted, distinct = turned[:, 0], np.asarray(texts.distinct)
    difference = 100 * np.sum(unshifted * (identifiers - generics), axis=1)
    return Measured(
        scores=100 * np.einsum("nse,ne->ns", turned, prompts),
        mirrored=100 * np.einsum("ne,ne->n", mirrored, prompts),
        right_caption=right_caption_share(
            jax.numpy.asarray(unshifted[distinct]), texts.prompts[distinct], AMONG
        ),
        keyword_effect=float(np.median(difference)),
    )
