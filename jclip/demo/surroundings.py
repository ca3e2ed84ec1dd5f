"""Sky, ground and backdrop of a scene: the colour of a ray that meets no object."""

import operator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jclip.demo.appearance import BACKDROP_TABLE, GROUND_TABLE, SKY_TABLE
from jclip.demo.objects import Solid
from jclip.demo.scenes import EYE_HEIGHT, MAX_OBJECTS, Scene
from jclip.demo.vectors import Vector, direction, mix, separate, sine, smoothstep
from jclip.demo.vocabulary import BACKDROPS, GROUNDS


class Surroundings(NamedTuple):
    """The rows of the appearance tables that one scene uses, its sun and its noise phases."""

    sky: dict[str, Any]
    ground: dict[str, Any]
    ground_word: Any
    backdrop: dict[str, Any]
    backdrop_word: Any
    sun: Vector
    phases: Any


def surroundings(scene: Scene) -> Surroundings:
    """Looks up a scene's sky, ground and backdrop."""

    def row(table, index):
        rows = {name: jnp.asarray(column)[index] for name, column in table.items()}
        return {name: Vector(*row) if row.shape == (3,) else row for name, row in rows.items()}

    return Surroundings(
        sky=row(SKY_TABLE, scene.sky),
        ground=row(GROUND_TABLE, scene.ground),
        ground_word=scene.ground,
        backdrop=row(BACKDROP_TABLE, scene.backdrop),
        backdrop_word=scene.backdrop,
        sun=direction(scene.sun_yaw, scene.sun_elevation),
        phases=scene.phases,
    )


def sky_colour(around: Surroundings, ray: Vector) -> Vector:
    """The colour of the sky and of the backdrop before it, along unit rays (scene's frame)."""
    height = separate(_backdrop_height(around, _level(ray)))
    cover = smoothstep(height - ray.y, -0.004, 0.004)
    return mix(separate(_sky_colour(around, ray)), _backdrop_colour(around, ray), cover)


def ground_colour(around: Surroundings, solids: Solid, opacity: Any, ray: Vector) -> Vector:
    """The colour of the ground under the objects' shadows, along unit rays below the horizon."""
    distance = EYE_HEIGHT / jnp.maximum(-ray.y, 1e-3)
    x, z = separate((ray.x * distance, ray.z * distance))
    ground = separate(_ground_colour(around, ray, x, z, distance))
    shade = jnp.ones_like(ray.x)
    for place in range(MAX_OBJECTS):
        solid = jax.tree.map(operator.itemgetter(place), solids)
        strength = solid.present * (0.4 + 0.6 * opacity[place])
        shade = shade * (1.0 - strength * _shadow(around, solid, x, z))
    shade = separate(shade)
    sun = shade * jnp.maximum(around.sun.y, 0.25)
    light = around.sky["ambient"].scaled(0.55 + 0.45 * shade).along(around.sky["sun"], sun)
    haze = smoothstep(distance, 8.0, 70.0) * 0.75
    return mix(ground.times(light), around.sky["horizon"], haze)


def mirrored_colour(around: Surroundings, ray: Vector) -> Vector:
    """What a metal surface mirrors: the sky's gradient and the ground's mean colour."""
    sky = mix(around.sky["horizon"], around.sky["zenith"], smoothstep(ray.y, -0.05, 0.9))
    light = around.sky["ambient"].along(around.sky["sun"], jnp.maximum(around.sun.y, 0.25))
    ground = mix(around.ground["dark"], around.ground["light"], 0.4).times(light).scaled(0.45)
    return mix(ground, sky, smoothstep(ray.y, -0.06, 0.06))


def _sky_colour(around: Surroundings, ray: Vector) -> Vector:
    sky = around.sky
    up = jnp.maximum(ray.y, 0.0)
    colour = mix(sky["horizon"], sky["zenith"], 1.0 - (1.0 - up) * (1.0 - up) * (1.0 - 0.4 * up))
    towards = jnp.maximum(ray.dot(around.sun), 0.0)
    shine = jnp.exp(9.0 * (towards - 1.0)) * sky["glow"]
    disc = smoothstep(towards, 0.9975, 0.9985) * sky["disc"]
    colour = mix(colour, Vector(1.0, 0.93, 0.78), jnp.clip(shine + disc, 0.0, 1.0))
    # Clouds are drawn on a plane overhead, so they shrink towards the horizon.
    reach = 1.0 / (up + 0.22)
    u, v, p = ray.x * reach, ray.z * reach, around.phases
    warp = sine(1.7 * v + p[1]) + 0.6 * sine(3.1 * u + p[2])
    cloud = sine(1.9 * u + warp + p[0]) + sine(2.3 * v - 0.8 * warp + p[3])
    cloud += 0.5 * sine(4.7 * u - 3.9 * v + 2.0 * warp) + 0.3 * sine(8.3 * v + 6.1 * u - warp)
    cover = smoothstep(cloud, 0.15, 1.2) * smoothstep(up, 0.0, 0.16) * sky["cover"]
    colour = mix(colour, sky["cloud"], cover * 0.92)
    return colour.along(Vector(1.0, 1.0, 0.95), _stars(around, ray, up) * sky["stars"])


