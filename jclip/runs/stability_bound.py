"""The stability bound of a run: given, calibrated by flips, or none where nothing can be tested."""

from typing import Any, Literal

from jaxtyping import Float
from numpy import ndarray

from jclip.errors import InputError
from jclip.probes.scores import Scores
from jclip.runs.run import Run
from jclip.statistics.bound_tests import minimum_images
from jclip.statistics.calibration import FlipBound, calibrate_flip_bound

Beta = Literal["flip"] | float | None
"""Calibrated from left-right flips, a number in score units (100 x cosine), or no test."""


def check_beta(beta: Beta, alpha: float) -> None:
    """Refuse what no run could test.

    Raises:
        InputError: alpha is outside (0, 1), or beta is no finite score difference.
    """
    minimum_images(alpha)
    if isinstance(beta, float) and not 0 <= beta < float("inf"):
        raise InputError(f"--beta {beta}: has to be a finite score difference, 0 or more")


def stability_bound(
    run: Run,
    result: Scores,
    beta: Beta,
    alpha: float,
    scores: Float[ndarray, " n"],
    mirrored: Float[ndarray, " n"],
    **flips: Any,
) -> FlipBound | float | None:
    """The bound for the N images of one result; None where no test is asked for or possible.

    Args:
        run: is told of a test that is impossible.
        result: whose images are tested.
        beta: as it was asked for.
        alpha: level of the tests.
        scores: of the images as they are, 100 x cosine.
        mirrored: of the images flipped left to right, if beta is calibrated.
        flips: how, see `calibrate_flip_bound`.
    """
    needed, images = minimum_images(alpha), len(result.images)
    if beta is None:
        return None
    if images < needed:
        run.note(
            f"{result.image_set}: no test against beta, which cannot reach p < {alpha:g} "
            f"with fewer than {needed} images; there are {images}."
        )
        return None
    return beta if beta != "flip" else calibrate_flip_bound(scores, mirrored, **flips)
