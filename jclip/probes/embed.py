"""From pixels and token ids to embeddings: the programs and the stream that all probes share.

Networks cross the jit boundary as `nnx.split` makes them: a static graph and a state of arrays.
Batches are split over the devices of this process, parameters are on each.
"""

import functools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Float32, Int, UInt8

from jclip.checkpoints import ImageConfig
from jclip.data.images import ImageFile
from jclip.data.pipeline import Batch, BatchPlan, stream_batches
from jclip.distributed import local_mesh, replicate, shard_batch
from jclip.errors import InputError
from jclip.images import AnyPlan, Fit, flip, normalise, plan_chunks, shift_views
from jclip.images.sphere_fits import repeats
from jclip.models import CLIP, cut_after_end_of_text
from jclip.models.config import TextKind
from jclip.models.unit_norm import normalised
from jclip.text.tokenizer import TokenIds

# Per device and step. Fixed, so that an embedding does not depend on how many texts a process has:
# a product of another shape rounds otherwise.
TEXT_BATCH = 32
# A batch of texts has no pixels.
_NO_PIXELS = np.zeros((0, 1, 1, 3), np.uint8)


class Network(NamedTuple):
    """A network, split for `jax.jit`: `graph` is static, `state` is on every device."""

    graph: nnx.GraphDef
    state: nnx.State


def split_network(clip: nnx.Module) -> Network:
    """A network as the programs here take it, its parameters whole on every device."""
    graph, state = nnx.split(clip)
    return Network(graph, replicate(local_mesh(), state))


def embed_tiles(
    clip: CLIP, image_config: ImageConfig, views: UInt8[Array, "n s t h w 3"]
) -> Float[Array, "n s e"]:
    """Normalised embeddings of views that are one square each, or the mean of several.

    Those of two `tiles`, or of views on the sphere, are normalised, averaged and normalised again.
    """
    n, s, tiles = views.shape[:3]
    # Shifts are folded into the batch: under vmap, fused attention with a shared mask failed.
    pixels = normalise(views.reshape(-1, *views.shape[3:]), image_config.mean, image_config.std)
    embeddings = normalised(clip.encode_image(pixels)).reshape(n, s, tiles, -1)
    if tiles > 1:
        embeddings = normalised(embeddings.mean(axis=2, keepdims=True))
    return embeddings[:, :, 0]


@functools.partial(
    jax.jit, static_argnames=("graph", "image_config", "fit", "shifts_at_once", "orbit")
)
def embed_views(
    graph: nnx.GraphDef,
    state: nnx.State,
    images: UInt8[Array, "n h w 3"],
    plan: AnyPlan,
    mirror_plan: AnyPlan | None = None,
    *,
    image_config: ImageConfig,
    fit: Fit,
    shifts_at_once: int | None = None,
    orbit: int = 1,
) -> Float[Array, "n v e"]:
    """From uint8 images to normalised embeddings of all their views, in one program.

    Args:
        graph: of the network, from `split_network`.
        state: its parameters.
        images: `[N, H, W, 3] uint8`.
        plan: the S shifts, from `plan_views`; another plan of as many shifts does not recompile.
        mirror_plan: the plan of no shift, for the image flipped left to right as one more view.
        image_config: size, mean and std of the model's input.
        fit: how an image becomes a square.
        shifts_at_once: the network sees so many shifts at a time, a divisor of S; None: all.
        orbit: so many shifts in a row, a divisor of S, are averaged, and those of `mirror_plan`
            too: the embedding of an orbit is the mean of its embeddings, normalised again.
    """
    embed = functools.partial(embed_tiles, nnx.merge(graph, state), image_config)
    views = shift_views(images, plan, image_config.size, fit)
    n, s = views.shape[:2]
    if shifts_at_once is None or shifts_at_once == s:
        embedded = embed(views)
    else:
        # Cut along shifts, not along images: these are split over devices, and would have to move.
        parts = jnp.moveaxis(views.reshape(n, -1, shifts_at_once, *views.shape[2:]), 1, 0)
        embedded = jnp.moveaxis(jax.lax.map(embed, parts), 0, 1).reshape(n, s, -1)
    if mirror_plan is not None:
        mirrored = embed(shift_views(flip(images), mirror_plan, image_config.size, fit))
        embedded = jnp.concatenate([embedded, mirrored], axis=1)
    if orbit == 1:
        return embedded
    return normalised(embedded.reshape(n, -1, orbit, embedded.shape[-1]).mean(axis=2))


@functools.partial(jax.jit, static_argnames=("graph", "image_config"))
def embed_squares(
    graph: nnx.GraphDef,
    state: nnx.State,
    squares: UInt8[Array, "n s s 3"],
    *,
    image_config: ImageConfig,
) -> Float[Array, "n e"]:
    """Images that were made squares of the tower's size already; not normalised."""
    pixels = normalise(squares, image_config.mean, image_config.std)
    return nnx.merge(graph, state).encode_image(pixels)


def stream_square_embeddings(
    batches: Iterable[Batch], clip: CLIP, image_config: ImageConfig
) -> Iterator[tuple[Batch, Float[np.ndarray, "n e"]]]:
    """Embeddings, not normalised, of batches of squares `[N, size, size, 3]` that fit the tower.

    A batch has as many rows as the devices divide evenly.

    Yields:
        The batch and its embeddings, one batch behind the device.
    """
    network = split_network(clip)

    def embed(batch: Batch) -> Array:
        squares = shard_batch(local_mesh(), batch.pixels)
        return embed_squares(*network, squares, image_config=image_config)

    return one_behind(batches, embed)


