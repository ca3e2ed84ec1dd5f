"""The shift sweep as one piece of work, and each of its stages apart, to be timed.

Every function here prepares a piece of work and returns a function that does it once and returns
the seconds it took, its results on the host or complete on the device.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow.parquet as pa_parquet
from flax import nnx
from jaxtyping import Float

from jclip.checkpoints import Checkpoint
from jclip.data.image_sets import ImageSet
from jclip.data.images import decode
from jclip.data.pipeline import plan_batches, stream_batches
from jclip.images import Fit, normalise, plan_views, shift_views
from jclip.models.products import block_products
from jclip.probes.embeddings import TEXT_BATCH, embed_texts
from jclip.probes.shift import empty_scores, shifts_by_width, stream_scores
from jclip.probes.shift_table import scores_table
from jclip.probes.subjects import make_subjects

SHIFTS = 8
# Enough for what happens once, such as the first touch of memory, not to count.
PRODUCT_BLOCKS = 3

Work = Callable[[], float]


def _timed(work: Callable[[], Any]) -> Work:
    def seconds() -> float:
        begun = time.perf_counter()
        jax.block_until_ready(work())
        return time.perf_counter() - begun

    return seconds


def sweep(
    checkpoint: Checkpoint,
    fit: Fit,
    panoramas: ImageSet,
    batch: int,
    scores: Float[np.ndarray, "n s"],
) -> Work:
    """From files to scores, which are written into `scores`; prompts are embedded beforehand.

    Args:
        checkpoint: the model.
        fit: how a panorama becomes a square.
        panoramas: N of one size.
        batch: views per step of the network.
        scores: `[N, 8]`.
    """
    images = panoramas.images
    shifts = shifts_by_width([image.width for image in images], SHIFTS)
    subjects, _ = make_subjects(checkpoint, [fit], prompts_of(panoramas))

    def work() -> None:
        plans = plan_batches(images, max(1, batch // SHIFTS), jax.local_device_count())
        batches = stream_batches(images, plans, record_failures=False)
        for done, found in stream_scores(batches, subjects, shifts, batch):
            scores[list(done.indices)] = found[0]

    return _timed(work)


def decoding(panoramas: ImageSet) -> Work:
    """Files to pixels, one after the other on one core."""
    return _timed(lambda: [decode(image) for image in panoramas.images])


def resizing(checkpoint: Checkpoint, fit: Fit, panoramas: ImageSet) -> Work:
    """Pixels on the host to normalised views on the device."""
    pixels = np.stack([decode(image) for image in panoramas.images])
    config, (height, width) = checkpoint.image_config, pixels.shape[1:3]
    shifts = shifts_by_width([width], SHIFTS)[width]
    plan = jax.device_put(plan_views(height, width, shifts, config.size, fit, config.interpolation))

    @jax.jit
    def views(pixels, plan):
        return normalise(shift_views(pixels, plan, config.size, fit), config.mean, config.std)

    return _timed(lambda: views(jax.device_put(pixels), plan))


def tower(checkpoint: Checkpoint, batch: int) -> Work:
    """Normalised images to embeddings."""
    graph, state = nnx.split(checkpoint.clip)
    size = checkpoint.image_config.size
    noise = np.random.default_rng(0).standard_normal((batch, size, size, 3), np.float32)
    pixels = jax.device_put(noise)

    @jax.jit
    def embed(state, pixels):
        return nnx.merge(graph, state).encode_image(pixels)

    return _timed(lambda: embed(state, pixels))


def text_tower(checkpoint: Checkpoint, panoramas: ImageSet) -> Work:
    """`TEXT_BATCH` different prompts, which is what a long sweep embeds at once."""
    captions = prompts_of(panoramas)
    prompts = [f"{captions[i % len(captions)]} {i}" for i in range(TEXT_BATCH)]
    tokens = checkpoint.tokenizer(prompts)
    return _timed(lambda: embed_texts(checkpoint.clip, tokens))


def prompts_of(panoramas: ImageSet) -> list[str]:
    """As the papers' scripts write them."""
    return [f"This is {caption}" for caption in panoramas.captions]


def products(checkpoint: Checkpoint, batch: int, dtype) -> tuple[Work, int]:
    """Nothing but the dense layers' products of an image tower, one after the other; and its FLOPs.

    Operands are of `dtype`, results float32, as in the tower; as many blocks as `PRODUCT_BLOCKS`.
    """
    vision = checkpoint.clip.config.vision
    shapes = block_products(vision, batch * vision.tokens) * PRODUCT_BLOCKS
    rng = np.random.default_rng(0)

    def drawn(rows: int, columns: int) -> jax.Array:
        return jax.device_put(rng.standard_normal((rows, columns), np.float32).astype(dtype))

    lefts = {one.inner: drawn(one.rows, one.inner) for one in shapes}
    rights = [drawn(one.inner, one.columns) for one in shapes]

    @jax.jit
    def multiply(lefts, rights):
        corners = []
        for right in rights:
            with jax.default_matmul_precision("highest"):
                product = jnp.matmul(lefts[len(right)], right, preferred_element_type=jnp.float32)
            # Every product is computed whole, after the one before, into memory used before.
            lefts, product = jax.lax.optimization_barrier((lefts, product))
            corners.append(product[:1, :1])
        return corners

    return _timed(lambda: multiply(lefts, rights)), sum(one.flops for one in shapes)


def writing(panoramas: ImageSet, fit: Fit, path: Path) -> Work:
    """Scores to a table on disk."""
    shifts = shifts_by_width([image.width for image in panoramas.images], SHIFTS)
    result = empty_scores("model", fit, panoramas, shifts)
    return _timed(lambda: pa_parquet.write_table(scores_table([result]), path))
