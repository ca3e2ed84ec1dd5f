"""The probe of generated panoramas: every protocol's scores, the orbit's, and the seam's."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Array, Float, UInt8

from jclip.checkpoints import CheckpointDescription
from jclip.data.image_sets import ImageSet
from jclip.data.panorama_folders import VIEW_PREFIX, VIEWS
from jclip.data.pipeline import Batch
from jclip.distributed import local_mesh, shard_batch
from jclip.errors import InputError
from jclip.images import Fit
from jclip.images.sphere import SphereView, ring
from jclip.images.sphere_samples import sample_offsets
from jclip.probes.discontinuity import EIGHTHS, discontinuity_scores, panoeval_discontinuity
from jclip.probes.panorama_measures import (
    YAWS,
    Measure,
    Pictures,
    Protocol,
    Rescaling,
    measures_of,
)
from jclip.probes.panorama_pictures import measure_panoramas, plan_pictures
from jclip.probes.panorama_scores import PanoramaScores
from jclip.probes.probe import CaptionProbe
from jclip.probes.subjects import Subject

SEAM_YAW = 180.0


class PanoramaProbe(CaptionProbe[PanoramaScores]):
    """Every panorama by every protocol.

    Args:
        protocols: which.
        fits: under which the panorama is turned by eight yaws.
        rescaling: of pictures that a protocol hands on as floats in 0 .. 1. `corrected`: rescaled
            once; `pinned`: as under PanFusion's pinned transformers, with its own projection and
            values cut to 8 bits; `twice`: divided by 255 twice, as under later ones; `reference`:
            both of the latter.
        pitches: of the views at the seam, in degrees.
        samples: per pixel and side of spherical views.
        orbit: over how many yaws embeddings are averaged, a divisor of eight.
        prompt_prefix: put before every whole caption.
        panoeval: whether to compute PanoEval's form of the Discontinuity Score.
        cut_ends: whether captions that are too long lose their end of text; see `make_subjects`.

    Raises:
        InputError: a pitch is not between -90 and 90, there is no view at the seam, or there are
            no samples or too many.
    """

    def __init__(
        self,
        protocols: Sequence[Protocol] = ("jclip",),
        fits: Sequence[Fit] = ("crop", "squash"),
        *,
        rescaling: Sequence[Rescaling] = ("corrected",),
        pitches: Sequence[float] = (-60, -30, 0, 30, 60),
        samples: int = 4,
        orbit: int = YAWS,
        prompt_prefix: str = "",
        panoeval: bool = False,
        cut_ends: bool = False,
    ):
        if not pitches:
            raise InputError("no pitch of views at the seam", argument="seam_pitches")
        if beyond := [pitch for pitch in pitches if not -90 <= pitch <= 90]:
            said = f"{beyond[0]:g} degrees: a view at the seam looks between -90 and 90"
            raise InputError(said, argument="seam_pitches")
        if samples < 1:
            raise InputError(f"{samples}: one sample or more for each side of a pixel", "samples")
        sample_offsets(samples)
        if "panfusion" in protocols and "crop" not in fits:
            fits = ("crop", *fits)
        super().__init__((), ("squash",), prompt_prefix)
        self.protocols, self.turned, self.orbit = tuple(protocols), tuple(fits), orbit
        self.rescaling, self.samples, self.panoeval = tuple(rescaling), samples, panoeval
        seam = (SphereView(SEAM_YAW, float(pitch)) for pitch in pitches)
        self.cameras = (*ring(VIEWS), *seam)
        self.cut_ends = cut_ends
        self._widths: dict[str, int] = {}

    @property
    def views(self) -> int:
        """The most pictures of a panorama that are embedded."""
        pictures = {m.pictures for m in self._measures(captioned=True, stacked=False)}
        return sum(own.count(len(self.cameras)) for own in pictures)

    def results(
        self, sets: Sequence[ImageSet], models: Sequence[CheckpointDescription]
    ) -> list[PanoramaScores]:
        """Results still to be filled, for every set and model."""
        self._widths = {m.identity.name: m.config.embedding_width for m in models}
        return super().results(sets, models)

    def empty(self, opened: ImageSet, model: str, fit: Fit) -> PanoramaScores:
        """One result still to be filled."""
        measures = self.measures(opened)
        fits = () if opened.stacked else self.turned
        n, width = len(opened.images), self._widths[model]
        embedded = VIEWS if opened.stacked else len(fits)
        return PanoramaScores.empty(
            opened,
            model,
            fit,
            [column for measure in measures for column in measure.columns],
            fits=fits,
            orbits=np.full((n, len(fits)), np.nan, np.float32),
            features=np.full((n, embedded, width), np.nan, np.float32),
            seams=np.full((n, EIGHTHS + 1), np.nan),
        )

    def measures(self, opened: ImageSet) -> tuple[Measure, ...]:
        """All that can be measured of a set; none if its pictures serve no chosen protocol."""
        return self._measures(captioned=bool(opened.view_captions), stacked=opened.stacked)

    def _measures(self, *, captioned: bool, stacked: bool) -> tuple[Measure, ...]:
        seam = len(self.cameras) - VIEWS
        return measures_of(
            self.protocols,
            self.turned,
            self.rescaling,
            seam,
            captioned=captioned,
            stacked=stacked,
        )

    def check(self, sets: Sequence[ImageSet], models: Sequence[CheckpointDescription]) -> None:
        """Refuse what could only fail after the expensive part.

        Raises:
            InputError: pictures of a set serve no chosen protocol, or a model takes no squares.
        """
        for opened in sets:
            if not self.measures(opened):
                raise InputError(
                    f"{opened.name}: eight pictures of a scene and no panoramas, which serve the "
                    "protocols mvdiffusion and panfusion alone",
                    argument="protocols",
                )
        for model in models:
            if not isinstance(model.image_config.size, int):
                raise InputError(
                    f"{model.identity.name}: takes images of every shape; views of panoramas are "
                    "squares"
                )

    def left_out(self, opened: ImageSet) -> list[str]:
        """What of the chosen protocols a set has no captions for."""
        if opened.view_captions:
            return []
        names = [
            *["panfusion.mv_CS"] * ("panfusion" in self.protocols or "jclip" in self.protocols),
            *["mvdiffusion.CS"] * ("mvdiffusion" in self.protocols),
        ]
        return [f"{opened.name}: no captions of views, so no {' and '.join(names)}."] * bool(names)

    def prompts(self, opened: ImageSet) -> list[list[str]]:
        """Of each image its caption, and those of its views as they are and with the prefix."""
        rows = [[self.prompt_prefix + caption] for caption in opened.captions]
        for row, own in zip(rows, opened.view_captions, strict=False):
            row += [*own, *(VIEW_PREFIX + caption for caption in own)]
        return rows

    def score(
        self, subject: Subject, batch: Batch, pixels: UInt8[Array, "n h w 3"], rows: np.ndarray
    ) -> tuple[Any, ...]:
        """What `PanoramaScores.store` takes of a batch; the host looks at seams meanwhile."""
        stacked = _is_stack(pixels.shape)
        measures = self._measures(captioned=subject.texts.shape[1] > 1, stacked=stacked)
        turned = () if stacked else tuple(Pictures("yaws", fit) for fit in self.turned)
        pictures = tuple(dict.fromkeys([*turned, *(m.pictures for m in measures)]))
        shape, config = pixels.shape[1:3], subject.image_config
        found = measure_panoramas(
            *subject.network,
            pixels,
            shard_batch(local_mesh(), subject.texts[rows]),
            plan_pictures(pictures, shape, config, self.cameras, self.samples),
            pictures=pictures,
            measures=measures,
            turned=turned,
            orbit=self.orbit,
            image_config=config,
        )
        return *found, self._seams(batch.pixels)

    def _seams(self, pixels: UInt8[np.ndarray, "n h w 3"]) -> Float[np.ndarray, "n 9"]:
        if _is_stack(pixels.shape):
            return np.zeros((len(pixels), EIGHTHS + 1))
        theirs = [panoeval_discontinuity(one) if self.panoeval else 0.0 for one in pixels]
        return np.column_stack([discontinuity_scores(pixels), theirs])


def _is_stack(shape: Sequence[int]) -> bool:
    """Whether images are a generator's eight pictures one below the other, no panoramas."""
    return shape[1] >= VIEWS // 2 * shape[2]
