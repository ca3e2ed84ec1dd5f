"""Pictures of a scene: panoramas, photos, and where a photo shows which object.

One function gives the colour of a ray and is all that panoramas and photos share, so both show the
same scene in the same colours. The functions draw one scene; `jax.vmap` draws many.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt8

from jclip.demo.materials import Coat, coats, cover
from jclip.demo.objects import MISS, Solid, distance_to, nearest_hits, solids
from jclip.demo.scenes import MAX_OBJECTS, Camera, Scene
from jclip.demo.surroundings import Surroundings, ground_colour, sky_colour, surroundings
from jclip.demo.vectors import Vector, direction, mix, separate, turned

# Four rays a pixel, at the corners of a half-size square.
_ACROSS = np.array([-0.25, 0.25, -0.25, 0.25])
_DOWN = np.array([-0.25, -0.25, 0.25, 0.25])

# A band's arrays fit a core's cache, and whole bands hold only sky or no object.
_BANDS = 16


class _Model(NamedTuple):
    """All that is looked up once in a scene before its rays are followed."""

    heading: Any
    solids: Solid
    coats: Coat
    around: Surroundings


def _ray_colours(model: _Model, rays: Vector) -> Vector:
    """Colours (red, green, blue in 0..1) along unit rays in the viewer's frame.

    The branches skip what none of these rays meets. Under `vmap` both sides are computed.
    """
    ray = separate(turned(rays, -model.heading))
    below = ray.y < 0
    nothing = Vector(*(jnp.zeros_like(axis) for axis in ray))
    cond = jax.lax.cond

    sky = cond(jnp.all(below), lambda: nothing, lambda: sky_colour(model.around, ray))
    ground = cond(
        jnp.any(below),
        lambda: ground_colour(model.around, model.solids, model.coats.opacity, ray),
        lambda: nothing,
    )
    nearest, beyond = nearest_hits(model.solids, ray)
    # What is behind the nearest object shows only where that object lets light through.
    clear = jnp.any((beyond.place >= 0) & (model.coats.opacity[nearest.place] < 1.0))

    def draw(behind, layer):
        hit, wanted = layer
        drawn = cond(
            wanted,
            lambda: cover(hit, ray, behind, model.around, model.solids, model.coats),
            lambda: behind,
        )
        return drawn, None

    layers = jax.tree.map(lambda *pair: jnp.stack(pair), beyond, nearest)
    wanted = jnp.stack([clear, jnp.any(nearest.place >= 0)])
    return jax.lax.scan(draw, mix(sky, ground, below), (layers, wanted))[0]


def _draw(scene: Scene, rays_of_rows: Callable[[Any], Vector], rows: np.ndarray) -> Array:
    """Draws a picture in bands of rows, `rows [samples, height, 1]`; `[height, width, 3] uint8`."""
    model = _Model(scene.heading, solids(scene), coats(scene), surroundings(scene))
    samples, height, _ = rows.shape
    bands = math.gcd(height, _BANDS)
    banded = rows.reshape(samples, bands, height // bands, 1).swapaxes(0, 1)

    def draw(band):
        rays = rays_of_rows(band)
        shape = jnp.broadcast_shapes(*(jnp.shape(axis) for axis in rays))
        colour = _ray_colours(model, Vector(*(jnp.broadcast_to(axis, shape) for axis in rays)))
        means = [jnp.mean(jnp.clip(channel, 0.0, 1.0), axis=0) for channel in separate(colour)]
        return jnp.round(jnp.stack(means, axis=-1) * 255.0).astype(jnp.uint8)

    drawn = jax.lax.map(draw, jnp.asarray(banded))
    return drawn.reshape(height, drawn.shape[2], 3)


def _sample_points(size: int, offsets: np.ndarray) -> np.ndarray:
    """Where a pixel's four rays go through a row of `size` pixels, `[4, size]`, in 0..1."""
    return ((np.arange(size) + 0.5 + offsets[:, None]) / size).astype(np.float32)


def render_panorama(scene: Scene, height: int) -> UInt8[Array, "height width 3"]:
    """Draws the equirectangular panorama, `[H, 2H, 3] uint8`.

    Yaw 0 is at column W/2 (the border of its two middle columns), yaw grows to the right, and the
    left and right borders meet. Four rays a pixel.
    """
    pitch = np.pi * (0.5 - _sample_points(height, _DOWN))[:, :, None]
    yaw = np.pi * (2.0 * _sample_points(2 * height, _ACROSS) - 1.0)[:, None, :]
    return _draw(scene, lambda rows: direction(yaw, rows), pitch)


