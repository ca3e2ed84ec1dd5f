"""From linear light to 8 bits: the tone maps that public code applies to HDR panoramas, by name.

Scores depend on the choice and papers seldom state it, so there is no default. Light y becomes
`y ** (1 / gamma)`; percentiles are of the values above zero, of all channels of one picture.
"""

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float, UInt8

ToneMap = Literal[
    "percentile_50",
    "percentile_99",
    "clip_gamma_2_4",
    "clip_gamma_2_2",
    "clip_srgb",
    "reinhard_gamma_2_2",
]
TONE_MAPS: tuple[str, ...] = get_args(ToneMap)


def _percentile(share: float, target: float) -> Callable[[np.ndarray], np.ndarray]:
    """The share's percentile is put at `target`, as most projects on the Laval data sets do."""

    def mapped(light: np.ndarray) -> np.ndarray:
        shown = light ** (1 / 2.4)
        lit = shown[shown > 0]
        return shown * (target / (np.percentile(lit, share) + 1e-10)) if lit.size else shown

    return mapped


def _srgb(light: np.ndarray) -> np.ndarray:
    curve = 1.055 * np.maximum(light, 1e-9) ** (1 / 2.4) - 0.055
    return np.where(light <= 0.0031308, 12.92 * light, curve)


_CURVES: dict[ToneMap, Callable[[np.ndarray], np.ndarray]] = {
    "percentile_50": _percentile(50.0, 0.5),
    "percentile_99": _percentile(99.0, 0.9),
    "clip_gamma_2_4": lambda light: light ** (1 / 2.4),
    "clip_gamma_2_2": lambda light: light ** (1 / 2.2),
    "clip_srgb": _srgb,
    "reinhard_gamma_2_2": lambda light: (light / (1 + light)) ** (1 / 2.2),
}


def tone_mapped(light: Float[np.ndarray, "h w 3"], tone_map: ToneMap) -> UInt8[np.ndarray, "h w 3"]:
    """Linear light as 8-bit pixels, rounded half up; negative light is none.

    Raises:
        ValueError: a value is no number.
    """
    light = np.maximum(np.asarray(light, np.float64), 0)
    if np.isnan(light).any():
        raise ValueError("light that is no number")
    with np.errstate(invalid="ignore"):
        shown = np.nan_to_num(_CURVES[tone_map](light), nan=1.0, posinf=1.0)
    return np.floor(255 * np.clip(shown, 0, 1) + 0.5).astype(np.uint8)
