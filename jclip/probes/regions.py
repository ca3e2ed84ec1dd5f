"""Embeddings of boxes as regions of the map of a whole picture, which is embedded once."""

import functools
from collections.abc import Iterable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Float32, UInt8

from jclip.checkpoints import ImageConfig
from jclip.data.pipeline import Batch
from jclip.data.region_inputs import RegionInputs
from jclip.distributed import local_mesh, shard_batch
from jclip.images import normalise
from jclip.models import CLIP
from jclip.models.config import CLIPConfig, TextKind
from jclip.probes.embed import Network, one_behind, split_network


@functools.partial(jax.jit, static_argnames=("graph", "image_config"))
def embed_maps(
    graph: nnx.GraphDef,
    state: nnx.State,
    squares: UInt8[Array, "n h w 3"],
    *,
    image_config: ImageConfig,
) -> Float[Array, "n rows columns e"]:
    """Features of all patches of pictures that the tower takes as they are, not normalised."""
    pixels = normalise(squares, image_config.mean, image_config.std)
    return nnx.merge(graph, state).encode_dense(pixels)


# A program of its own: another number of boxes must not compile the tower anew.
@jax.jit
def pool_regions(
    maps: Float[Array, "n rows columns e"],
    y: Float[Array | np.ndarray, "n b rows"],
    x: Float[Array | np.ndarray, "n b columns"],
) -> Float[Array, "n b e"]:
    """Regions of maps by the weights of boxes (`jclip.images.regions`), not normalised."""
    weights = (jnp.asarray(y)[..., None] * jnp.asarray(x)[..., None, :]).reshape(*y.shape[:2], -1)
    flat = maps.reshape(len(maps), -1, maps.shape[-1])
    return jnp.einsum("nbp,npe->nbe", weights, flat, precision="highest")


def stream_region_embeddings(
    batches: Iterable[Batch], inputs: RegionInputs, clip: CLIP, image_config: ImageConfig
) -> Iterator[tuple[Batch, Float[np.ndarray, "n b e"] | None]]:
    """Embeddings, not normalised, of all boxes of batches of pictures.

    Yields:
        The batch and an embedding for each box of each picture, in the order of `inputs.boxes`,
        then what is none; one batch behind the device.
    """
    network = split_network(clip)
    return one_behind(batches, lambda batch: embed_regions(network, batch, inputs, image_config))


def embed_regions(
    network: Network, batch: Batch, inputs: RegionInputs, image_config: ImageConfig
) -> Float[Array, "n b e"]:
    """Embeddings, not normalised, of all boxes of a batch of pictures, and zeros where none is."""
    mesh = local_mesh()
    maps = embed_maps(*network, shard_batch(mesh, batch.pixels), image_config=image_config)
    weights = inputs.padded(len(batch.pixels), batch.indices)
    return pool_regions(maps, *(shard_batch(mesh, axis) for axis in weights))


def text_kind(config: CLIPConfig, protocol: str) -> TextKind:
    """Which kind of text a caption of a box is for a network that tells them apart.

    FG-CLIP 2 has a projection for what is compared with regions.
    """
    own = config.text.long is not None and config.text.long.box
    return "box" if own and protocol == "roi" else "short"


def region_dot(images: Float[Array, "n d"], texts: Float[Array, "n k d"]) -> Float[Array, "n k"]:
    """Products of regions as they are with texts of length 1; all 0 for a region of zeros.

    Such are none but by a grid that is not the tower's.
    """
    return _products(images, texts)


def region_cosine(images: Float[Array, "n d"], texts: Float[Array, "n k d"]) -> Float[Array, "n k"]:
    """The cosine, which is 0 for a region of zeros."""
    length = jnp.linalg.norm(images, axis=-1, keepdims=True)
    return _products(images / jnp.where(length > 0, length, 1), texts)


def _products(images, texts):
    units = texts / jnp.linalg.norm(texts, axis=-1, keepdims=True)
    # Summed in one order for every caption, so that equal captions tie.
    return jnp.sum(images[:, None] * units, axis=-1)


def saturated(scores: Float32[np.ndarray, "n m"]) -> Float32[np.ndarray, "n m"]:
    """The softmax of 100 times the scores, in float32: near ties can become ties.

    NaN, where there is no caption, stays.
    """
    logits = np.float32(100) * scores
    powers = np.exp(logits - np.nanmax(logits, axis=1, keepdims=True))
    return powers / np.nansum(powers, axis=1, keepdims=True)
