"""How far generators lie from real panoramas in CLIP's space: CMMD and CLIP-Frechet."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from jclip.probes.panorama_scores import PanoramaScores
from jclip.statistics.set_distances import SetDistance, frechet_interval, mmd_interval, unit_rows

DISTANCES = ("CMMD", "CMMD.unbiased", "CLIP-Frechet")


def distance_rows(
    results: Sequence[PanoramaScores],
    references: Sequence[PanoramaScores],
    fit: str,
    rows: Sequence[Sequence[int]],
    seed: int = 0,
) -> tuple[pa.Table, list[str]]:
    """One row per set, model and distance, with a bootstrap interval, and what has to be said.

    Args:
        results: of the generators.
        references: of real panoramas, one by every model.
        fit: under which the panorama was embedded as it is.
        rows: which panoramas of every generator, as many of each: the biased CMMD and the Frechet
            distance depend on how many there are.
        seed: of the bootstrap.
    """
    found, notices = [], []
    for result, own in zip(results, rows, strict=True):
        reference = next(r for r in references if r.model == result.model)
        first = _features(result, fit)[list(own)]
        second = _features(reference, fit)
        width, fewest = first.shape[1], min(len(first), len(second))
        ours, theirs = unit_rows(first), unit_rows(second)
        distances: dict[str, SetDistance] = {}
        if fewest > 1:
            distances["CMMD"] = mmd_interval(ours, theirs, seed=seed)
            distances["CMMD.unbiased"] = mmd_interval(ours, theirs, biased=False, seed=seed)
        else:
            notices.append(f"{result.image_set}: no distance to a set of {fewest}.")
        if fewest > width:
            distances["CLIP-Frechet"] = frechet_interval(first, second, seed=seed)
        else:
            notices.append(
                f"{result.image_set}, {result.model}: no Frechet distance; {fewest} panoramas give "
                f"no covariance of {width} dimensions, which takes {width + 1}."
            )
        found += [
            {
                "image_set": result.image_set,
                "reference": reference.image_set,
                "model": result.model,
                "name": name,
                "n": len(first),
                "n_reference": len(second),
                "distance": one.value,
                "low": one.low,
                "high": one.high,
            }
            for name, one in distances.items()
        ]
    return pa.Table.from_pylist(found), notices


def _features(result: PanoramaScores, fit: str) -> np.ndarray:
    return result.features[:, result.fits.index(fit)]
