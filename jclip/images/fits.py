"""Which fits a person can ask for: those of `place`, and the checkpoint's own."""

from collections.abc import Sequence
from typing import Literal, Protocol, runtime_checkable

from jclip.images.geometry import Fit

OWN = "own"
SUPPLIED = "supplied"
"""In place of a fit where an encoder elsewhere prepared the images: it is not known here."""
type SeenFit = Fit | Literal["supplied"]
FitOption = Literal["own", "crop", "squash", "pad", "tiles", "native"]


@runtime_checkable
class HasFit(Protocol):
    """What says how a checkpoint wants its images fitted."""

    @property
    def fit(self) -> Fit:
        """The checkpoint's own fit."""
        ...


def fits_of(options: Sequence[FitOption], image_config: HasFit) -> list[Fit]:
    """The fits that are meant for one checkpoint, each once; `own` is the checkpoint's."""
    return list(dict.fromkeys(image_config.fit if fit == OWN else fit for fit in options))


def seen_fits(options: Sequence[FitOption], image_config: HasFit | None) -> list[SeenFit]:
    """The same, where a model may be one of an encoder elsewhere, of which there is no config."""
    return [SUPPLIED] if image_config is None else [*fits_of(options, image_config)]
