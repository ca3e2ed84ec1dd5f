"""What tuning for shift invariance gains, and what else it changes (paper 1)."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
import scipy
from jaxtyping import Array, Float, UInt8

from jclip.data.image_sets import ImageSet
from jclip.data.images import ImageFile
from jclip.data.pipeline import plan_batches
from jclip.distributed import local_mesh, shard_batch
from jclip.probes.embed import embed_all
from jclip.probes.probe import CaptionProbe
from jclip.probes.retrieval import right_caption_share
from jclip.probes.shift import ShiftProbe
from jclip.probes.subjects import Subject
from jclip.statistics.bound_tests import minimum_images
from jclip.statistics.calibration import calibrate_flip_bound
from jclip.statistics.stability import shift_statistics
from jclip.text.prompts import GENERICS, IDENTIFIERS

AMONG = 16
"""Captions among which an image has to find its own."""


@dataclasses.dataclass(frozen=True)
class NetworkMeasures:
    """Scores of one network on panoramas that no adapter was trained on.

    `scores` `[N, S]` are 100 x cosine, column 0 unshifted; `mirrored` `[N]` of the flipped
    panoramas; `right_caption` the share of panoramas whose own caption is first among 16, None with
    fewer captions; `keyword_effect` the median difference of score between the first identifier and
    the first generic word before the same content.
    """

    scores: Float[np.ndarray, "n s"]
    mirrored: Float[np.ndarray, " n"]
    right_caption: float | None
    keyword_effect: float

    @property
    def median_change(self) -> float:
        """Median |d| over all panoramas and all shifts but 0."""
        return float(np.median(np.abs(self.scores[:, 1:] - self.scores[:, :1])))

    def compared_to(self, before: "NetworkMeasures", alpha: float) -> dict[str, Any]:
        """The columns of `trade_off.csv` that are measured; None is what too few images forbid.

        median_change; score_change, the mean change of the unshifted score; spearman, the rank
        correlation of unshifted scores, as a constant score would be stable too; right_caption;
        keyword_effect; stable_shifts of tested_shifts, at which the corrected test finds the median
        |d| below the flip bound of the network before tuning, as in the paper.

        Args:
            before: the network before tuning, on the same panoramas.
            alpha: level of the test.

        Raises:
            InputError: no score changes at any shift, or each by the flip bound.
        """
        old, new = before.scores[:, 0], self.scores[:, 0]
        beta = calibrate_flip_bound(old, before.mirrored).value
        return {
            "median_change": self.median_change,
            "score_change": float(np.mean(new - old)),
            "spearman": _spearman(old, new),
            "right_caption": self.right_caption,
            "keyword_effect": self.keyword_effect,
            "stable_shifts": self._stable_shifts(beta, alpha),
            "tested_shifts": self.scores.shape[1] - 1,
        }

    def _stable_shifts(self, beta: float, alpha: float) -> int | None:
        if len(self.scores) < minimum_images(alpha):
            return None
        tests = shift_statistics(self.scores, beta, alpha).corrected
        assert tests is not None
        return int(tests.stable.sum())


def _spearman(old: Float[np.ndarray, " n"], new: Float[np.ndarray, " n"]) -> float | None:
    """None where ranks say nothing: two panoramas, or scores that are all equal."""
    if len(old) < 3 or not np.ptp(old) or not np.ptp(new):
        return None
    found: Any = scipy.stats.spearmanr(old, new)
    return float(found.statistic)


def impossible_measures(test_set: ImageSet, alpha: float) -> list[str]:
    """A notice for every measure that so few test panoramas do not allow; it is None then."""
    images, captions = len(test_set.images), len(set(test_set.captions))
    notices = []
    if images < (needed := minimum_images(alpha)):
        notices.append(
            f"{images} test panoramas: stability was not tested, as no test of fewer than {needed} "
            f"can reach p < {alpha:g}."
        )
    if captions < AMONG:
        notices.append(
            f"{captions} different captions of test panoramas: whether the right one is found "
            f"among {AMONG} was not measured."
        )
    return notices


def trade_off_prompts(opened: ImageSet, prompt_prefix: str) -> list[list[str]]:
    """Three prompts of every image: as it is, and with a format word before the caption.

    The words are the first identifier and the first generic word of `jclip.text.prompts`.
    """
    words = ("", f"{IDENTIFIERS[0]} ", f"{GENERICS[0]} ")
    return [[f"{prompt_prefix}{word}{caption}" for word in words] for caption in opened.captions]


def unshifted_scores(
    subject: Subject, images: Sequence[ImageFile], probe: CaptionProbe, views_per_step: int
) -> Float[Array, " n"]:
    """Scores of panoramas as they are against the first of their prompts, `[N]`."""
    # Rounding depends on the size of a batch, and training on rounding: half of what may be.
    largest = max(1, views_per_step // 2)
    embedded = _embed_all(images, functools.partial(probe.embed_image, subject), largest)
    return 100 * jnp.einsum("ne,ne->n", embedded[:, 0], subject.texts[:, 0], precision="highest")


def measure_network(
    subject: Subject, test_set: ImageSet, probe: ShiftProbe, views_per_step: int
) -> NetworkMeasures:
    """Score a network on a set of panoramas, each decoded and embedded once.

    The subject has the embedded `trade_off_prompts` of the set, and the probe, whose shifts are
    measured, mirrors; `views_per_step` is how many views are computed at once.
    """
    largest = max(1, views_per_step // probe.views)
    embedded = _embed_all(test_set.images, functools.partial(probe.embed, subject), largest)
    plain, identifier, generic = np.moveaxis(subject.texts, 1, 0)
    scores = 100 * np.einsum("nve,ne->nv", embedded, plain)
    unshifted = embedded[:, 0]
    # Of two equal captions neither would be wrong.
    distinct = np.sort(np.unique(test_set.captions, return_index=True)[1])
    right = None
    if len(distinct) >= AMONG:
        images, texts = jnp.asarray(unshifted[distinct]), jnp.asarray(plain[distinct])
        right = right_caption_share(images, texts, AMONG)
    return NetworkMeasures(
        scores=scores[:, :-1],
        mirrored=scores[:, -1],
        right_caption=right,
        keyword_effect=float(np.median(100 * np.sum(unshifted * (identifier - generic), axis=1))),
    )


def _embed_all(
    images: Sequence[ImageFile],
    embed: Callable[[UInt8[Array, "n h w 3"]], Float[Array, "n v e"]],
    largest: int,
) -> Float[np.ndarray, "n v e"]:
    """The embeddings of all images of one size, `largest` at a time."""
    mesh = local_mesh()
    plans = plan_batches(images, largest, mesh.size)
    return embed_all(images, plans, lambda batch: embed(shard_batch(mesh, batch.pixels)))


def trade_off_line(row: Mapping[str, Any], before: Mapping[str, Any]) -> str:
    """A row of the trade-off beside the network before tuning, in words."""

    def written(value: float | None, form: str) -> str:
        return "n/a" if value is None else format(value, form)

    def pair(name: str, form: str) -> str:
        return f"{written(before[name], form)} -> {written(row[name], form)}"

    tuned = (
        "not tuned" if row["lambda"] is None else f"lambda {row['lambda']:g}, seed {row['seed']}"
    )
    orbit = f", orbit {row['orbit']}" if row.get("orbit", 1) > 1 else ""
    return (
        f"{tuned}{orbit}: median |d| {pair('median_change', '.3f')}; "
        f"right caption among 16 {pair('right_caption', '.1%')}; "
        f"Spearman {written(row['spearman'], '.3f')}; keyword effect "
        f"{pair('keyword_effect', '+.2f')}"
    )
