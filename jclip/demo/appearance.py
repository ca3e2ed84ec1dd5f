"""What each word of the vocabulary looks like: tables of numbers, one row per word."""

import numpy as np

from jclip.demo import vocabulary as words


def _columns(listed: tuple[str, ...], rows: dict[str, dict]) -> dict[str, np.ndarray]:
    """Turns rows by word into float32 columns in the vocabulary's order."""
    if tuple(rows) != listed:
        raise ValueError(f"rows {tuple(rows)} are not the words {listed}")
    names = rows[listed[0]]
    return {name: np.array([row[name] for row in rows.values()], np.float32) for name in names}


# Lengths in units of the object's size. Every shape is a slab cut with a quadric and four planes.
_SHAPE = {
    "rest": 1.0,  # height of the centre above the ground
    "slab": 1.0,  # |y| <= slab
    "bulge": 0.0,  # x^2 + z^2 + bulge y^2 <= (radius + taper y)^2
    "radius": 9.0,
    "taper": 0.0,
    "wall": 9.0,  # |x|, |z| <= wall + lean y
    "lean": 0.0,
    "hole": 0.0,  # x^2 + z^2 >= hole^2
    "upright": 1.0,  # 0: the axis lies down, along z
}
SHAPE_TABLE = _columns(
    words.CLASSES,
    {
        "ball": dict(_SHAPE, slab=1.5, bulge=1.0, radius=1.0),
        "cube": dict(_SHAPE, rest=0.8, slab=0.8, wall=0.8),
        "cylinder": dict(_SHAPE, radius=0.62),
        "cone": dict(_SHAPE, radius=0.47, taper=-0.47),
        "ring": dict(_SHAPE, slab=0.28, radius=1.0, hole=0.56, upright=0.0),
        "pyramid": dict(_SHAPE, rest=0.85, slab=0.85, wall=0.51, lean=-0.6),
    },
)

# `base` is the object's colour, `second` that of its pattern: white on dark, dark on light.
_WHITE, _DARK = (0.97, 0.97, 0.95), (0.12, 0.11, 0.13)
COLOUR_TABLE = _columns(
    words.COLOURS,
    {
        "red": {"base": (0.86, 0.10, 0.11), "second": _WHITE},
        "orange": {"base": (1.00, 0.50, 0.05), "second": _WHITE},
        "yellow": {"base": (1.00, 0.87, 0.10), "second": _DARK},
        "green": {"base": (0.12, 0.62, 0.18), "second": _WHITE},
        "turquoise": {"base": (0.15, 0.82, 0.78), "second": _DARK},
        "blue": {"base": (0.13, 0.27, 0.87), "second": _WHITE},
        "purple": {"base": (0.50, 0.16, 0.70), "second": _WHITE},
        "pink": {"base": (1.00, 0.55, 0.75), "second": _DARK},
        "brown": {"base": (0.43, 0.25, 0.12), "second": _WHITE},
        "black": {"base": (0.08, 0.08, 0.09), "second": _WHITE},
        "grey": {"base": (0.50, 0.51, 0.53), "second": _WHITE},
        "white": {"base": (0.96, 0.96, 0.95), "second": _DARK},
    },
)


_CLAY = {
    "diffuse": 1.0,
    "highlight": 0.0,
    "sharpness": 40.0,
    "mirror": 0.0,
    "rim": 0.0,
    "grain": 0.0,
    "mottle": 0.0,
}
MATERIAL_TABLE = _columns(
    words.MATERIALS,
    {
        "clay": _CLAY,
        "plastic": dict(_CLAY, highlight=1.1, sharpness=28.0, mirror=0.06),
        "metal": dict(_CLAY, diffuse=0.28, highlight=0.9, sharpness=14.0, mirror=0.85),
        "wooden": dict(_CLAY, grain=0.5),
        "stone": dict(_CLAY, diffuse=0.95, mottle=0.42),
        "velvet": dict(_CLAY, diffuse=0.6, rim=0.9),
    },
)

_OPACITIES = {"opaque": 1.0, "translucent": 0.6, "transparent": 0.2}
OPACITY = np.array([_OPACITIES[word] for word in words.TRANSPARENCIES], np.float32)


def _sky(zenith, horizon, sun, ambient, elevation, **other):
    return {
        "zenith": zenith,
        "horizon": horizon,
        "sun": sun,  # light of the sun or moon, times the cosine of incidence
        "ambient": ambient,
        "elevation": np.deg2rad(elevation),  # of the sun or moon, lowest and highest
        **{"cover": 0.0, "cloud": (1.0, 1.0, 1.0), "stars": 0.0, "disc": 0.0, "glow": 0.0},
        **other,
    }


SKY_TABLE = _columns(
    words.SKIES,
    {
        "clear": _sky(
            (0.16, 0.42, 0.85), (0.70, 0.86, 0.97), (0.68, 0.66, 0.60), (0.50, 0.52, 0.56),
            (35, 55), disc=1.0, glow=0.25,
        ),
        "cloudy": _sky(
            (0.24, 0.50, 0.86), (0.74, 0.85, 0.94), (0.55, 0.54, 0.50), (0.55, 0.56, 0.58),
            (35, 55), cover=1.0,
        ),
        "sunset": _sky(
            (0.30, 0.22, 0.50), (1.00, 0.58, 0.26), (0.72, 0.46, 0.26), (0.50, 0.42, 0.46),
            (7, 14), cover=0.45, cloud=(0.93, 0.42, 0.42), disc=1.0, glow=0.55,
        ),
        "night": _sky(
            (0.02, 0.03, 0.12), (0.12, 0.17, 0.38), (0.40, 0.42, 0.48), (0.40, 0.42, 0.50),
            (25, 50), stars=1.0, disc=0.9, glow=0.12,
        ),
        "overcast": _sky(
            (0.46, 0.49, 0.53), (0.72, 0.74, 0.76), (0.16, 0.16, 0.16), (0.70, 0.70, 0.71),
            (60, 80), cover=0.75, cloud=(0.60, 0.62, 0.65),
        ),
    },
)  # fmt: skip

GROUND_TABLE = _columns(
    words.GROUNDS,
    {
        "grass": {"light": (0.42, 0.66, 0.20), "dark": (0.20, 0.45, 0.12)},
        "sand": {"light": (0.93, 0.80, 0.55), "dark": (0.80, 0.63, 0.38)},
        "snow": {"light": (0.97, 0.98, 1.00), "dark": (0.84, 0.89, 0.97)},
        "water": {"light": (0.16, 0.52, 0.66), "dark": (0.05, 0.26, 0.45)},
        "tiles": {"light": (0.80, 0.74, 0.69), "dark": (0.46, 0.33, 0.32)},
    },
)

# Elevation (as the sine of the angle): mean height, slow waves, and ridges of fast ones.
_OPEN = {"base": -1.0, "wave": 0.0, "ridge": 0.0, "colour": (0.0, 0.0, 0.0), "peak": 2.0}
BACKDROP_TABLE = _columns(
    words.BACKDROPS,
    {
        "open": _OPEN,
        "hills": dict(_OPEN, base=0.09, wave=0.05, colour=(0.30, 0.50, 0.30)),
        "mountains": dict(
            _OPEN, base=0.08, wave=0.045, ridge=0.2, colour=(0.42, 0.44, 0.52), peak=0.19
        ),
        "trees": dict(_OPEN, base=0.08, wave=0.015, ridge=0.11, colour=(0.09, 0.25, 0.13)),
    },
)
