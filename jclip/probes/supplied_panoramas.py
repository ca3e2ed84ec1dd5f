"""What was measured of panoramas from embeddings that were supplied."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, Int64, UInt8

from jclip.data.image_sets import ImageSet
from jclip.data.images import decode
from jclip.data.supplied_rows import Embedded
from jclip.models.unit_norm import unit_rows
from jclip.probes.panorama_measures import YAWS, Measure
from jclip.probes.panorama_pictures import text_columns
from jclip.probes.panorama_scores import PanoramaScores


def score_supplied(
    result: PanoramaScores,
    supplied: Embedded,
    measures: Sequence[Measure],
    pictures: Sequence[Sequence[Int64[np.ndarray, " n"]]],
    texts: Int64[np.ndarray, "n k"],
    orbit: int,
) -> None:
    """Write scores and orbits into a result, as `measure_panoramas` computes them.

    Args:
        result: of N panoramas, or of a generator's own pictures.
        supplied: in a plan's order.
        measures: of the result, in the order of its columns.
        pictures: of each measure the plan's rows of all pictures of its kind.
        texts: of every panorama the plan's rows of its captions.
        orbit: over how many of eight yaws embeddings are averaged.
    """
    (seen, said), column = supplied.unit, 0
    for measure, own in zip(measures, pictures, strict=True):
        unit = seen[np.stack([own[row] for row in measure.rows], axis=1)]
        end = column + len(measure.rows)
        against = said[texts[:, text_columns(measure)]]
        result.values[:, column:end] = 100 * np.sum(unit * against, axis=-1)
        column = end
    if not result.fits:
        return
    turned = next(p for m, p in zip(measures, pictures, strict=True) if m.pictures.kind == "yaws")
    mean = unit_rows(np.mean([seen[rows] for rows in turned[:: YAWS // orbit]], axis=0))
    result.orbits[:, 0] = 100 * np.sum(mean * said[texts[:, 0]], axis=-1)


def fill_seams(
    results: Sequence[PanoramaScores],
    sets: Sequence[ImageSet],
    seams: Callable[[UInt8[np.ndarray, "1 h w 3"]], Float[np.ndarray, "1 9"]],
) -> None:
    """Look at the seams of panoramas of which only embeddings were supplied.

    Args:
        results: those of supplied models have no seams yet.
        sets: that they are of.
        seams: `PanoramaProbe.seams`.

    Raises:
        InputError: an image cannot be decoded.
    """
    files = {opened.name: {image.name: image for image in opened.images} for opened in sets}
    found: dict[str, np.ndarray] = {}
    for result in results:
        # A generator's own pictures meet nowhere, and need not be decoded to know it.
        if not (result.fits and np.isnan(result.seams).any()):
            continue
        if result.image_set not in found:
            images = (files[result.image_set][name] for name in result.images)
            found[result.image_set] = np.concatenate([seams(decode(one)[None]) for one in images])
        result.seams[:] = found[result.image_set]
