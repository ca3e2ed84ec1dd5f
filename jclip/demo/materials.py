"""Colour of an object's surface: pattern, material, light and transparency."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jclip.demo.appearance import COLOUR_TABLE, MATERIAL_TABLE, OPACITY
from jclip.demo.objects import Hit, Solid, surface
from jclip.demo.scenes import MAX_OBJECTS, Scene
from jclip.demo.surroundings import Surroundings, mirrored_colour
from jclip.demo.vectors import Vector, mix, separate, sine


class Coat(NamedTuple):
    """How one object's surface looks; as chosen for a hit, each field holds one value per ray."""

    base: Vector
    second: Vector
    pattern: Any
    opacity: Any
    material: dict[str, Any]


def coats(scene: Scene) -> Coat:
    """The looks of the objects at the scene's five places, each field `[5]`."""
    base = jnp.asarray(COLOUR_TABLE["base"])[scene.colour]
    second = jnp.asarray(COLOUR_TABLE["second"])[scene.colour]
    return Coat(
        base=Vector(*base.T),
        second=Vector(*second.T),
        pattern=scene.pattern,
        opacity=jnp.asarray(OPACITY)[scene.transparency],
        material={name: jnp.asarray(row)[scene.material] for name, row in MATERIAL_TABLE.items()},
    )


def cover(
    hit: Hit, ray: Vector, behind: Vector, around: Surroundings, solids: Solid, coats: Coat
) -> Vector:
    """Draws the objects that `hit` names over the colours behind them."""

    def of_hit(values):
        chosen = values[0]
        for place in range(1, MAX_OBJECTS):
            chosen = jnp.where(hit.place == place, values[place], chosen)
        return chosen

    solid, coat = separate(jax.tree.map(of_hit, (solids, coats)))
    point, local_normal, u, v = separate(surface(solid, ray, hit.distance))
    normal = separate(solid.globalised(local_normal))
    facing = jnp.clip(-normal.dot(ray), 0.0, 1.0)
    rim = (1.0 - facing) ** 2
    painted, reflected = separate((_painted(coat, point, u, v), ray.along(normal, 2.0 * facing)))
    colour = separate(_lit(coat, painted, normal, reflected, rim, around))
    # What shows through is tinted by the body, which is seen more at its rim than at its centre.
    opacity = coat.opacity + (1.0 - coat.opacity) * 0.55 * rim * rim
    tint = mix(painted, Vector(1.0, 1.0, 1.0), 0.35)
    through = mix(behind.times(tint), colour, opacity)
    gleam = jnp.exp(60.0 * (reflected.dot(around.sun) - 1.0)) * (1.0 - coat.opacity)
    seen = through.along(Vector(1.0, 1.0, 1.0), gleam)
    return mix(behind, seen, hit.place >= 0)


def _lit(coat: Coat, painted: Vector, normal: Vector, reflected: Vector, rim, around) -> Vector:
    material, sky = coat.material, around.sky
    slant = normal.dot(around.sun)
    # Some light reaches round the edge, so that no two faces in shade look the same.
    incidence = 0.72 * jnp.maximum(slant, 0.0) + 0.28 * (0.5 + 0.5 * slant)
    ambient = sky["ambient"].scaled(0.82 + 0.22 * normal.y)
    light = ambient.along(sky["sun"], incidence)
    colour = painted.times(light).scaled(material["diffuse"])
    mirrored = mirrored_colour(around, reflected).times(mix(painted, Vector(1, 1, 1), 0.12))
    colour = colour.along(mirrored, material["mirror"] * 1.15)
    gloss = jnp.exp(material["sharpness"] * (reflected.dot(around.sun) - 1.0))
    colour = colour.along(Vector(1.0, 1.0, 0.97), gloss * material["highlight"])
    fuzz = mix(painted, Vector(1.0, 1.0, 1.0), 0.25).times(ambient)
    return colour.along(fuzz, rim * 1.6 * material["rim"])


def _painted(coat: Coat, point: Vector, u: jax.Array, v: jax.Array) -> Vector:
    """The surface's own colour: pattern, then a material's grain and mottle."""
    colour = mix(coat.base, coat.second, _pattern(coat.pattern, u, v))
    x, y, z = point
    rings = sine(16.0 * x + 3.0 * z + 3.0 * sine(2.6 * y + 1.5 * z))
    grain = 1.0 - coat.material["grain"] * (0.35 + 0.65 * rings * rings * rings)
    veins = sine(6.1 * x + 2.0 * sine(5.3 * y)) * sine(6.7 * z + 1.7 * sine(7.1 * x))
    veins += 0.7 * sine(13.0 * y + 9.0 * x) * sine(12.0 * z - 11.0 * y)
    return colour.scaled(grain * (1.0 + coat.material["mottle"] * veins))


def _pattern(pattern: jax.Array, u: jax.Array, v: jax.Array) -> jax.Array:
    """Where the pattern's second colour is: 1 there, 0 elsewhere."""
    height = 2.0 * v
    across, along = u - jnp.floor(u), height - jnp.floor(height)
    odd = (jnp.floor(u) + jnp.floor(height)) % 2
    speck = sine(jnp.floor(3.0 * u) * 12.99 + jnp.floor(3.2 * height) * 78.23) * 437.58
    bands = 1.6 * v
    zigzag = bands + 0.9 * jnp.abs(across - 0.5)
    slant = bands + 0.5 * u
    masks = (
        jnp.zeros_like(u, bool),  # plain
        bands - jnp.floor(bands) < 0.42,  # striped
        (across - 0.5) ** 2 + (along - 0.5) ** 2 < 0.085,  # dotted
        odd > 0,  # checkered
        zigzag - jnp.floor(zigzag) < 0.42,
        slant - jnp.floor(slant) < 0.42,  # spiral
        (across < 0.2) | (along < 0.2),  # latticed
        speck - jnp.floor(speck) < 0.28,  # speckled
    )
    chosen = masks[0]
    for index, mask in enumerate(masks):
        chosen = jnp.where(pattern == index, mask, chosen)
    return chosen.astype(jnp.float32)
