"""Where a ray meets the objects of a scene.

Every shape is a slab cut with one quadric and four planes, with an optional hole along its axis:
one formula, without branches or iterations, for balls, cubes, cylinders, cones, rings, pyramids.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jclip.demo.appearance import SHAPE_TABLE
from jclip.demo.scenes import EYE_HEIGHT, MAX_OBJECTS, Scene
from jclip.demo.vectors import Vector, separate, turned

MISS = np.float32(1e6)

_SIDES = (-1.0, 1.0)


class Solid(NamedTuple):
    """One object's geometry; as a `Hit`'s, each field holds one value per ray."""

    present: Any
    centre: Vector
    size: Any
    spin: Any
    upright: Any
    slab: Any
    bulge: Any
    radius: Any
    taper: Any
    wall: Any
    lean: Any
    hole: Any

    def localised(self, vector: Vector) -> Vector:
        """A direction in the object's own frame, its axis along y."""
        x, y, z = turned(vector, -self.spin)
        return Vector(x, jnp.where(self.upright > 0, y, z), jnp.where(self.upright > 0, z, y))

    def globalised(self, vector: Vector) -> Vector:
        """The inverse of `localised`."""
        x, y, z = vector
        upright = Vector(x, jnp.where(self.upright > 0, y, z), jnp.where(self.upright > 0, z, y))
        return turned(upright, self.spin)


class Hit(NamedTuple):
    """What a ray meets: distance (`MISS` if nothing) and the object's place (-1 if nothing)."""

    distance: Any
    place: Any


def solids(scene: Scene) -> Solid:
    """The geometry of the objects at the scene's five places, each field `[5]`."""
    shape = {name: jnp.asarray(column)[scene.shape] for name, column in SHAPE_TABLE.items()}
    height = scene.size * shape.pop("rest") - EYE_HEIGHT
    centre = Vector(
        jnp.sin(scene.yaw) * scene.distance, height, jnp.cos(scene.yaw) * scene.distance
    )
    return Solid(scene.present, centre, scene.size, scene.spin, **shape)


def _away_from_zero(value: jax.Array) -> jax.Array:
    return jnp.where(jnp.abs(value) < 1e-6, 1e-6, value)


def distance_to(solid: Solid, ray: Vector) -> jax.Array:
    """Distance along unit rays from the viewer to the solid, or `MISS`."""
    start = solid.localised(solid.centre).scaled(-1.0 / solid.size)
    step = solid.localised(ray).scaled(1.0 / solid.size)
    inverse = 1.0 / _away_from_zero(step.y)
    one, other = (-solid.slab - start.y) * inverse, (solid.slab - start.y) * inverse
    enter, leave = jnp.minimum(one, other), jnp.maximum(one, other)

    across = step.x * step.x + step.z * step.z
    towards = start.x * step.x + start.z * step.z
    gauge = solid.radius + solid.taper * start.y
    a = across + (solid.bulge - solid.taper**2) * step.y**2
    b = towards + (solid.bulge * start.y - gauge * solid.taper) * step.y
    c = start.x**2 + start.z**2 + solid.bulge * start.y**2 - gauge**2
    root = jnp.sqrt(jnp.maximum(b * b - a * c, 0.0))
    # a <= 0: the ray is steeper than a cone's side, which no object near the ground can meet.
    meets = (b * b > a * c) & (a > 1e-6)
    over = 1.0 / jnp.where(a > 1e-6, a, 1.0)
    enter, leave = jnp.maximum(enter, (-b - root) * over), jnp.minimum(leave, (-b + root) * over)

    for side in _SIDES:
        for begin, go in ((start.x, step.x), (start.z, step.z)):
            room = solid.wall + solid.lean * start.y - side * begin
            slope = _away_from_zero(solid.lean * step.y - side * go)
            bound = -room / slope
            enter = jnp.where(slope > 0, jnp.maximum(enter, bound), enter)
            leave = jnp.where(slope > 0, leave, jnp.minimum(leave, bound))

    outside = start.x**2 + start.z**2 - solid.hole**2
    bore = jnp.sqrt(jnp.maximum(towards * towards - across * outside, 0.0))
    # A ray that enters through the mouth of the hole meets the hole's wall from inside, or nothing.
    mouth = across * enter * enter + 2.0 * towards * enter + outside < 0
    first = jnp.where(mouth, (bore - towards) / jnp.maximum(across, 1e-6), enter)
    hit = solid.present & meets & (enter < leave) & (first < leave) & (first > 0)
    return jnp.where(hit, first, MISS)


