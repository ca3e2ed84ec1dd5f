"""Seeded scenes of the demo world: what is in one, and how one is drawn.

A scene is a sky with its light, a ground, a backdrop on the horizon and one to five objects around
the viewer. The same key gives the same scene on every machine. `jax.vmap` samples and renders many.
"""

import dataclasses
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from jclip.demo import vocabulary
from jclip.demo.appearance import SKY_TABLE
from jclip.errors import InputError

MAX_OBJECTS = 5
EYE_HEIGHT = 1.3
SPLITS = ("train", "validation", "test")

_LEAST_SEPARATION = np.deg2rad(38.0)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Scene:
    """One scene, or many when every array has the same leading axes.

    Arrays are of JAX or NumPy. Angles are in radians, lengths in units of about a metre; words are
    indices into the lists of `jclip.demo.vocabulary`. Arrays marked `[5]` hold one value per place
    for an object; a place is empty where `present` is False.
    """

    heading: Any  # [] everything is turned to the right by this angle about the viewer
    sky: Any  # [] int
    ground: Any  # [] int
    backdrop: Any  # [] int
    sun_yaw: Any  # []
    sun_elevation: Any  # []
    phases: Any  # [8] what makes clouds, hills and the ground's texture differ between scenes
    present: Any  # [5] bool
    yaw: Any  # [5] of the object's centre, before `heading`
    distance: Any  # [5] from the viewer, along the ground
    size: Any  # [5] half the height of a ball
    spin: Any  # [5] of the object about its own vertical axis
    shape: Any  # [5] int, into `CLASSES`
    colour: Any  # [5] int
    material: Any  # [5] int
    pattern: Any  # [5] int
    transparency: Any  # [5] int


class Camera(NamedTuple):
    """Where a photo looks, in degrees: yaw to the right, pitch up, field of view across."""

    yaw: Any
    pitch: Any
    field_of_view: Any


def scene_key(seed: int, split: str, index: int | Int[Array, ""]) -> PRNGKeyArray:
    """The key of scene `index` of a split (`train`, `validation` or `test`).

    Splits never share a key: with one seed, distinct numbers fold into distinct keys (folding is a
    block cipher, so one to one), and index and split make distinct numbers.

    Raises:
        InputError: The split is unknown.
    """
    if split not in SPLITS:
        raise InputError(f"unknown split '{split}'; the demo world has {', '.join(SPLITS)}")
    return jax.random.fold_in(jax.random.key(seed), index * len(SPLITS) + SPLITS.index(split))


class _Draws:
    """Cuts one array of random numbers into the pieces asked for.

    One call of the generator compiles many times faster than one for every attribute.
    """

    def __init__(self, key: PRNGKeyArray, count: int):
        self._numbers = jax.random.uniform(key, (count,), jnp.float32)
        self._used = 0

    def number(self, low: Any, high: Any, shape: tuple[int, ...] = ()) -> Array:
        """Uniform numbers in [low, high)."""
        start, self._used = self._used, self._used + math.prod(shape)
        return low + (high - low) * self._numbers[start : self._used].reshape(shape)

    def below(self, count: Any, shape: tuple[int, ...] = ()) -> Array:
        """Uniform integers from 0 to `count - 1`."""
        drawn = jnp.floor(self.number(0.0, 1.0, shape) * count).astype(jnp.int32)
        return jnp.minimum(drawn, count - 1)


def sample_scene(key: PRNGKeyArray) -> Scene:
    """Draws a scene; the attributes of objects are independent; half are plain, half are opaque."""
    draws, places = _Draws(key, 64), (MAX_OBJECTS,)
    sky = draws.below(len(vocabulary.SKIES))
    lowest, highest = jnp.asarray(SKY_TABLE["elevation"])[sky]
    count = 1 + draws.below(MAX_OBJECTS)
    present = jnp.arange(MAX_OBJECTS) < count
    return Scene(
        heading=draws.number(-np.pi, np.pi),
        sky=sky,
        ground=draws.below(len(vocabulary.GROUNDS)),
        backdrop=draws.below(len(vocabulary.BACKDROPS)),
        sun_yaw=draws.number(-np.pi, np.pi),
        sun_elevation=draws.number(lowest, highest),
        phases=draws.number(0.0, 2 * np.pi, (8,)),
        present=present,
        yaw=_spread_yaws(draws.number(0.0, 1.0, places), present),
        distance=draws.number(1.9, 2.9, places),
        size=draws.number(0.7, 1.08, places),
        spin=draws.number(-np.pi, np.pi, places),
        shape=draws.below(len(vocabulary.CLASSES), places),
        colour=draws.below(len(vocabulary.COLOURS), places),
        material=draws.below(len(vocabulary.MATERIALS), places),
        pattern=_first_in_half(draws, len(vocabulary.PATTERNS), places),
        transparency=_first_in_half(draws, len(vocabulary.TRANSPARENCIES), places),
    )


def _first_in_half(draws: _Draws, count: int, shape: tuple[int, ...]) -> Array:
    """The first word in half of all cases, else any of the others."""
    return jnp.maximum(draws.below(2 * (count - 1), shape) - (count - 2), 0)


def _spread_yaws(
    uniform: Float[Array, "objects"], present: Bool[Array, "objects"]
) -> Float[Array, "objects"]:
    """Yaws all around the circle with random gaps, none below the least separation."""
    shares = -jnp.log1p(-uniform) * present
    slack = 2 * np.pi - jnp.sum(present) * _LEAST_SEPARATION
    return jnp.cumsum(_LEAST_SEPARATION + slack * shares / jnp.maximum(jnp.sum(shares), 1e-6))


def sample_camera(key: PRNGKeyArray, scene: Scene) -> Camera:
    """Draws a camera that looks at one of the scene's objects, not always centred on it.

    Pass another key than the scene's own, such as `jax.random.fold_in(key, 1)`.
    """
    draws = _Draws(key, 4)
    chosen = draws.below(jnp.sum(scene.present))
    field_of_view = draws.number(55.0, 85.0)
    offset = draws.number(-0.25, 0.25) * field_of_view
    yaw = jnp.rad2deg(scene.yaw[chosen] + scene.heading) + offset
    return Camera(
        yaw=jnp.mod(yaw + 180.0, 360.0) - 180.0,
        pitch=draws.number(-14.0, 2.0),
        field_of_view=field_of_view,
    )
