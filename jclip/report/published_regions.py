"""What was published about FG-OVD by crops and by regions, to stand beside what a run finds.

Mean ranks: paper 2. Shares of first places by regions, in percent, ties for the right caption: the
table on FG-CLIP's project page.
"""

from collections.abc import Mapping

SETS = ("Hard", "Medium", "Easy", "Trivial")

_CLIP_B16, _CLIP_L14 = (3.57, 2.79, 2.63, 1.81), (3.38, 2.63, 2.41, 1.57)
_MEAN_RANKS: Mapping[str, tuple[float, ...]] = {
    "ViT-B-16/openai": _CLIP_B16,
    "clip-vit-base-patch16": _CLIP_B16,
    "ViT-L-14/openai": _CLIP_L14,
    "clip-vit-large-patch14": _CLIP_L14,
}
_REGIONS_B16 = (12.0, 23.1, 22.2, 58.5)
# Of CLIP L/14 the page does not say at which resolution, so it stands beside neither.
_FIRST_PLACES: Mapping[str, tuple[float, ...]] = {
    "ViT-B-16/openai": _REGIONS_B16,
    "clip-vit-base-patch16": _REGIONS_B16,
    "fg-clip-base": (46.1, 66.6, 68.7, 83.4),
    "fg-clip-large": (48.4, 69.5, 71.2, 89.7),
    "fg-clip2-base": (52.3, 76.3, 80.3, 92.0),
    "fg-clip2-large": (55.5, 77.5, 83.1, 92.5),
    "fg-clip2-so400m": (54.0, 77.4, 79.8, 93.5),
}


def published_mean_rank(model: str, set_name: str) -> float | None:
    """The mean rank by crops; None where none is known of this model, by name, or set."""
    return _of(_MEAN_RANKS, model, set_name)


def published_first_places(model: str, set_name: str) -> float | None:
    """The share of first places by regions; None where none is known of this model or set."""
    return _of(_FIRST_PLACES, model, set_name)


def _of(table: Mapping[str, tuple[float, ...]], model: str, set_name: str) -> float | None:
    # A hub id and a folder end with the name; the registry's has a slash within.
    values = table.get(model) or table.get(model.rpartition("/")[2])
    return values[SETS.index(set_name)] if values and set_name in SETS else None