@functools.partial(jax.jit, static_argnames=("graph", "kind"))
def embed_token_ids(
    graph: nnx.GraphDef, state: nnx.State, token_ids: Int[Array, "n l"], *, kind: TextKind = "short"
) -> Float[Array, "n e"]:
    """Token ids `[N, L]` to text embeddings `[N, E]` float32, not normalised."""
    return nnx.merge(graph, state).encode_text(token_ids, kind=kind)


# Outside of a program it rounds otherwise.
_normalise = jax.jit(normalised)


def embed_texts(
    clip: CLIP, tokens: TokenIds, rows: Sequence[int] | None = None
) -> Float[Array, "n e"]:
    """Normalised embeddings of tokenized texts; equal texts are embedded once.

    Args:
        clip: whose text tower embeds.
        tokens: of all texts.
        rows: which of them to embed, at least one; all by default.

    Returns:
        `[N, E]` float32, in the order of `rows`.
    """
    ids = cut_after_end_of_text(tokens.ids, clip.config.text)
    ids = ids if rows is None else ids[np.asarray(rows)]
    ids, positions = np.unique(ids, axis=0, return_inverse=True)
    network = split_network(clip)
    embed = functools.partial(embed_token_ids, *network, kind=tokens.kind)
    embedded = [_normalise(embed(part)) for part in _text_batches(ids)]
    return jnp.concatenate(replicate(local_mesh(), embedded))[positions]


def stream_text_embeddings(
    clip: CLIP, tokens: TokenIds, rows: Sequence[int]
) -> Iterator[tuple[Batch, Float[np.ndarray, "n e"]]]:
    """Embed some texts, by row, not normalised; batches as `Run.keep` takes them, without pixels.

    Yields:
        The batch and its embeddings, one batch behind the device.
    """
    ids = cut_after_end_of_text(tokens.ids, clip.config.text)[np.asarray(rows, int)]
    size, network = TEXT_BATCH * local_mesh().size, split_network(clip)
    batches = [Batch(tuple(rows[i : i + size]), _NO_PIXELS, ()) for i in range(0, len(ids), size)]
    parts = iter(_text_batches(ids) if len(ids) else ())
    return one_behind(batches, lambda _: embed_token_ids(*network, next(parts), kind=tokens.kind))


def _text_batches(ids: Int[np.ndarray, "n l"]) -> list[Int[Array, "b l"]]:
    """Token ids in batches of one size, the last one filled with its last row."""
    batch = TEXT_BATCH * local_mesh().size
    padded = np.pad(ids, ((0, -len(ids) % batch), (0, 0)), mode="edge")
    return [shard_batch(local_mesh(), part) for part in padded.reshape(-1, batch, ids.shape[1])]


def check_orbit(orbit: int) -> None:
    """Refuse an orbit without yaws.

    Raises:
        InputError: it has less than one, which is the panorama as it is.
    """
    if orbit < 1:
        raise InputError(f"an orbit of {orbit} yaws: 1 is the panorama as it is", "orbit")


def orbit_shifts(width: int, orbit: int, fit: Fit = "crop") -> tuple[int, ...]:
    """The shifts of an orbit of panoramas of a width: `k * width // orbit`, in pixels.

    Without those at which the fit, `tiles` or `ring:N`, only shows the views of others again.

    Raises:
        InputError: no yaw, or more yaws than columns.
    """
    check_orbit(orbit)
    if orbit > width:
        said = f"an orbit of {orbit} yaws: more than the {width} columns of a panorama"
        raise InputError(said, "orbit")
    turns = repeats(fit)
    again = 1 if width % math.lcm(orbit, turns) else math.gcd(orbit, turns)
    return tuple(k * width // orbit for k in range(orbit // again))


def device_plans(
    shape: tuple[int, ...],
    shifts: tuple[int, ...],
    image_config: ImageConfig,
    fit: Fit,
    chunk: int | None = None,
) -> list[AnyPlan]:
    """Plans on every device of this process, of at most `chunk` of the shifts (pixels) each.

    They are for images of a shape `[H, W]`. To be cached by whoever needs them again.
    """
    (height, width), chunk = shape, min(chunk or len(shifts), len(shifts))
    size, interpolation = image_config.size, image_config.interpolation
    plans = plan_chunks(height, width, shifts, size, chunk, fit, interpolation)
    return replicate(local_mesh(), plans)


def embed_all(
    images: Sequence[ImageFile], plans: Sequence[BatchPlan], compute: Callable[[Batch], Array]
) -> Float32[np.ndarray, "n *rest"]:
    """What `compute` makes of every image, `[N, ...]` in their order; `plans` are of all of them.

    Raises:
        InputError: an image cannot be decoded.
    """
    batches = stream_batches(images, plans, record_failures=False)
    rows, found = zip(*((b.indices, f) for b, f in one_behind(batches, compute)), strict=True)
    return np.concatenate(found)[np.argsort(np.concatenate(rows))]


def one_behind(
    batches: Iterable[Batch], compute: Callable[[Batch], Any]
) -> Iterator[tuple[Batch, Any]]:
    """Compute something from every batch, one batch behind the device, which thus never waits.

    Args:
        batches: with as many rows as the devices divide evenly.
        compute: dispatches work and returns arrays on the device, rows along their first axis.

    Yields:
        The batch and its results on the host, without those of padded rows. Batches of which
        nothing could be decoded come with None, at once.
    """
    waiting = None
    for batch in batches:
        if not batch.indices:
            yield batch, None
            continue
        computed = compute(batch)
        if waiting is not None:
            yield _fetched(*waiting)
        waiting = batch, computed
    if waiting is not None:
        yield _fetched(*waiting)


def _fetched(batch: Batch, computed: Any) -> tuple[Batch, Any]:
    rows = len(batch.indices)
    return batch, jax.tree.map(lambda values: values[:rows], jax.device_get(computed))
