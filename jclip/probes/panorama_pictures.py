"""The program that makes all pictures of a batch of panoramas, embeds each once and scores them."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, UInt8

from jclip.checkpoints import ImageConfig
from jclip.data.panorama_folders import VIEWS
from jclip.distributed import local_mesh, replicate
from jclip.images import plan_views, shift_views
from jclip.images.float_resize import bilinear_weights, squash_in_float
from jclip.images.panfusion_views import panfusion_views, plan_panfusion
from jclip.images.preprocess import normalise
from jclip.images.sphere import SphereView, plan_sphere, sphere_views
from jclip.models.unit_norm import normalised
from jclip.probes.panorama_measures import YAWS, Measure, Pictures

MVDIFFUSION_SIDE = 512
"""Of MVDiffusion's views, in pixels."""


@functools.cache
def plan_pictures(
    pictures: tuple[Pictures, ...],
    shape: tuple[int, int],
    image_config: ImageConfig,
    cameras: tuple[SphereView, ...],
    samples: int,
) -> tuple[tuple[Any, ...], ...]:
    """The plans of every kind of pictures, on every device, for images of a shape `[H, W]`."""
    (height, width), size, filter = shape, square_side(image_config), image_config.interpolation
    eighths = [k * width // YAWS for k in range(YAWS)]

    def photo(rows: int, columns: int) -> Any:
        return plan_views(rows, columns, [0], size, "crop", filter)

    def plans(own: Pictures) -> tuple[Any, ...]:
        if own.kind == "yaws":
            return (plan_views(height, width, eighths, size, own.fit, filter),)
        if own.kind == "survey":
            return bilinear_weights(height, size), bilinear_weights(width, size)
        if own.kind == "sphere":
            return (plan_sphere(height, width, cameras, size, samples),)
        if own.kind == "panfusion":
            plan = plan_panfusion(height, width, cameras)
            return plan, photo(*plan.columns.shape[1:])
        if own.kind == "stacked":
            return (photo(height // VIEWS, width),)
        around, side = cameras[:VIEWS], MVDIFFUSION_SIDE
        return plan_sphere(height, width, around, side, 1), photo(side, side)

    return replicate(local_mesh(), tuple(plans(own) for own in pictures))


def square_side(image_config: ImageConfig) -> int:
    """Of the squares that a tower takes; `PanoramaProbe.check` refuses others."""
    if not isinstance(image_config.size, int):
        raise ValueError(f"size {image_config.size} is no side of a square")
    return image_config.size


def draw_pictures(
    own: Pictures, panoramas: UInt8[Array, "n h w 3"], plans: tuple[Any, ...], size: int
) -> UInt8[Array, "n v t s s 3"]:
    """Pictures `[N, V, T, S, S, 3]` as the tower sees them, of two parts under the fit `tiles`."""
    if own.kind == "yaws":
        return shift_views(panoramas, plans[0], size, own.fit)
    if own.kind == "survey":
        return squash_in_float(panoramas, *plans)[:, None, None]
    if own.kind == "sphere":
        return sphere_views(panoramas, plans[0])[:, :, None]
    if own.kind == "stacked":
        n, height, width, _ = panoramas.shape
        drawn = panoramas.reshape(n, VIEWS, height // VIEWS, width, 3)
    else:
        project = panfusion_views if own.kind == "panfusion" else sphere_views
        drawn = project(panoramas, plans[0])
    flat = shift_views(drawn.reshape(-1, *drawn.shape[2:]), plans[-1], size, "crop")
    return flat.reshape(*drawn.shape[:2], 1, *flat.shape[3:])


@functools.partial(
    jax.jit,
    static_argnames=("graph", "pictures", "measures", "turned", "orbit", "image_config"),
)
def measure_panoramas(
    graph: nnx.GraphDef,
    state: nnx.State,
    panoramas: UInt8[Array, "n h w 3"],
    texts: Float[Array, "n k e"],
    plans: tuple[tuple[Any, ...], ...],
    *,
    pictures: tuple[Pictures, ...],
    measures: tuple[Measure, ...],
    turned: tuple[Pictures, ...],
    orbit: int,
    image_config: ImageConfig,
) -> tuple[Float[Array, "n c"], Float[Array, "n f"], Float[Array, "n v e"]]:
    """From panoramas to all their scores, in one program that embeds every picture once.

    Args:
        graph: of the network, from `split_network`.
        state: its parameters.
        panoramas: `[N, H, W, 3] uint8`.
        texts: normalised embeddings of each panorama's caption and, where it has some, those of its
            views without and with a prefix.
        plans: of all `pictures`, from `plan_pictures`.
        pictures: all that are embedded.
        measures: all scores.
        turned: those of the pictures that are the panorama at eight yaws.
        orbit: over how many of these yaws embeddings are averaged.
        image_config: size, mean and std of the model's input.

    Returns:
        Scores, 100 x cosine, a column per measure and picture; those of the orbits; features of the
        panorama as it is, or of a generator's own pictures, not normalised.
    """
    clip, size = nnx.merge(graph, state), square_side(image_config)
    drawn = [draw_pictures(own, panoramas, p, size) for own, p in zip(pictures, plans, strict=True)]
    embedded = dict(zip(pictures, _embed(clip, pictures, drawn, image_config), strict=True))
    unit = {own: _mean_of_parts(e) for own, e in embedded.items()}
    parts = [
        _cosines(unit[m.pictures][:, np.array(m.rows)], texts[:, text_columns(m)]) for m in measures
    ]
    n = len(panoramas)
    scores = jnp.concatenate(parts, axis=1) if parts else jnp.zeros((n, 0))
    if not turned:
        (views,) = embedded.values()
        return scores, jnp.zeros((n, 0)), views.mean(axis=2)
    means = [normalised(unit[own][:, :: YAWS // orbit].mean(axis=1)) for own in turned]
    orbits = _cosines(jnp.stack(means, axis=1), texts[:, :1])
    features = jnp.stack([embedded[own][:, 0].mean(axis=1) for own in turned], axis=1)
    return scores, orbits, features


def _embed(
    clip: Any,
    pictures: Sequence[Pictures],
    drawn: Sequence[UInt8[Array, "n _ _ s s 3"]],
    image_config: ImageConfig,
) -> list[Float[Array, "n _ _ e"]]:
    """Raw embeddings of all pictures, through the tower at once."""
    mean, std = image_config.mean, image_config.std
    offset = jnp.asarray(mean) / jnp.asarray(std)
    n, flat = len(drawn[0]), []
    for own, views in zip(pictures, drawn, strict=True):
        pixels = normalise(views.reshape(n, -1, *views.shape[3:]), mean, std)
        flat.append((pixels + offset) / 255 - offset if own.twice else pixels)
    every = jnp.concatenate(flat, axis=1)
    raw = clip.encode_image(every.reshape(-1, *every.shape[2:])).reshape(n, every.shape[1], -1)
    ends = np.cumsum([part.shape[1] for part in flat])[:-1]
    split = jnp.split(raw, ends, axis=1)
    return [e.reshape(*d.shape[:3], -1) for e, d in zip(split, drawn, strict=True)]


def _mean_of_parts(embedded: Float[Array, "n v t e"]) -> Float[Array, "n v e"]:
    """Normalised embeddings; of the two tiles of a picture the normalised mean."""
    unit = normalised(embedded)
    return unit[:, :, 0] if unit.shape[2] == 1 else normalised(unit.mean(axis=2))


def text_columns(measure: Measure) -> slice:
    """Which of a panorama's texts a measure's pictures are scored against, one or one each."""
    first = {"whole": 0, "views": 1, "prefixed": 1 + VIEWS}[measure.text]
    return slice(first, first + (1 if measure.text == "whole" else VIEWS))


def _cosines(views: Float[Array, "n v e"], texts: Float[Array, "n #v e"]) -> Float[Array, "n v"]:
    # Sums of products in float32, whatever the precision of matrix products.
    return 100 * jnp.sum(views * texts, axis=-1)
