"""The probe of generated panoramas: every protocol's scores, the orbit's, and the seam's."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Array, Float, Int64, UInt8

from jclip.data.image_sets import ImageSet
from jclip.data.panorama_folders import VIEW_PREFIX, VIEWS
from jclip.data.pipeline import Batch
from jclip.data.supplied import Probed, Supplied
from jclip.data.supplied_rows import Embedded, Scored
from jclip.distributed import local_mesh, shard_batch
from jclip.errors import InputError
from jclip.images import Fit
from jclip.images.fits import SUPPLIED, SeenFit
from jclip.images.sphere import SphereView, ring
from jclip.images.sphere_samples import sample_offsets
from jclip.probes.discontinuity import EIGHTHS, discontinuity_scores, panoeval_discontinuity
from jclip.probes.panorama_measures import (
    SUPPLIED_PICTURES,
    YAWS,
    Measure,
    Pictures,
    Protocol,
    Rescaling,
    measures_of,
)
from jclip.probes.panorama_pictures import measure_panoramas, plan_pictures
from jclip.probes.panorama_scores import PanoramaScores
from jclip.probes.panorama_views import labelled_pictures, picture_labels
from jclip.probes.probe import CaptionProbe
from jclip.probes.subjects import Subject
from jclip.probes.supplied_panoramas import score_supplied

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
        self.drawn = (f"{samples} samples per pixel and side",)
        self._widths: dict[str, int] = {}

    @property
    def views(self) -> int:
        """The most pictures of a panorama that are embedded."""
        pictures = {m.pictures for m in self._measures(captioned=True, stacked=False)}
        return sum(own.count(len(self.cameras)) for own in pictures)

    def results(self, sets: Sequence[ImageSet], models: Sequence[Probed]) -> list[PanoramaScores]:
        """Results still to be filled, for every set and model."""
        self._widths = {model.identity.name: _width(model) for model in models}
        return super().results(sets, models)

    def empty(self, opened: ImageSet, model: str, fit: SeenFit) -> PanoramaScores:
        """One result still to be filled."""
        measures = self.measures(opened, fit)
        fits = () if opened.stacked else self._turned(fit)
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

    def measures(self, opened: ImageSet, fit: SeenFit = "squash") -> tuple[Measure, ...]:
        """All that can be measured of a set; none if its pictures serve no chosen protocol.

        Under the fit `supplied` what an encoder elsewhere can be shown.
        """
        captioned, stacked = bool(opened.view_captions), opened.stacked
        return self._measures(fit, captioned=captioned, stacked=stacked)

    def _measures(
        self, fit: SeenFit = "squash", *, captioned: bool, stacked: bool
    ) -> tuple[Measure, ...]:
        every = measures_of(
            self.protocols,
            self._turned(fit),
            ("corrected",) if fit == SUPPLIED else self.rescaling,
            len(self.cameras) - VIEWS,
            captioned=captioned,
            stacked=stacked,
        )
        return tuple(m for m in every if fit != SUPPLIED or m.pictures in SUPPLIED_PICTURES)

    def _turned(self, fit: SeenFit) -> tuple[SeenFit, ...]:
        return (SUPPLIED,) if fit == SUPPLIED else self.turned

    def check(self, sets: Sequence[ImageSet], models: Sequence[Probed]) -> None:
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
            if isinstance(model, Supplied):
                continue
            if not isinstance(model.image_config.size, int):
                raise InputError(
                    f"{model.identity.name}: takes images of every shape; views of panoramas are "
                    "squares"
                )

    def check_supplied(self) -> None:
        """Refuse choices of how pictures are prepared where all models are supplied embeddings.

        Raises:
            InputError: one is made, other than the default.
        """
        made = {"rescaling": self.rescaling != ("corrected",), "long_captions": self.cut_ends}
        for option in (name for name, chosen in made.items() if chosen):
            raise InputError(f"{option}: of checkpoints, and embeddings are supplied", option)

    def view_labels(self, opened: ImageSet) -> tuple[str, ...]:
        """Of every picture that is embedded of an image, each once.

        A reference without captions lies at distances, and has no scores.
        """
        if not (opened.stacked or any(opened.captions)):
            return picture_labels(SUPPLIED_PICTURES[0], self.cameras)[:1]
        kinds = dict.fromkeys(m.pictures for m in self.measures(opened, SUPPLIED))
        labels = [label for own in kinds for label in picture_labels(own, self.cameras)]
        return tuple(dict.fromkeys(labels))

    def picture_views(
        self, pixels: UInt8[np.ndarray, "h w 3"]
    ) -> dict[str, UInt8[np.ndarray, "_ _ 3"]]:
        """The panorama at eight yaws and its views; or a generator's own pictures."""
        stacked = _is_stack(pixels[None].shape)
        measures = self._measures(SUPPLIED, captioned=True, stacked=stacked)
        found: dict[str, np.ndarray] = {}
        for own in dict.fromkeys(m.pictures for m in measures):
            found |= labelled_pictures(own, pixels, self.cameras, self.samples)
        return found

    def fill_supplied(
        self,
        result: PanoramaScores,
        opened: ImageSet,
        supplied: Embedded | Scored,
        views: Int64[np.ndarray, "n v"],
        texts: Int64[np.ndarray, "n k"],
    ) -> None:
        """Features, and with captions scores and orbits; seams need no model, see `fill_seams`.

        Raises:
            InputError: scores are supplied, of which there is no mean over yaws.
        """
        if isinstance(supplied, Scored):
            raise InputError(
                f"{supplied.name}: scores, of which there is no mean over yaws; panorama_score "
                "takes embeddings"
            )
        measures, labels = self.measures(opened, SUPPLIED), self.view_labels(opened)
        at = {label: views[:, place] for place, label in enumerate(labels)}
        # The panorama as it is, or all of a generator's own pictures.
        first = labels if opened.stacked else labels[:1]
        result.features[:] = supplied.views[np.stack([at[label] for label in first], axis=1)]
        if not any(opened.captions):
            return
        rows = [
            [at[label] for label in picture_labels(one.pictures, self.cameras)] for one in measures
        ]
        score_supplied(result, supplied, measures, rows, texts, self.orbit)

    def left_out_of_supplied(self) -> list[str]:
        """What of the chosen protocols is not for embeddings that were supplied."""
        names = ["panfusion.CS", "panfusion.rot_CS"] * ("panfusion" in self.protocols)
        names += ["survey.corrected"] * ("survey" in self.protocols)
        return [
            f"Of supplied embeddings no {', '.join(names)}: these say how a panorama becomes a "
            "square, which is the encoder's own matter; plain.supplied is of the whole panorama."
        ] * bool(names)

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
        return *found, self.seams(batch.pixels)

    def seams(self, pixels: UInt8[np.ndarray, "n h w 3"]) -> Float[np.ndarray, "n 9"]:
        """The Discontinuity Score at all eighths of a turn, and PanoEval's if it was asked for."""
        if _is_stack(pixels.shape):
            return np.zeros((len(pixels), EIGHTHS + 1))
        theirs = [panoeval_discontinuity(one) if self.panoeval else 0.0 for one in pixels]
        return np.column_stack([discontinuity_scores(pixels), theirs])


def _width(model: Probed) -> int:
    """Of a model's embeddings; where scores are supplied there are none."""
    if not isinstance(model, Supplied):
        return model.config.embedding_width
    return 0 if model.images is None else model.images.values.shape[1]


def _is_stack(shape: Sequence[int]) -> bool:
    """Whether images are a generator's eight pictures one below the other, no panoramas."""
    return shape[1] >= VIEWS // 2 * shape[2]
