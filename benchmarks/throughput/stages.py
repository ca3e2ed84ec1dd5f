"""The shift sweep as one piece of work, and each of its stages apart, to be timed.

Every function here prepares a piece of work and returns a function that does it once and returns
the seconds it took, its results on the host or complete on the device.
"""

import csv
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow.parquet as pa_parquet
from flax import nnx
from jaxtyping import Float
from PIL import Image

from benchmarks.sweep import SHIFTS, equal_shifts, prepared_sweep, prompts_of
from benchmarks.timing import Work, timed
from jclip.checkpoints import Checkpoint
from jclip.checkpoints.flops import block_products
from jclip.data.image_sets import ImageSet, open_image_set
from jclip.data.images import decode
from jclip.images import Fit, normalise, place, plan_views, shift_views
from jclip.probes.embed import TEXT_BATCH, embed_texts
from jclip.probes.scores import score_table
from jclip.probes.shift import ShiftProbe

WIDTH, HEIGHT = 1024, 512
# Enough for what happens once, such as the first touch of memory, not to count.
PRODUCT_BLOCKS = 3


def enlarged_samples(folder: Path, count: int) -> ImageSet:
    """Write `count` JPEG files of 1024 x 512 pixels into a new folder; samples repeat after twelve.

    What paper 1's panoramas (arXiv 2604.24642) cost to decode and resize, these do.
    """
    folder.mkdir()
    samples = open_image_set("samples")
    with (folder / "captions.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("file", "caption"))
        for number in range(count):
            sample = number % len(samples.images)
            image = Image.fromarray(decode(samples.images[sample]))
            enlarged = image.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
            enlarged.save(folder / f"{number}.jpg", quality=95)
            rows.writerow((f"{number}.jpg", samples.captions[sample]))
    return open_image_set(str(folder))


def sweep(
    checkpoint: Checkpoint,
    fit: Fit,
    panoramas: ImageSet,
    batch: int,
    scores: Float[np.ndarray, "n s"],
) -> Work:
    """From files to scores, written into `scores` `[N, 8]`; prompts are embedded beforehand."""
    run = prepared_sweep(checkpoint, fit, panoramas.images, prompts_of(panoramas), batch)

    def work() -> None:
        scores[:] = run(None)

    return timed(work)


def resizing(checkpoint: Checkpoint, fit: Fit, panoramas: ImageSet) -> Work:
    """Pixels on the host to normalised views on the device."""
    pixels = np.stack([decode(image) for image in panoramas.images])
    config, (height, width) = checkpoint.image_config, pixels.shape[1:3]
    shifts = equal_shifts(width)
    views_plan = plan_views(height, width, shifts, config.size, fit, config.interpolation)
    plan = jax.device_put(views_plan)

    @jax.jit
    def views(pixels, plan):
        return normalise(shift_views(pixels, plan, config.size, fit), config.mean, config.std)

    return timed(lambda: views(jax.device_put(pixels), plan))


def tower(checkpoint: Checkpoint, batch: int) -> Work:
    """Normalised images, fitted as the panoramas are, to embeddings."""
    graph, state = nnx.split(checkpoint.clip)
    config = checkpoint.image_config
    height, width = place(HEIGHT, WIDTH, config.size, config.fit).shape
    noise = np.random.default_rng(0).standard_normal((batch, height, width, 3), np.float32)
    pixels = jax.device_put(noise)

    @jax.jit
    def embed(state, pixels):
        return nnx.merge(graph, state).encode_image(pixels)

    return timed(lambda: embed(state, pixels))


def text_tower(checkpoint: Checkpoint, panoramas: ImageSet) -> Work:
    """`TEXT_BATCH` different prompts, which is what a long sweep embeds at once."""
    captions = prompts_of(panoramas)
    prompts = [f"{captions[i % len(captions)]} {i}" for i in range(TEXT_BATCH)]
    tokens = checkpoint.tokenizer(prompts)
    return timed(lambda: embed_texts(checkpoint.clip, tokens))


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

    return timed(lambda: multiply(lefts, rights)), sum(one.flops for one in shapes)


def writing(panoramas: ImageSet, fit: Fit, path: Path) -> Work:
    """Scores to a table on disk."""
    widths = [image.width for image in panoramas.images]
    probe = ShiftProbe(widths, SHIFTS, fits=[fit], views_per_step=SHIFTS)
    result = probe.empty(panoramas, "model", fit)
    return timed(lambda: pa_parquet.write_table(score_table([result]), path))
