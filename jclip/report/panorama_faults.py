"""The faults of published evaluation code of panoramas that a run has a choice in.

They are of none of the papers of `jclip.report.faults`; numbers only tell them apart.
"""

from collections.abc import Sequence
from typing import Any

from jclip.report.faults import Fault, FaultChoice, crop_choice

RESCALED_TWICE = Fault(0, 1, "pictures as floats in 0 .. 1 are divided by 255 twice")
POINT_SAMPLED = Fault(0, 12, "views are point-sampled, and torn at yaw 180")
CLAMPED = Fault(0, 11, "scores below zero are cut, of pictures or of means")
LONG_CAPTIONS = Fault(0, 15, "captions over the context lose their end: all have one embedding")
NO_SEAM = Fault(0, 4, "a Discontinuity Score that never looks across the seam")
NO_EXCESS = Fault(0, 10, "a seam is not told from texture")
SEAM_DRAWN = Fault(0, 14, "views at the seam are drawn anew in every run")
DISTANCE_CROP = Fault(0, 2, "set distances embed the middle half of a panorama")
ORDERED = Fault(0, 8, "panoramas and captions are paired by lexicographic order")


def panorama_choices(
    protocols: Any, fits: Sequence[str], order: str, *, distances: bool
) -> list[FaultChoice]:
    """What a run repeats, of all that it has a choice in.

    Args:
        protocols: the options of the run: `rescaling`, `clamp`, `long_captions`, `discontinuity`,
            `distances`, `seam_pitches` and `samples`.
        fits: under which panoramas are turned.
        order: in which lines of a text are paired.
        distances: whether there are distances to a reference.
    """
    asked = set(protocols.rescaling)
    pitches = ", ".join(f"{pitch:g}" for pitch in protocols.seam_pitches)
    views = f"{protocols.samples} x {protocols.samples} samples per pixel, wrapping"
    pinned = bool(asked & {"pinned", "reference"})
    choices = [
        RESCALED_TWICE.choose(
            bool(asked & {"twice", "reference"}),
            f"rescaling: {', '.join(protocols.rescaling)}; rescaled twice, a score is a function "
            "of the caption alone",
        ),
        POINT_SAMPLED.choose(
            pinned, f"{views}; beside it PanFusion's projection" if pinned else views
        ),
        CLAMPED.choose(protocols.clamp != "none", f"clamp: {protocols.clamp}"),
        LONG_CAPTIONS.choose(
            protocols.long_captions == "reference",
            "cut with their end"
            if protocols.long_captions == "reference"
            else "cut before their end, and counted",
        ),
        NO_SEAM.choose(
            protocols.discontinuity == "reference",
            "PanoEval's form beside it"
            if protocols.discontinuity == "reference"
            else "across the seam",
        ),
        NO_EXCESS.choose(False, "excess over the other seven eighths of a turn"),
        SEAM_DRAWN.choose(False, f"pitches {pitches}"),
        ORDERED.choose(order == "lexicographic", f"lines of a text in {order} order, counted"),
        *([crop_choice(list(fits))] if fits else []),
    ]
    if distances:
        meaning = "squashed, whole" if protocols.distances == "corrected" else "centre crop"
        choices.append(DISTANCE_CROP.choose(protocols.distances == "reference", meaning))
    return choices
