"""Which panoramas of which generators are compared, and what a reader has to know of it."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from jclip.data.image_sets import ImageSet
from jclip.data.panorama_sets import Pairing, pair_key
from jclip.probes.panorama_scores import PanoramaScores
from jclip.probes.panorama_tables import SEAM, fewest_pairs

_UNPAIRED = pa.schema([(name, pa.string()) for name in ("panorama", "in_set", "missing_in")])


def unpaired_rows(pairings: Sequence[Pairing], sets: Sequence[ImageSet] = ()) -> pa.Table:
    """One row per panorama that one set of a pair lacks: panorama, in_set, missing_in.

    What a set itself promises and has not (`ImageSet.missing`) is in no set.
    """
    nowhere = [(key, None, opened.name) for opened in sets for key in opened.missing]
    elsewhere = [
        (key, there, lacking)
        for pair in pairings
        for there, lacking, keys in (
            (pair.first, pair.second, pair.only_first),
            (pair.second, pair.first, pair.only_second),
        )
        for key in keys
    ]
    rows = [dict(zip(_UNPAIRED.names, row, strict=True)) for row in (*nowhere, *elsewhere)]
    return pa.Table.from_pylist(rows, schema=_UNPAIRED)


def pairing_notices(pairings: Sequence[Pairing], alpha: float) -> list[str]:
    """Sets that have other panoramas or other captions, and pairs too few for a test."""
    notices = []
    for pair in pairings:
        both = f"{pair.first} and {pair.second}"
        if not pair.whole:
            lacking = len(pair.only_first) + len(pair.only_second)
            first = (*pair.only_first, *pair.only_second)[0]
            notices.append(
                f"{both}: compared on {len(pair.common)} common panoramas; {lacking} are in one "
                f"only, as {first}: unpaired.csv."
            )
        # What the first set shares with two others, these share with each other.
        if pair.other_captions and pair.first == pairings[0].first:
            notices.append(
                f"{both}: {pair.other_captions} of {len(pair.common)} common panoramas have "
                "another caption in one than in the other."
            )
        if len(pair.common) < (needed := fewest_pairs(alpha)):
            notices.append(
                f"{both}: no test reaches p < {alpha:g} on {len(pair.common)} panoramas; it takes "
                f"{needed}."
            )
    return notices


def lone_notices(sets: Sequence[ImageSet]) -> list[str]:
    """Sets of one panorama, over which nothing can be resampled."""
    lone = [opened.name for opened in sets if len(opened.images) == 1]
    said = "a single panorama; its intervals have no width and no meaning."
    return [f"{name}: {said}" for name in lone]


def comparable_rows(comparisons: pa.Table, sets: Sequence[ImageSet]) -> tuple[pa.Table, list[str]]:
    """Comparisons without those of seams between sets whose common panoramas differ in size.

    The Discontinuity Score of one picture doubles with its size.
    """
    sizes = {s.name: {pair_key(i.name): (i.width, i.height) for i in s.images} for s in sets}
    notices, kept = [], np.ones(len(comparisons), bool)
    pairs = zip(comparisons["first"].to_pylist(), comparisons["second"].to_pylist(), strict=True)
    for row, ((first, second), name) in enumerate(
        zip(pairs, comparisons["name"].to_pylist(), strict=True)
    ):
        common = (key for key in sizes[first] if key in sizes[second])
        other = next((key for key in common if sizes[first][key] != sizes[second][key]), None)
        if other is not None and name.startswith(SEAM):
            kept[row] = False
            shown = " and ".join(
                f"{own} ({' x '.join(map(str, sizes[own][other]))})" for own in (first, second)
            )
            notices.append(
                f"{shown}: panoramas of other sizes, as {other}; a Discontinuity Score depends on "
                "the size and is not compared."
            )
    return comparisons.filter(pa.array(kept)), list(dict.fromkeys(notices))


def equal_numbers(results: Sequence[PanoramaScores]) -> tuple[list[list[int]], list[str]]:
    """Rows of as many panoramas of every set, those first that all sets have; and what to say."""
    fewest = min(len(result.images) for result in results)
    keys = [[pair_key(name) for name in result.images] for result in results]
    common = set.intersection(*map(set, keys))
    rows = [
        sorted(range(len(own)), key=lambda k, o=own: o[k] not in common)[:fewest] for own in keys
    ]
    counts = {result.image_set: len(result.images) for result in results}
    if len(set(counts.values())) == 1:
        return rows, []
    said = ", ".join(f"{name} {count}" for name, count in counts.items())
    return rows, [
        f"Distances depend on the number of panoramas ({said}): {fewest} of each generator are "
        "taken."
    ]


def like_reference(
    results: Sequence[PanoramaScores], reference: PanoramaScores
) -> tuple[list[PanoramaScores], list[str]]:
    """Those that lie at a distance from the reference: panoramas, or views as these are views."""
    of = {True: "panoramas", False: "views and no panoramas"}
    looked = bool(reference.fits)
    kept = [r for r in results if bool(r.fits) == looked]
    others = dict.fromkeys(r.image_set for r in results if bool(r.fits) != looked)
    return kept, [
        f"{name}: {of[not looked]}; {reference.image_set}: {of[looked]}; so no distances."
        for name in others
    ]
