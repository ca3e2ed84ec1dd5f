"""The Discontinuity Score: is there an edge where the left and the right border of a panorama meet?

A Scharr filter across the seam answers four times per row; the score is how much more it answers on
the two sides of the seam than just beside them (arXiv 2407.18207, in the form of the survey of
text-driven panorama generation's code). It depends on the picture's size and on its texture, so
`seam_excess` compares the seam with the other seven eighths of the turn, which no generator closes.
"""

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

EIGHTHS = 8
_BESIDE = 3
_FLOOR = 0.1
_GREY = np.array([0.299, 0.587, 0.114])
# Of PanoEval's form, which resizes 2:1 panoramas to 256 wide and 512 high.
_THEIR_GREY = np.array([0.2989, 0.5870, 0.1140])
_THEIR_WIDTH, _THEIR_HEIGHT, _THEIR_BORDER = 256, 512, 6


def discontinuity_scores(
    panoramas: UInt8[np.ndarray, "n h w 3"],
) -> Float[np.ndarray, "n eighths"]:
    """The Discontinuity Score at the seam and at the seven other eighths of a turn, `[N, 8]`.

    Column k is of the panorama whose content moved `k W // 8` columns to the right; 0 is the seam
    that the picture has.
    """
    width = panoramas.shape[2]
    places = -np.arange(EIGHTHS) * width // EIGHTHS
    beside = np.arange(-_BESIDE, _BESIDE)
    columns = panoramas[:, :, (places[:, None] + beside) % width]
    answers = _scharr((columns / 255.0) @ _GREY)  # [N, H, 8, 4]
    return _ratio(answers).mean(axis=1)


def seam_excess(scores: Float[np.ndarray, "n eighths"]) -> Float[np.ndarray, " n"]:
    """By how much the seam is above the mean of the other eighths of its own panorama, `[N]`."""
    return scores[:, 0] - scores[:, 1:].mean(axis=1)


def panoeval_discontinuity(panorama: UInt8[np.ndarray, "h w 3"], *, resize: bool = True) -> float:
    """The score as PanoEval's code has it, which never looks across the seam.

    All four answers that it takes lie left of the seam, of a picture that it makes 256 wide and 512
    high, and it takes the number of columns for the seam's length.
    """
    if resize:
        size = (_THEIR_WIDTH, _THEIR_HEIGHT)
        image = Image.fromarray(panorama).resize(size, Image.Resampling.BILINEAR)
        panorama = np.asarray(image)
    border = np.concatenate([panorama[:, -_THEIR_BORDER:], panorama[:, :_THEIR_BORDER]], axis=1)
    grey = np.pad((border / 255.0) @ _THEIR_GREY, ((0, 0), (1, 1)))
    answers = _scharr(grey)[:, 1:5] / 16
    factor = _THEIR_BORDER / _THEIR_WIDTH if resize else 1.0
    return float(_ratio(answers).mean()) * factor


def _scharr(grey: Float[np.ndarray, "*n h w"]) -> Float[np.ndarray, "*n h w-2"]:
    """Absolute answers across columns, with rows of zeros above and below.

    Rows are the first axis but one of a single picture, and the second of several.
    """
    rows = 0 if grey.ndim == 2 else 1
    across = grey[..., 2:] - grey[..., :-2]
    padding = [(0, 0)] * across.ndim
    padding[rows] = (1, 1)
    padded = np.moveaxis(np.pad(across, padding), rows, 0)
    return np.moveaxis(np.abs(3 * padded[:-2] + 10 * padded[1:-1] + 3 * padded[2:]), 0, rows)


def _ratio(answers: Float[np.ndarray, "*n 4"]) -> Float[np.ndarray, "*n"]:
    left = answers[..., 1] / (answers[..., 0] + _FLOOR)
    right = answers[..., 2] / (answers[..., 3] + _FLOOR)
    return (left + right) / 2