def _stars(around: Surroundings, ray: Vector, up: jax.Array) -> jax.Array:
    reach = 15.0 / (0.7 + up)
    u, v = ray.x * reach + around.phases[4], ray.z * reach + around.phases[5]
    column, row = jnp.floor(u), jnp.floor(v)
    aside = (u - column - 0.5) ** 2 + (v - row - 0.5) ** 2
    return jnp.where((aside < 0.035) & (_hash(column, row) > 0.86) & (up > 0.03), 0.85, 0.0)


def _hash(column: jax.Array, row: jax.Array) -> jax.Array:
    """A number in [0, 1) for each cell of a grid."""
    value = sine(column * 12.9898 + row * 78.233) * 437.585
    return value - jnp.floor(value)


def _backdrop_height(around: Surroundings, ray: Vector) -> jax.Array:
    p, table = around.phases, around.backdrop
    wave = sine(2.2 * ray.x + 3.1 * ray.z + p[0]) + sine(4.3 * ray.z - 2.7 * ray.x + p[1])
    # Sines of a unit vector's coordinates need no angle, and cannot show a seam.
    ridge = jnp.abs(sine(7.0 * ray.x + 2.0 * ray.z + p[2]) * sine(6.1 * ray.z - ray.x + p[3]))
    tree = jnp.abs(sine(23.0 * ray.x + 5.0 * ray.z) * sine(21.0 * ray.z + p[4]))
    teeth = jnp.where(around.backdrop_word == BACKDROPS.index("trees"), tree, ridge)
    return table["base"] + table["wave"] * wave * 0.5 + table["ridge"] * teeth


def _level(ray: Vector) -> Vector:
    over = jax.lax.rsqrt(jnp.maximum(1.0 - ray.y * ray.y, 1e-6))
    return Vector(ray.x * over, 0.0, ray.z * over)


def _backdrop_colour(around: Surroundings, ray: Vector) -> Vector:
    light = around.sky["ambient"].along(around.sky["sun"], 0.45)
    snow = smoothstep(ray.y, around.backdrop["peak"], around.backdrop["peak"] + 0.04)
    colour = mix(around.backdrop["colour"], Vector(0.96, 0.97, 1.0), snow)
    return mix(colour.times(light), around.sky["horizon"], 0.2)


def _ground_colour(around: Surroundings, ray: Vector, x, z, distance) -> Vector:
    """The ground before light and shadow: a texture between its light and its dark colour."""
    word, p = around.ground_word, around.phases
    fade = 1.0 / (1.0 + (distance * 0.11) ** 2)
    blotch = sine(1.3 * x + sine(1.9 * z + p[6])) * sine(1.7 * z - 0.6 * x + p[7])
    blade = sine(11.0 * x + 5.0 * blotch) * sine(9.0 * z + 4.0 * x)
    ripple = sine(3.2 * x + 4.8 * z + 1.6 * blotch)
    wave = sine(2.6 * z + 1.1 * x + 2.2 * blotch) + 0.6 * sine(5.0 * x - 3.0 * z + p[6])
    tile = jnp.where((jnp.floor(x / 0.8) + jnp.floor(z / 0.8)) % 2 == 0, 1.0, -1.0)
    textures = (
        0.30 * blotch + 0.45 * blade,  # grass
        0.15 * blotch + 0.40 * ripple,  # sand
        0.45 * blotch,  # snow
        0.35 * wave,  # water
        tile,
    )
    amount = jnp.zeros_like(x)
    for index, texture in enumerate(textures):
        amount = jnp.where(word == index, texture, amount)
    share = jnp.clip(0.5 + 0.5 * amount * fade, 0.0, 1.0)
    colour = mix(around.ground["dark"], around.ground["light"], share)
    grazing = (1.0 + ray.y) ** 2 * (word == GROUNDS.index("water")) * 0.75
    glint = mix(around.sky["horizon"], around.sky["zenith"], 0.35 - 0.2 * wave * fade)
    return mix(colour, glint, jnp.clip(grazing, 0.0, 1.0))


def _shadow(around: Surroundings, solid: Solid, x: jax.Array, z: jax.Array) -> jax.Array:
    """How much of the sun an object keeps from points of the ground: a soft capsule."""
    slope = jnp.maximum(around.sun.y, 0.2)
    reach = jnp.minimum(1.5 * solid.size / slope, 3.0 * solid.size)
    end_x, end_z = -around.sun.x * reach, -around.sun.z * reach
    away_x, away_z = x - solid.centre.x, z - solid.centre.z
    length = end_x * end_x + end_z * end_z
    share = jnp.clip((away_x * end_x + away_z * end_z) / length, 0.0, 1.0)
    gap = (away_x - share * end_x) ** 2 + (away_z - share * end_z) ** 2
    width = 0.75 * solid.size
    softness = smoothstep(gap, 1.25 * width * width, 0.35 * width * width)
    return softness * (0.8 - 0.45 * share)
