"""How far generators lie from real panoramas in CLIP's space: CMMD and CLIP-Frechet."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from jclip.data.panorama_folders import VIEWS
from jclip.images.fits import SUPPLIED
from jclip.probes.panorama_scores import PanoramaScores
from jclip.statistics.set_distances import (
    FEWEST_RESAMPLED,
    SetDistance,
    frechet_interval,
    mmd_interval,
    unit_rows,
)

DISTANCES = ("CMMD", "CMMD.unbiased", "CLIP-Frechet")


def distance_rows(
    results: Sequence[PanoramaScores],
    references: Sequence[PanoramaScores],
    fit: str,
    rows: Sequence[Sequence[int]],
    seed: int = 0,
) -> tuple[pa.Table, list[str]]:
    """One row per set, model and distance, with a bootstrap interval, and what has to be said.

    Sets of generators' own eight pictures lie apart as sets of pictures, which are resampled by
    their scenes; `n` and `n_reference` count these.

    Args:
        results: of the generators.
        references: of real panoramas, one by every model.
        fit: under which the panorama was embedded as it is; of supplied embeddings, their own.
        rows: which panoramas of every generator, as many of each: the biased CMMD and the Frechet
            distance depend on how many there are.
        seed: of the bootstrap.
    """
    found, notices = [], []
    for result, own in zip(results, rows, strict=True):
        reference = next(r for r in references if r.model == result.model)
        first, second = _features(result, fit, own), _features(reference, fit)
        group = 1 if result.fits else VIEWS
        width, fewest = first.shape[1], min(len(first), len(second))
        smaller = result.image_set if len(first) <= len(second) else reference.image_set
        ours, theirs = unit_rows(first), unit_rows(second)
        distances: dict[str, SetDistance] = {}
        if fewest > group:
            distances["CMMD"] = mmd_interval(ours, theirs, group=group, seed=seed)
            unbiased = mmd_interval(ours, theirs, biased=False, group=group, seed=seed)
            distances["CMMD.unbiased"] = unbiased
        else:
            notices.append(
                f"{result.image_set}: no distance to {reference.image_set}; one of both "
                "is a single panorama."
            )
        if fewest > width:
            distances["CLIP-Frechet"] = frechet_interval(first, second, group=group, seed=seed)
        else:
            kind = "panoramas" if group == 1 else "pictures"
            notices.append(
                f"{result.image_set}, {result.model}: no Frechet distance; {fewest} {kind} of "
                f"{smaller} give no covariance of {width} dimensions, which takes {width + 1}."
            )
        if fewest < group * FEWEST_RESAMPLED and distances:
            notices.append(
                f"{result.image_set}: no interval of distances; {fewest // group} panoramas of "
                f"{smaller} are too few to resample, {FEWEST_RESAMPLED} are the fewest."
            )
        found += [
            {
                "image_set": result.image_set,
                "reference": reference.image_set,
                "model": result.model,
                "name": name,
                "n": len(first) // group,
                "n_reference": len(second) // group,
                "distance": one.value,
                "low": None if np.isnan(one.low) else one.low,
                "high": None if np.isnan(one.high) else one.high,
            }
            for name, one in distances.items()
        ]
    return pa.Table.from_pylist(found), notices


def _features(
    result: PanoramaScores, fit: str, rows: Sequence[int] | None = None
) -> Float[np.ndarray, "m e"]:
    chosen = result.features if rows is None else result.features[list(rows)]
    if result.fits:
        return chosen[:, 0 if result.fits == (SUPPLIED,) else result.fits.index(fit)]
    return chosen.reshape(-1, chosen.shape[-1])