def nearest_hits(solids: Solid, ray: Vector) -> tuple[Hit, Hit]:
    """The nearest two of five objects along each ray (in the scene's frame)."""
    distances = separate(jax.lax.map(lambda solid: distance_to(solid, ray), solids))
    first = Hit(jnp.full_like(ray.x, MISS), jnp.full(ray.x.shape, -1, jnp.int32))
    second = first
    for place in range(MAX_OBJECTS):
        new = Hit(distances[place], jnp.int32(place))
        nearest, nearer = new.distance < first.distance, new.distance < second.distance
        second = _chosen(nearest, first, _chosen(nearer, new, second))
        first = _chosen(nearest, new, first)
    return first, second


def _chosen(condition: jax.Array, yes: Hit, no: Hit) -> Hit:
    return Hit(*(jnp.where(condition, a, b) for a, b in zip(yes, no, strict=True)))


def surface(solid: Solid, ray: Vector, distance: Any) -> tuple[Vector, Vector, Any, Any]:
    """The surface met: local point, local unit normal, and texture coordinates.

    `solid` holds, for each ray, the geometry of the object it met. The texture's first coordinate
    runs eight units around the axis, the second along it; on flat ends both are lengths.
    """
    point = solid.localised(solid.centre.scaled(-1.0).along(ray, distance)).scaled(1 / solid.size)
    x, y, z = point
    broad = jnp.abs(x) > jnp.abs(z)
    gauge = solid.radius + solid.taper * y
    wide = jnp.sqrt(x * x + z * z)
    gaps = (
        solid.slab - jnp.abs(y),
        jnp.abs(solid.wall + solid.lean * y - jnp.maximum(jnp.abs(x), jnp.abs(z))),
        jnp.abs(gauge - jnp.sqrt(x * x + z * z + solid.bulge * y * y)),
        jnp.where(solid.hole > 0, jnp.abs(wide - solid.hole), MISS),
    )
    least = jnp.minimum(jnp.minimum(gaps[0], gaps[1]), jnp.minimum(gaps[2], gaps[3]))
    end, flat, bore = gaps[0] <= least, gaps[1] <= least, gaps[3] <= least

    def normal(on_end, on_flat, on_quadric):
        return jnp.where(end, on_end, jnp.where(flat, on_flat, on_quadric))

    inwards = jnp.where(bore, -1.0, 1.0)
    normals = Vector(
        normal(0.0, jnp.where(broad, jnp.sign(x), 0.0), x * inwards),
        normal(jnp.sign(y), -solid.lean, jnp.where(bore, 0, solid.bulge * y - solid.taper * gauge)),
        normal(0.0, jnp.where(broad, 0.0, jnp.sign(z)), z * inwards),
    ).unit()
    # The square's angle in place of the circle's: no trigonometry, and exact on a cube's faces.
    ratio = jnp.where(broad, z / _away_from_zero(x), -x / _away_from_zero(z))
    quarter = jnp.where(broad, jnp.where(x > 0, 0.0, 4.0), jnp.where(z > 0, 2.0, -2.0))
    around = quarter + ratio
    lying = solid.upright < 0.5
    across = jnp.where(end & ~lying, x * 1.25, around)
    height = jnp.where(lying, wide + y, jnp.where(end, z, y))
    # Around a lying ring the bands run along its axis, as on a striped tyre.
    u, v = jnp.where(lying, height * 1.6, across), jnp.where(lying, across * 0.8, height)
    return point, normals, u, v
