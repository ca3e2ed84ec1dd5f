"""Which fits a person can ask for: those of `place`, and the checkpoint's own."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from jclip.errors import InputError
from jclip.images.geometry import FITS, Fit, Size, place
from jclip.images.sphere import check_two_to_one
from jclip.images.sphere_fits import sphere_cameras

OWN = "own"
SUPPLIED = "supplied"
"""In place of a fit where an encoder elsewhere prepared the images: it is not known here."""
SeenFit = str
"""A fit, or `supplied`."""
FitOption = str
"""A fit, or `own`."""
_KNOWN = (*FITS, "cube", "ring:N", "tangent:N")


def known_fit(fit: Any) -> Fit:
    """A fit, if there is such a one.

    Raises:
        InputError: there is not.
    """
    if fit not in FITS and not sphere_cameras(fit):
        raise InputError(f"fit: {fit!r:.60} is none of {', '.join(_KNOWN)}")
    return fit


def fit_option(text: str) -> FitOption:
    """A fit as it is typed; `own` is one.

    Raises:
        InputError: there is no such fit.
    """
    if text not in (OWN, *FITS) and not sphere_cameras(text):
        raise InputError(f"{text!r} is not one of {OWN}, {', '.join(_KNOWN)}")
    return text


def check_placed(height: int, width: int, size: Size, fit: Fit) -> None:
    """Refuse an image of `height x width` pixels that a fit is impossible for.

    Raises:
        InputError: see `place`, and of fits that show the sphere `plan_sphere`.
    """
    if sphere_cameras(fit):
        check_two_to_one(height, width)
    else:
        place(height, width, size, fit)


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
