"""Rotary positions of patches: queries and keys turned by angles that grow along both axes.

The form is timm's `RotaryEmbeddingCat` in pairs (x0, x1) -> (-x1, x0), as EVA-02 (Fang et al. 2023)
and PE-Core (Bolya et al. 2025) use it; the class token is not turned.
"""

import functools
import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int

from jclip.models.config import Rotary

_BASE = 10000.0


@functools.lru_cache(maxsize=32)
def sines_and_cosines(
    rotary: Rotary, tokens: int, head_width: int
) -> tuple[Float32[np.ndarray, "t d"], Float32[np.ndarray, "t d"]]:
    """The sine and the cosine of every token and channel of a head; of a class token, 0 and 1.

    Args:
        rotary: the angles.
        tokens: patches of a square grid, row by row, behind a class token or not.
        head_width: a multiple of 4.
    """
    grid = math.isqrt(tokens)
    steps = (np.arange(grid) + rotary.start) * rotary.scale
    frequencies = _BASE ** (-4 * np.arange(head_width // 4) / head_width)
    down, right = np.meshgrid(steps, steps, indexing="ij")
    axes = (right, down) if rotary.first == "x" else (down, right)
    angles = np.concatenate([axis.reshape(-1, 1) * frequencies for axis in axes], axis=1)
    # A pair of channels shares its angle.
    angles = np.repeat(angles, 2, axis=1)
    angles = np.concatenate([np.zeros((tokens - grid * grid, head_width)), angles])
    return np.sin(angles).astype(np.float32), np.cos(angles).astype(np.float32)


def turned(
    x: Float[Array, "n q h d"], rotary: Rotary, tokens: int, at: Int[Array, " n"] | None = None
) -> Float[Array, "n q h d"]:
    """Queries or keys `[N, Q, heads, D]`, turned by the angles of their positions.

    `at` is the position of the only query of each row; without it all `tokens` are there.
    """
    tables = sines_and_cosines(rotary, tokens, x.shape[-1])
    rows = slice(None) if at is None else at[:, None]
    sine, cosine = (jnp.asarray(table)[rows][..., None, :] for table in tables)
    pairs = x.reshape(*x.shape[:-1], -1, 2)
    quarter = jnp.stack([-pairs[..., 1], pairs[..., 0]], axis=-1).reshape(x.shape)
    return x * cosine + quarter * sine
