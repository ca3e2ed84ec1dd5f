"""A learned table of positions, resized for images of any number of patches (NaFlex)."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def resized_positions(
    table: Float[Array, "s d"], shapes: Int[Array, "n 2"], tokens: int
) -> Float[Array, "n t d"]:
    """The positions of the first patches of each image, row by row.

    Bilinear with antialias, as `jax.image.resize` does it and, but for images of one column,
    torch's `F.interpolate`. Behind the last patch of an image, values are of no use, yet finite.

    Args:
        table: of a square grid, row by row.
        shapes: rows and columns of every image, in patches; may be traced.
        tokens: T, at least as many as the largest image has patches.
    """
    side = round(len(table) ** 0.5)
    index = jnp.arange(tokens)
    rows, columns = shapes[:, :1], shapes[:, 1:]
    down = _weights(index // columns, rows, side)
    right = _weights(index % columns, columns, side)
    square = table.reshape(side, side, -1)
    return jnp.einsum("nti,ntj,ijd->ntd", down, right, square, precision="highest")


def _weights(at: Int[Array, "n t"], count: Int[Array, "n 1"], side: int) -> Float[Array, "n t s"]:
    """How much each of `side` entries counts at a place of `count`: a triangle, summing to 1."""
    scale = side / count
    centre = (jnp.minimum(at, count - 1) + 0.5) * scale
    distance = jnp.abs(jnp.arange(side) + 0.5 - centre[..., None])
    weights = jnp.maximum(0, 1 - distance / jnp.maximum(scale, 1)[..., None])
    return weights / weights.sum(axis=-1, keepdims=True)
