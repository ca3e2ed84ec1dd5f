"""Which pictures are scored against which captions: the measures of every protocol, by name.

Protocols are those of published evaluation code: `panfusion` (Zhang et al. 2024), `survey` (of
text-driven panorama generation) and `mvdiffusion` (Tang et al. 2023). `jclip` is what no seam, crop
or fault distorts.
"""

import dataclasses
from collections.abc import Sequence
from typing import Literal

from jclip.data.panorama_folders import VIEWS
from jclip.images.fits import SUPPLIED, SeenFit

Protocol = Literal["jclip", "panfusion", "survey", "mvdiffusion"]
Rescaling = Literal["corrected", "pinned", "twice", "reference"]
YAWS = 8
"""By which a panorama is turned, as many eighths."""
Text = Literal["whole", "views", "prefixed"]
"""A panorama's caption; those of its views; the same after MVDiffusion's prefix."""


@dataclasses.dataclass(frozen=True)
class Pictures:
    """Pictures that are made of a panorama, all by one program.

    `kind` is `yaws` (the panorama turned, under a fit, or whole where that is `supplied`), `survey`
    (squashed, bilinear), `sphere` (antialiased views), `panfusion` (their projection),
    `mvdiffusion` (views of 512 pixels, then as a photo) or `stacked` (a generator's own eight
    pictures). `twice`: values in 0 .. 1 are divided by 255 once more.
    """

    kind: Literal["yaws", "survey", "sphere", "panfusion", "mvdiffusion", "stacked"]
    fit: SeenFit = "squash"
    twice: bool = False

    def count(self, cameras: int) -> int:
        """How many pictures the tower sees of a panorama with so many views."""
        tiles = 2 if self.fit == "tiles" else 1
        return {"yaws": YAWS * tiles, "survey": 1, "sphere": cameras, "panfusion": cameras}.get(
            self.kind, VIEWS
        )


@dataclasses.dataclass(frozen=True)
class Measure:
    """A score by its name: some of some pictures against a kind of text."""

    name: str
    pictures: Pictures
    rows: tuple[int, ...]
    text: Text

    @property
    def columns(self) -> list[str]:
        """A column for every picture."""
        return [f"{self.name}/{k}" for k in range(len(self.rows))]


SUPPLIED_PICTURES = (
    Pictures("yaws", SUPPLIED),
    Pictures("sphere"),
    Pictures("mvdiffusion"),
    Pictures("stacked"),
)
"""Those that an encoder elsewhere can be shown: the others fix what a network sees."""


def measures_of(
    protocols: Sequence[Protocol],
    fits: Sequence[SeenFit],
    rescaling: Sequence[Rescaling],
    seam_views: int,
    *,
    captioned: bool,
    stacked: bool,
) -> tuple[Measure, ...]:
    """The measures of a set.

    Args:
        protocols: which.
        fits: under which the panorama is turned.
        rescaling: of pictures that a protocol hands on as floats; see `PanoramaProbe`.
        seam_views: how many there are, after the views around the horizon.
        captioned: whether every view has a caption of its own.
        stacked: whether the set holds generators' perspective pictures and no panoramas.
    """
    around, chosen = tuple(range(VIEWS)), set(protocols)
    if stacked:
        own = Pictures("stacked")
        mvdiffusion = Measure("mvdiffusion.CS", own, around, "prefixed")
        panfusion = Measure("panfusion.pers_CS", own, around, "views")
        return (mvdiffusion,) * ("mvdiffusion" in chosen) + (panfusion,) * ("panfusion" in chosen)
    found = [
        Measure(f"yaws.{fit}", Pictures("yaws", fit), tuple(range(YAWS)), "whole") for fit in fits
    ]
    if "panfusion" in chosen:
        crop = Pictures("yaws", "crop")
        found.append(Measure("panfusion.CS", crop, (0,), "whole"))
        found.append(Measure("panfusion.rot_CS", crop, (YAWS // 2,), "whole"))
    asked = set(rescaling) if "panfusion" in chosen else set()
    if chosen & {"jclip", "panfusion"}:
        seam = tuple(range(VIEWS, VIEWS + seam_views))
        kinds = {"corrected": Pictures("sphere")}
        if asked & {"pinned", "reference"}:
            kinds["pinned"] = Pictures("panfusion")
        if asked & {"twice", "reference"}:
            kinds["twice"] = Pictures("panfusion", twice=True)
        found.append(Measure("mv_whole.corrected", kinds["corrected"], around, "whole"))
        for name, pictures in kinds.items():
            if captioned:
                found.append(Measure(f"panfusion.mv_CS.{name}", pictures, around, "views"))
            found.append(Measure(f"seam_views.{name}", pictures, seam, "whole"))
    if "survey" in chosen:
        found.append(Measure("survey.corrected", Pictures("survey"), (0,), "whole"))
        if {"twice", "reference"} & set(rescaling):
            twice = Pictures("survey", twice=True)
            found.append(Measure("survey.reference", twice, (0,), "whole"))
    if "mvdiffusion" in chosen and captioned:
        found.append(Measure("mvdiffusion.CS", Pictures("mvdiffusion"), around, "prefixed"))
    return tuple(found)
