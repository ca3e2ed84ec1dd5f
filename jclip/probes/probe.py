"""What a probe of captioned images has to say, and the scoring that all of them share."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from jclip.checkpoints import CheckpointDescription
from jclip.data.image_sets import ImageSet
from jclip.data.pipeline import Batch
from jclip.distributed import local_mesh, shard_batch
from jclip.images.fits import FitOption
from jclip.probes.embed import one_behind
from jclip.probes.scores import Scores
from jclip.probes.subjects import Subject


@runtime_checkable
class Probe[Result: Scores](Protocol):
    """Which views of an image are scored against which prompts.

    `fits` are how an image becomes a square; `views` is how many of its views are embedded. The
    columns of its results are all views times all prompts, views first.
    """

    fits: tuple[FitOption, ...]

    @property
    def views(self) -> int:
        """How many views of an image are embedded."""
        ...

    def results(
        self, sets: Sequence[ImageSet], models: Sequence[CheckpointDescription]
    ) -> list[Result]:
        """Results still to be filled: for every set, every model under each of its fits."""
        ...

    def prompts(self, opened: ImageSet) -> list[list[str]]:
        """The prompts of every image, as many for each."""
        ...

    def embed(self, subject: Subject, pixels: UInt8[Array, "n h w 3"]) -> Float[Array, "n v e"]:
        """Normalised embeddings of every view of a batch on the device."""
        ...


@jax.jit
def score_views(
    views: Float[Array, "n v e"], texts: Float[Array, "n k e"]
) -> Float[Array, "n v*k"]:
    """Every view of an image against its own texts, 100 x cosine, views first."""
    scores = 100 * jnp.einsum("nve,nke->nvk", views, texts, precision="highest")
    return scores.reshape(len(scores), -1)


def stream_scores(
    batches: Iterable[Batch], subjects: Sequence[Subject], probe: Probe
) -> Iterator[tuple[Batch, list[Float[np.ndarray, "n vk"]] | None]]:
    """Score every batch by every subject; each image crosses to a device once.

    Batches are split over the devices of this process, which compute without talking.

    Yields:
        The batch and its scores `[N, V K]` by each subject, one batch behind the device so that it
        never waits for the host; None if no image of the batch could be decoded.
    """
    mesh = local_mesh()

    def score(batch: Batch) -> list[Array]:
        pixels = shard_batch(mesh, batch.pixels)
        rows = np.resize(batch.indices, len(pixels))
        return [
            score_views(probe.embed(subject, pixels), shard_batch(mesh, subject.texts[rows]))
            for subject in subjects
        ]

    return one_behind(batches, score)
