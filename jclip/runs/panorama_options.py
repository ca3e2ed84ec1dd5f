"""Command-line options of scores of panoramas: which panoramas, and which choices of protocols."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

from jclip.data.captions import CaptionRules
from jclip.data.demo_generators import GENERATORS
from jclip.data.image_sets import ImageSet
from jclip.data.images import DEFAULT_PIXEL_LIMIT
from jclip.data.panorama_folders import Layout
from jclip.data.panorama_sets import open_panorama_sets
from jclip.images.tone_mapping import ToneMap
from jclip.probes.panorama_measures import Protocol, Rescaling
from jclip.probes.panorama_tables import Clamp
from jclip.probes.panoramas import PanoramaProbe
from jclip.report.faults import REFERENCE, Choice
from jclip.runs.options import Numbers, OnError, PixelLimit, Sources, comma_separated, one_of
from jclip.runs.record import Silent

Protocols = Annotated[tuple[Protocol, ...], comma_separated(one_of(Protocol), "PROTOCOL,..")]
Rescalings = Annotated[tuple[Rescaling, ...], comma_separated(one_of(Rescaling), "CHOICE,..")]
_Fit = Literal["crop", "squash", "pad", "tiles"]
PanoramaFits = Annotated[tuple[_Fit, ...], comma_separated(one_of(_Fit), "FIT,..")]


@dataclasses.dataclass(frozen=True)
class PanoramaOptions:
    """Which panoramas, with which captions."""

    images: Annotated[Sources, Silent] = GENERATORS
    """Generators' panoramas, A,B,..: folders in the layout of PanFusion (data or results),
    MVDiffusion, the survey or PanoEval, any folder of panoramas with captions, or a generator of
    the demo world (demo, demo-seam, demo-shuffled, demo-captions); NAME=FOLDER names one."""
    reference: Annotated[str | None, Silent] = None
    """Real panoramas, which need no captions: distances to them in CLIP's space. Of MVDiffusion's
    folder, which may also be one of --images, its natural pictures."""
    captions: Annotated[Path | None, Silent] = None
    """CSV or JSONL with columns file and caption for all sets, or for one a text with one line per
    panorama, or a folder with a .txt for each. Default: what lies beside the panoramas."""
    layout: Annotated[Layout, Silent] = "auto"
    """Of the folders; auto looks at what lies there, plain is any folder of panoramas."""
    split: Annotated[str, Silent] = "test"
    """Of PanFusion's data set; all takes every panorama."""
    caption_order: Annotated[Literal["natural", "lexicographic"], Silent] = "natural"
    """Which panorama the N-th line of a text belongs to: 1, 2, 10, or 1, 10, 2 as in the survey's
    code."""
    caption_lines: Annotated[Literal["one", "first", "whole"], Silent] = "one"
    """Of a .txt for each panorama: a second line is refused, ignored, or part of the caption."""
    tone_map: Annotated[ToneMap | None, Silent] = None
    """Of HDR and EXR, which have no default: scores depend on it."""
    prompt_prefix: str = ""
    """Put before every whole caption; the protocols have none."""
    pixel_limit: PixelLimit = DEFAULT_PIXEL_LIMIT
    on_error: OnError = "stop"

    @property
    def record(self) -> bool:
        """Whether an image that cannot be decoded is recorded instead of stopping the run."""
        return self.on_error == "record"

    def open(self) -> tuple[list[ImageSet], ImageSet | None]:
        """The generators' sets and the real one, checked and not decoded.

        Raises:
            InputError: see `open_panorama_sets`.
        """
        return open_panorama_sets(
            self.images,
            self.captions,
            self.reference,
            layout=self.layout,
            split=self.split,
            rules=CaptionRules(self.caption_order, self.caption_lines),
            tone_map=self.tone_map,
            pixel_limit=self.pixel_limit,
        )


@dataclasses.dataclass(frozen=True)
class ProtocolOptions:
    """Which scores; every fault of published code is repeated only where it is asked for."""

    protocols: Protocols = ("jclip",)
    """Of jclip, panfusion, survey, mvdiffusion."""
    fits: PanoramaFits = ("crop", "squash")
    """Under which the panorama is turned by eight yaws: crop, squash, pad, tiles."""
    orbit: Literal[2, 4, 8] = 8
    """Over how many yaws embeddings are averaged."""
    rescaling: Rescalings = ("corrected",)
    """Of pictures that a protocol hands on as floats. corrected: once; pinned: as PanFusion's
    pinned environment does, with its projection; twice: divided by 255 twice, as under transformers
    from 4.28 on; reference: pinned and twice. Several stand beside each other: corrected,twice."""
    clamp: Clamp = "none"
    """What is cut at zero: nothing, every picture's score, the mean over a set, or, by reference,
    what each protocol's own code does."""
    long_captions: Choice = "corrected"
    """Of captions that are too long: corrected keeps the end of text, reference loses it as
    torchmetrics does, so that all of them have one embedding."""
    discontinuity: Choice = "corrected"
    """reference adds PanoEval's form of the Discontinuity Score, which never looks across."""
    distances: Choice = "corrected"
    """corrected embeds the whole panorama, squashed; reference its middle half."""
    seam_pitches: Numbers = (-60.0, -30.0, 0.0, 30.0, 60.0)
    """Of the views at yaw 180, in degrees."""
    samples: int = 4
    """Per pixel and side of spherical views; 1 aliases."""

    @property
    def distance_fit(self) -> _Fit:
        """Under which panoramas are embedded for distances between sets."""
        return "crop" if self.distances == REFERENCE else "squash"

    def probe(self, prompt_prefix: str) -> PanoramaProbe:
        """The probe of all this.

        Raises:
            InputError: see `PanoramaProbe`.
        """
        return PanoramaProbe(
            self.protocols,
            tuple(dict.fromkeys((*self.fits, self.distance_fit))),
            rescaling=self.rescaling,
            pitches=self.seam_pitches,
            samples=self.samples,
            orbit=self.orbit,
            prompt_prefix=prompt_prefix,
            panoeval=self.discontinuity == REFERENCE,
            cut_ends=self.long_captions == REFERENCE,
        )
