"""Which fits a person can ask for: those of `place`, and the checkpoint's own."""

from collections.abc import Sequence
from typing import Literal, Protocol, runtime_checkable

from jclip.images.geometry import Fit

OWN = "own"
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
