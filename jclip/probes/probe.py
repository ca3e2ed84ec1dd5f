"""What all probes of captioned images share: prompts, views, results still to come, scoring."""

import functools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int64, UInt8

from jclip.data.image_sets import ImageSet
from jclip.data.pipeline import Batch
from jclip.data.supplied import Probed
from jclip.data.supplied_rows import Embedded, Scored
from jclip.distributed import local_mesh, shard_batch
from jclip.errors import InputError
from jclip.images.fits import OWN, FitOption, SeenFit, seen_fits
from jclip.probes.embed import check_orbit, device_plans, embed_views, one_behind, orbit_shifts
from jclip.probes.scores import Scores
from jclip.probes.subjects import Subject


class CaptionProbe[Result: Scores]:
    """Every image against its own caption, in as many views as it has columns.

    A subclass says what the views are, or with `prompts` and `empty` what else is scored; the
    columns of its results are all views times all prompts, views first:

        class FlipProbe(CaptionProbe):
            def embed(self, subject, pixels):
                views = (pixels, flip(pixels))
                return jnp.concatenate([self.embed_image(subject, v) for v in views], axis=1)

        probe = FlipProbe(["as it is", "flipped"])

    Args:
        columns: a name for each view, `column` in the table of scores.
        fits: how an image becomes a square.
        prompt_prefix: put before every caption.
        orbit: equal yaws over which the embedding of a panorama is averaged; 1 is none.

    Raises:
        InputError: the orbit is less than 1.
    """

    cut_ends = False
    """Whether prompts that are too long lose their end of text; see `make_subjects`."""

    drawn: tuple[str, ...] = ()
    """What else than their labels says how views are drawn, for an encoder elsewhere."""

    def __init__(
        self,
        columns: Sequence[str],
        fits: Sequence[FitOption] = (OWN,),
        prompt_prefix: str = "This is ",
        orbit: int = 1,
    ):
        check_orbit(orbit)
        self.columns, self.fits, self.prompt_prefix = tuple(columns), tuple(fits), prompt_prefix
        self.orbit = orbit
        self._plans = functools.cache(device_plans)

    @property
    def views(self) -> int:
        """How many views of an image are embedded."""
        return len(self.columns) * self.orbit

    def results(self, sets: Sequence[ImageSet], models: Sequence[Probed]) -> list[Result]:
        """Results still to be filled, for every set, model and fit."""
        return [
            self.empty(opened, model.identity.name, fit)
            for opened in sets
            for model in models
            for fit in seen_fits(self.fits, model.image_config)
        ]

    def empty(self, opened: ImageSet, model: str, fit: SeenFit) -> Result:
        """One result still to be filled."""
        result: Any = Scores.empty(opened, model, fit, self.columns)
        return result

    def prompts(self, opened: ImageSet) -> list[list[str]]:
        """One prompt for each image."""
        return [[self.prompt_prefix + caption] for caption in opened.captions]

    def view_labels(self, opened: ImageSet) -> tuple[str, ...]:
        """What tells the views of an image apart that an encoder elsewhere sees; "" of one alone.

        Raises:
            InputError: the probe does not say what its views are as pictures.
        """
        if self.orbit > 1:
            raise InputError(
                "orbit: means over it are not made of views that are exported", "orbit"
            )
        if self.views == 1:
            return ("",)
        if type(self).picture_views is CaptionProbe.picture_views:
            raise InputError(
                f"{type(self).__name__}: its views are no pictures that could be exported"
            )
        return self.columns

    def picture_views(
        self, pixels: UInt8[np.ndarray, "h w 3"]
    ) -> dict[str, UInt8[np.ndarray, "h w 3"]]:
        """The views of one image as pictures, by their labels: here, the image as it is.

        For an encoder elsewhere. A probe of several views says here, too, what they are.
        """
        return {"": pixels}

    def check_supplied(self) -> None:
        """Refuse what means nothing where all models are supplied embeddings.

        Raises:
            InputError: a fit is asked for.
        """
        if self.fits != (OWN,):
            raise InputError("fits: how images are fitted is the supplied embeddings' own", "fits")

    def fill_supplied(
        self,
        result: Result,
        opened: ImageSet,
        supplied: Embedded | Scored,
        views: Int64[np.ndarray, "n v"],
        texts: Int64[np.ndarray, "n k"],
    ) -> None:
        """Write into a result what follows from supplied embeddings or scores.

        Args:
            result: of one supplied model.
            opened: the set that it is of.
            supplied: in a plan's order.
            views: of every image the plan's rows of its views, as `view_labels` has them.
            texts: and of its prompts.

        Raises:
            InputError: a score is missing.
        """
        result.values[:] = supplied.scores(views, texts)

    def embed(self, subject: Subject, pixels: UInt8[Array, "n h w 3"]) -> Float[Array, "n v e"]:
        """Normalised embeddings of every view: here, of the image as it is."""
        return self.embed_image(subject, pixels)

    def score(
        self, subject: Subject, batch: Batch, pixels: UInt8[Array, "n h w 3"], rows: np.ndarray
    ) -> Any:
        """What `Result.store` takes of a batch: its views against its prompts.

        `pixels` are the batch's on the devices, `rows` the images they are of.
        """
        views = self.embed(subject, pixels)
        return score_views(views, shard_batch(local_mesh(), subject.texts[rows]))

    def embed_image(
        self, subject: Subject, pixels: UInt8[Array, "n h w 3"]
    ) -> Float[Array, "n 1 e"]:
        """Normalised embeddings of images of one size under the subject's fit.

        Of their orbit, if one was asked for; an image that is not 2:1 is no circle and has none.
        """
        config, fit, (height, width) = subject.image_config, subject.fit, pixels.shape[1:3]
        orbit = self.orbit if width == 2 * height else 1
        yaws = orbit_shifts(width, orbit, fit)
        (plan,) = self._plans((height, width), yaws, config, fit)
        return embed_views(
            *subject.network, pixels, plan, image_config=config, fit=fit, orbit=len(yaws)
        )


@jax.jit
def score_views(
    views: Float[Array, "n v e"], texts: Float[Array, "n k e"]
) -> Float[Array, "n v*k"]:
    """Every view of an image against its own texts, 100 x cosine, views first."""
    scores = 100 * jnp.einsum("nve,nke->nvk", views, texts, precision="highest")
    return scores.reshape(len(scores), -1)


def stream_scores(
    batches: Iterable[Batch], subjects: Sequence[Subject], probe: CaptionProbe
) -> Iterator[tuple[Batch, list[Any] | None]]:
    """Score every batch by every subject; each image crosses to a device once.

    Batches are split over the devices of this process, which compute without talking.

    Yields:
        The batch and what the probe scores by each subject, such as `[N, V K]`, one batch behind
        the device so that it never waits for the host; None if no image of the batch could be
        decoded.
    """
    mesh = local_mesh()

    def score(batch: Batch) -> list[Any]:
        pixels = shard_batch(mesh, batch.pixels)
        rows = np.resize(batch.indices, len(pixels))
        return [probe.score(subject, batch, pixels, rows) for subject in subjects]

    return one_behind(batches, score)
