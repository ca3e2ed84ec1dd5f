"""What was measured of panoramas as tables: per panorama, per picture, per set, between sets."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from jclip.images.sphere import SphereView
from jclip.probes.discontinuity import EIGHTHS, seam_excess
from jclip.probes.panorama_measures import YAWS
from jclip.probes.panorama_scores import PanoramaScores
from jclip.statistics.multiple import holm
from jclip.statistics.paired import hodges_lehmann, rank_biserial, sign_test
from jclip.statistics.set_distances import mean_interval

Clamp = Literal["none", "picture", "mean", "reference"]
SEAM, EXCESS, PANOEVAL = "DS", "DS.excess", "DS.panoeval"
_PER_PICTURE, _PER_MEAN = ("survey.", "mvdiffusion."), ("panfusion.",)


def clamp_of(name: str, clamp: Clamp) -> Literal["none", "picture", "mean"]:
    """What is cut at zero of a score: its pictures, its mean over a set, or nothing.

    `reference` is what the protocol's own code does.
    """
    if clamp != "reference":
        return clamp
    if name.startswith(_PER_PICTURE):
        return "picture"
    return "mean" if name.startswith(_PER_MEAN) else "none"


def panorama_values(
    result: PanoramaScores, clamp: Clamp = "none", *, panoeval: bool = False
) -> dict[str, Float[np.ndarray, " n"]]:
    """Every score by its name, one of each panorama, `[N]` float64.

    Of a measure of several pictures, their mean. `plain`, `orbit`, `yaw_range` and `yaw_sd` follow
    from the eight yaws, `DS` and its excess over the other eighths of a turn from the pixels.
    """
    found: dict[str, np.ndarray] = {}
    for k, fit in enumerate(result.fits):
        turned = result.pictures_of(f"yaws.{fit}").astype(np.float64)
        found[f"plain.{fit}"] = turned[:, 0]
        found[f"orbit.{fit}"] = result.orbits[:, k].astype(np.float64)
        found[f"yaw_range.{fit}"] = np.ptp(turned, axis=1)
        found[f"yaw_sd.{fit}"] = turned.std(axis=1, ddof=1)
    for name in result.names:
        pictures = result.pictures_of(name).astype(np.float64)
        if clamp_of(name, clamp) == "picture":
            pictures = np.maximum(pictures, 0)
        found[name] = pictures.mean(axis=1)
    if result.fits:
        found[SEAM] = result.seams[:, 0]
        found[EXCESS] = seam_excess(result.seams[:, :EIGHTHS])
        if panoeval:
            found[PANOEVAL] = result.seams[:, EIGHTHS]
    return found


Values = Mapping[str, Float[np.ndarray, "_"]]


def score_rows(results: Sequence[PanoramaScores], values: Sequence[Values]) -> pa.Table:
    """One row per set, model, panorama and score: image_set, model, image, name, score."""
    tables = []
    for result, own in zip(results, values, strict=True):
        n, names = len(result.images), list(own)
        tables.append(
            pa.table(
                {
                    "image_set": pa.repeat(result.image_set, n * len(names)),
                    "model": pa.repeat(result.model, n * len(names)),
                    "image": [image for image in result.images for _ in names],
                    "name": names * n,
                    "score": np.stack([own[name] for name in names], axis=1).ravel(),
                }
            )
        )
    return pa.concat_tables(tables)


def picture_rows(results: Sequence[PanoramaScores], cameras: Sequence[SphereView]) -> pa.Table:
    """One row per set, model, panorama and picture of a measure, not clamped.

    Columns image_set, model, image, name, picture (counted from 0), yaw and pitch (degrees, of the
    view, or by which the panorama was turned to the right), score.
    """
    tables = []
    for result in results:
        names, picture, yaw, pitch = [], [], [], []
        for name in result.names:
            count = result.pictures_of(name).shape[1]
            for k in range(count):
                seam = name.startswith("seam_views")
                view = cameras[k + len(cameras) - count] if seam else SphereView(360.0 * k / YAWS)
                names.append(name)
                picture.append(k)
                yaw.append(180.0 if name == "panfusion.rot_CS" else view.yaw)
                pitch.append(view.pitch)
        n = len(result.images)
        tables.append(
            pa.table(
                {
                    "image_set": pa.repeat(result.image_set, n * len(names)),
                    "model": pa.repeat(result.model, n * len(names)),
                    "image": [image for image in result.images for _ in names],
                    "name": names * n,
                    "picture": np.tile(np.array(picture, np.int32), n),
                    "yaw": np.tile(yaw, n),
                    "pitch": np.tile(pitch, n),
                    "score": result.values.ravel(),
                }
            )
        )
    return pa.concat_tables(tables)


def set_rows(
    results: Sequence[PanoramaScores],
    values: Sequence[Values],
    clamp: Clamp = "none",
    seed: int = 0,
) -> pa.Table:
    """One row per set, model and score: mean over panoramas with its bootstrap interval.

    `above` is the share of panoramas whose value is above zero.
    """
    rows = []
    for result, own in zip(results, values, strict=True):
        for name, column in own.items():
            mean = mean_interval(column, seed=seed)
            ends = [mean.value, mean.low, mean.high]
            if clamp_of(name, clamp) == "mean":
                ends = [max(end, 0.0) for end in ends]
            rows.append(
                {
                    "image_set": result.image_set,
                    "model": result.model,
                    "name": name,
                    "n": len(column),
                    **dict(zip(("mean", "low", "high"), ends, strict=True)),
                    "sd": float(column.std(ddof=1)) if len(column) > 1 else None,
                    "above": float(np.mean(column > 0)),
                }
            )
    return pa.Table.from_pylist(rows)


COMPARISONS = pa.schema(
    [
        *((name, pa.string()) for name in ("first", "second", "model", "name")),
        ("n", pa.int64()),
        *(
            (name, pa.float64())
            for name in ("difference", "low", "high", "median", "median_low", "median_high")
        ),
        *((name, pa.float64()) for name in ("rank_biserial", "sign_test_p", "holm_p")),
    ]
)


def comparison_rows(
    results: Sequence[PanoramaScores],
    values: Sequence[Values],
    key: Callable[[str], str],
    seed: int = 0,
) -> pa.Table:
    """Every two sets by one model, on the panoramas that both have: second minus first.

    `difference` is the mean of the paired differences with a bootstrap interval; `median` their
    Hodges-Lehmann location with its interval; the p value is of the exact two-sided sign test,
    Holm's is over all rows. `key` says what a panorama is called in every set.
    """
    rows = []
    for one, other in itertools.combinations(range(len(results)), 2):
        if results[one].model != results[other].model:
            continue
        pairs = common_rows(results[one].images, results[other].images, key)
        if not pairs:
            continue
        left, right = map(list, zip(*pairs, strict=True))
        for name in values[one]:
            if name not in values[other]:
                continue
            change = values[other][name][right] - values[one][name][left]
            mean = mean_interval(change, seed=seed)
            median, low, high = hodges_lehmann(change[:, None])
            rows.append(
                {
                    "first": results[one].image_set,
                    "second": results[other].image_set,
                    "model": results[one].model,
                    "name": name,
                    "n": len(change),
                    "difference": mean.value,
                    "low": mean.low,
                    "high": mean.high,
                    "median": float(median[0]),
                    "median_low": float(low[0]),
                    "median_high": float(high[0]),
                    "rank_biserial": float(rank_biserial(change[:, None])[0]),
                    "sign_test_p": two_sided_sign_test(change),
                }
            )
    adjusted = holm(np.array([row["sign_test_p"] for row in rows], float))
    rows = [row | {"holm_p": float(p)} for row, p in zip(rows, adjusted, strict=True)]
    # What there is none of, such as an interval of five pairs.
    rows = [{k: None if v != v else v for k, v in row.items()} for row in rows]
    return pa.Table.from_pylist(rows, schema=COMPARISONS)


def two_sided_sign_test(change: Float[np.ndarray, " n"]) -> float:
    """Exact p of the median difference being other than zero; zeros are dropped."""
    lower, upper = (sign_test(change[:, None], side)[0] for side in ("less", "greater"))
    return float(min(1.0, 2 * min(lower, upper)))


def fewest_pairs(alpha: float) -> int:
    """With fewer pairs the two-sided sign test cannot reach p < alpha: 2 / 2**n < alpha."""
    return int(np.floor(1 - np.log2(alpha))) + 1


def common_rows(
    first: Sequence[str], second: Sequence[str], key: Callable[[str], str]
) -> list[tuple[int, int]]:
    """The rows of panoramas that both sets have, in the first one's order."""
    at = {key(name): row for row, name in enumerate(second)}
    return [(row, at[key(name)]) for row, name in enumerate(first) if key(name) in at]
