"""Does a keyword that names the format raise the score: probe A of paper 1."""

import dataclasses

import numpy as np
from jaxtyping import Float

from jclip.errors import InputError
from jclip.statistics.bound_tests import check_enough_images
from jclip.statistics.intervals import Interval, clopper_pearson
from jclip.statistics.paired import hodges_lehmann, rank_biserial, wilcoxon_signed_rank


@dataclasses.dataclass(frozen=True)
class KeywordStatistics:
    """Identifier score - generic score of the same image, per identifier v and generic word u.

    Arrays are `[V, U]`; differences are in score units (100 x cosine). `statistic` and `p` are
    the paper's one-sided Wilcoxon test, *not* corrected for the number of pairs. `effect` is the
    rank-biserial correlation, from -1 to 1; `location` the Hodges-Lehmann difference; `wins` the
    share of images with a higher score for the identifier. Intervals have level `confidence`.
    """

    n: int
    confidence: float
    median: Float[np.ndarray, "v u"]
    statistic: Float[np.ndarray, "v u"]
    p: Float[np.ndarray, "v u"]
    effect: Float[np.ndarray, "v u"]
    location: Float[np.ndarray, "v u"]
    location_interval: Interval
    wins: Float[np.ndarray, "v u"]
    wins_interval: Interval


def keyword_statistics(
    identifier_scores: Float[np.ndarray, "n v"],
    generic_scores: Float[np.ndarray, "n u"],
    alpha: float | None = 0.01,
    confidence: float = 0.95,
) -> KeywordStatistics:
    """Compares every identifier with every generic word over the same N images.

    The test is the paper's (paper 1, probe A): a one-sided paired Wilcoxon signed-rank test,
    alternative "greater", scipy's defaults.

    Scores are of the same prompts with words that name the format and with words that do not.
    `alpha` is the level that the caller will test at; with None few images will do.

    Raises:
        InputError: too few images for any p < alpha, scores that are not finite, a pair of words
            without any difference, or alpha or confidence outside (0, 1).
    """
    images = len(identifier_scores)
    if alpha is not None:
        check_enough_images(images, alpha)
    _check_finite(identifier_scores, "identifier")
    _check_finite(generic_scores, "generic word")
    words = identifier_scores.shape[1], generic_scores.shape[1]
    pairs = np.asarray(identifier_scores, np.float64)[:, :, None] - generic_scores[:, None, :]
    differences = pairs.reshape(images, -1)
    if np.any(constant := np.all(differences == 0, axis=0)):
        v, u = np.unravel_index(int(np.argmax(constant)), words)
        raise InputError(
            f"no image scores differently with identifier {v} and generic word {u} (counted from "
            "0): nothing to test"
        )
    statistic, p = wilcoxon_signed_rank(differences, "greater")
    location, *limits = (found.reshape(words) for found in hodges_lehmann(differences, confidence))
    won = np.count_nonzero(pairs > 0, axis=0)
    return KeywordStatistics(
        n=images,
        confidence=confidence,
        median=np.median(pairs, axis=0),
        statistic=statistic.reshape(words),
        p=p.reshape(words),
        effect=rank_biserial(differences).reshape(words),
        location=location,
        location_interval=Interval(*limits),
        wins=won / images,
        wins_interval=clopper_pearson(won, images, confidence),
    )


def _check_finite(scores: Float[np.ndarray, "n w"], kind: str) -> None:
    if not np.all(np.isfinite(scores)):
        row, column = np.argwhere(~np.isfinite(scores))[0]
        raise InputError(
            f"the score of image {row} with {kind} {column} (both counted from 0) is "
            f"{scores[row, column]}: statistics need finite scores"
        )