def draw_many[Drawn](draw: Callable[..., Drawn], *arguments: Any) -> Drawn:
    """Applies `draw` to each scene of a batch: `jax.vmap`, but quick on every device.

    Accelerators draw scenes side by side. A CPU draws one after the other, since only then do the
    renderer's branches skip work: that is five times as fast there. The arguments are those of
    `draw`, such as scenes and cameras, with a leading axis.
    """
    at_once = None if jax.default_backend() == "cpu" else 64
    return jax.lax.map(lambda one: draw(*one), arguments, batch_size=at_once)


def _photo_rays(camera: Camera, columns, rows) -> Vector:
    """Unit rays through points of a photo, whose borders are at -1 and 1."""
    reach = jnp.tan(jnp.deg2rad(camera.field_of_view) / 2)
    x, y = columns * reach, -rows * reach
    up = jnp.deg2rad(camera.pitch)
    sine, cosine = jnp.sin(up), jnp.cos(up)
    tilted = Vector(x, y * cosine + sine, cosine - y * sine)
    return turned(tilted.unit(), jnp.deg2rad(camera.yaw))


def render_photo(scene: Scene, camera: Camera, size: int) -> UInt8[Array, "size size 3"]:
    """Draws a perspective photo of one scene, `[size, size, 3] uint8`; four rays a pixel."""
    across = 2.0 * _sample_points(size, _ACROSS)[:, None, :] - 1.0
    down = 2.0 * _sample_points(size, _DOWN)[:, :, None] - 1.0
    return _draw(scene, lambda rows: _photo_rays(camera, across, rows), down)


def object_places(scene: Scene, camera: Camera, size: int) -> Int[Array, "size size"]:
    """Which of the scene's five places each pixel's centre shows first; -1 for none."""
    centres = (2.0 * (np.arange(size, dtype=np.float32) + 0.5) / size - 1.0).astype(np.float32)
    rays = _photo_rays(camera, centres[None, :], centres[:, None])
    return nearest_hits(solids(scene), turned(rays, -scene.heading))[0].place


def object_boxes(
    scene: Scene, camera: Camera, size: int
) -> tuple[Float[Array, "objects 4"], Float[Array, "objects"]]:
    """Boxes of the objects in a photo of `render_photo`, and how much of each it shows.

    Returns:
        Boxes `[5, 4]` (x, y of the left upper corner, width, height; pixels) around the pixels
        whose centre shows the object first, zeros where there are none; and visible fractions
        `[5]`: the share of the object's outline, as seen from here with nothing else in the world,
        that is inside the photo and not behind another object (a transparent one counts too).
    """
    shown = object_places(scene, camera, size) == jnp.arange(MAX_OBJECTS).reshape(-1, 1, 1)
    left, width = _extent(shown.any(axis=1))
    top, height = _extent(shown.any(axis=2))
    boxes = jnp.stack([left, top, width, height], axis=-1).astype(jnp.float32)
    return boxes, _visible_fractions(scene, camera)


def _extent(shown: Bool[Array, "objects size"]) -> tuple[Array, Array]:
    """First index and count from the first to the last that is shown; 0 and 0 if none is."""
    first = jnp.argmax(shown, axis=1)
    last = shown.shape[1] - jnp.argmax(shown[:, ::-1], axis=1)
    return first, jnp.where(shown.any(axis=1), last - first, 0)


def _visible_fractions(scene: Scene, camera: Camera, across=24) -> Float[Array, "objects"]:
    """Sends a square fan of rays at each object: what share of those that could meet it do."""
    grid = np.linspace(-1.0, 1.0, across, dtype=np.float32)
    geometry = solids(scene)

    def fraction(place):
        solid = jax.tree.map(lambda values: values[place], geometry)
        reach = 1.45 * solid.size
        along = solid.centre.unit()
        right = Vector(along.z, 0.0, -along.x).unit()
        up = Vector(-along.x * along.y, along.x**2 + along.z**2, -along.z * along.y).unit()
        aim = solid.centre.along(right, reach * grid[None, :]).along(up, reach * grid[:, None])
        ray = aim.unit()
        outline = distance_to(solid, ray) < MISS
        first = nearest_hits(geometry, ray)[0].place == place
        inside = _in_frame(turned(ray, scene.heading), camera)
        return jnp.sum(first & inside) / jnp.maximum(jnp.sum(outline), 1)

    return jax.lax.map(fraction, jnp.arange(MAX_OBJECTS)).astype(jnp.float32)


def _in_frame(ray: Vector, camera: Camera) -> Bool[Array, "*rays"]:
    x, y, z = turned(ray, -jnp.deg2rad(camera.yaw))
    up = jnp.deg2rad(camera.pitch)
    sine, cosine = jnp.sin(up), jnp.cos(up)
    forward, height = z * cosine + y * sine, y * cosine - z * sine
    reach = jnp.tan(jnp.deg2rad(camera.field_of_view) / 2) * forward
    return (forward > 0) & (jnp.abs(x) < reach) & (jnp.abs(height) < reach)
