"""Probe B of paper 1: the CLIP score of a panorama under horizontal circular shifts."""

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, UInt8

from jclip.checkpoints import ImageConfig
from jclip.data.image_sets import ImageSet
from jclip.data.pipeline import Batch
from jclip.distributed import local_mesh, replicate, shard_batch
from jclip.errors import InputError
from jclip.images import Fit, ViewPlan, flip, normalise, plan_chunks, plan_views, shift_views
from jclip.models.unit_norm import normalised
from jclip.probes.scores import ShiftScores
from jclip.probes.subjects import Subject

VIEWS_AT_ONCE = 512
"""Views per device that the network sees at a time: more do not take more memory, but rounds."""


def shifts_by_width(
    widths: Iterable[int], count: int, pixels: Sequence[int] = ()
) -> dict[int, tuple[int, ...]]:
    """The shifts of every width of panorama, in pixels to the right, beginning with 0.

    Args:
        widths: of the panoramas, in pixels.
        count: number of equal shifts, those of paper 1: `k * width // count`, k = 0 .. count - 1.
        pixels: shifts to use instead; 0 is added, repetitions are dropped.

    Raises:
        InputError: fewer than two shifts, more shifts than columns, or a shift outside the width.
    """
    if pixels:
        wanted = tuple(dict.fromkeys((0, *pixels)))
        return {width: _inside(width, wanted) for width in sorted(set(widths))}
    if count < 2:
        raise InputError(f"--shifts {count}: 0 is one of them, so at least 2")
    return {width: _equal_shifts(width, count) for width in sorted(set(widths))}


def _inside(width: int, shifts: tuple[int, ...]) -> tuple[int, ...]:
    outside = [s for s in shifts if not 0 <= s < width]
    if outside:
        raise InputError(f"shift of {outside[0]} pixels: outside a panorama of width {width}")
    if len(shifts) < 2:
        raise InputError("shift of 0 pixels alone: nothing to compare the panorama with")
    return shifts


def _equal_shifts(width: int, count: int) -> tuple[int, ...]:
    if count > width:
        raise InputError(f"{count} shifts: more than the {width} columns of a panorama")
    return tuple(k * width // count for k in range(count))


def empty_scores(
    model: str, fit: Fit, image_set: ImageSet, shifts: Mapping[int, Sequence[int]]
) -> ShiftScores:
    """A result still to be filled: every score is NaN."""
    widths = np.array([image.width for image in image_set.images])
    per_image = np.array([shifts[width] for width in widths.tolist()])
    return ShiftScores(
        image_set=image_set.name,
        model=model,
        fit=fit,
        images=tuple(image.name for image in image_set.images),
        captions=image_set.captions,
        heights=np.array([image.height for image in image_set.images]),
        widths=widths,
        shifts=per_image,
        scores=np.full(per_image.shape, np.nan, np.float32),
        mirrored=np.full(len(widths), np.nan, np.float32),
    )


def same_views(result: ShiftScores) -> Bool[np.ndarray, " s"]:
    """Which shifts show the network the same views by construction, `[S]`.

    The zero shift, and under `tiles` those that swap one tile with the other, half a turn.
    """
    turns = 2 if result.fit == "tiles" else 1
    return np.all(result.shifts * turns % result.widths[:, None] == 0, axis=0)


def embed_shifts(
    graph: nnx.GraphDef,
    state: nnx.State,
    images: UInt8[Array, "n h w 3"],
    plan: ViewPlan,
    *,
    image_config: ImageConfig,
    fit: Fit,
    shifts_at_once: int | None = None,
) -> Float[Array, "n s e"]:
    """From uint8 images to normalised embeddings at every shift of the plan; to be jitted.

    The embeddings of the two `tiles` are normalised, averaged and normalised again. The network
    sees `shifts_at_once` of the S shifts at a time, a divisor of S; None: all of them.
    """
    views = shift_views(images, plan, image_config.size, fit)

    def embed(views):
        n, s, tiles = views.shape[:3]
        # Shifts are folded into the batch: under vmap, fused attention with a shared mask failed.
        pixels = normalise(views.reshape(-1, *views.shape[3:]), image_config.mean, image_config.std)
        embeddings = normalised(nnx.merge(graph, state).encode_image(pixels))
        embeddings = embeddings.reshape(n, s, tiles, -1)
        if tiles > 1:
            embeddings = normalised(embeddings.mean(axis=2, keepdims=True))
        return embeddings[:, :, 0]

    n, s = views.shape[:2]
    if shifts_at_once is None or shifts_at_once == s:
        return embed(views)
    # Cut along shifts, not along images: these are split over devices, and would have to move.
    parts = jnp.moveaxis(views.reshape(n, -1, shifts_at_once, *views.shape[2:]), 1, 0)
    return jnp.moveaxis(jax.lax.map(embed, parts), 0, 1).reshape(n, s, -1)


@functools.partial(jax.jit, static_argnames=("graph", "image_config", "fit", "shifts_at_once"))
def score_shifts(
    graph: nnx.GraphDef,
    state: nnx.State,
    panoramas: UInt8[Array, "n h w 3"],
    plan: ViewPlan,
    texts: Float[Array, "n e"],
    mirror_plan: ViewPlan | None = None,
    *,
    image_config: ImageConfig,
    fit: Fit,
    shifts_at_once: int | None = None,
) -> tuple[Float[Array, "n s"], Float[Array, " n"] | None]:
    """From uint8 panoramas to scores, 100 x cosine, in one program.

    Args:
        graph: of the CLIP, from `nnx.split`.
        state: its parameters.
        panoramas: `[N, H, W, 3] uint8`.
        plan: the S shifts, from `plan_views`; another plan of as many shifts does not recompile.
        texts: normalised text embeddings `[N, E]`, row by row those of the panoramas.
        mirror_plan: the plan of no shift, for scores of the panoramas flipped left to right too.
        image_config: size, mean and std of the model's input.
        fit: how a panorama becomes a square.
        shifts_at_once: the network sees so many at a time, of `shifts_that_fit`; None: all.

    Returns:
        Scores at every shift `[N, S]`, and of the flipped panoramas `[N]`, None without a plan.
    """

    def score(images, views, at_once):
        found = embed_shifts(
            graph,
            state,
            images,
            views,
            image_config=image_config,
            fit=fit,
            shifts_at_once=at_once,
        )
        return 100 * jnp.einsum("nse,ne->ns", found, texts, precision="highest")

    scores = score(panoramas, plan, shifts_at_once)
    if mirror_plan is None:
        return scores, None
    return scores, score(flip(panoramas), mirror_plan, None)[:, 0]


def shifts_that_fit(images: int, plan: ViewPlan) -> int:
    """How many shifts of a plan the network sees at a time, with so many `images` per device.

    The most that divide its shifts evenly and make at most `VIEWS_AT_ONCE` views, or else 1.
    """
    shifts, tiles = plan.picks.shape[:2]
    fitting = [k for k in range(1, shifts + 1) if images * k * tiles <= VIEWS_AT_ONCE]
    return max((k for k in fitting if shifts % k == 0), default=1)


def stream_scores(
    batches: Iterable[Batch],
    subjects: Sequence[Subject],
    shifts: Mapping[int, Sequence[int]],
    views: int,
    *,
    mirror: bool = False,
) -> Iterator[tuple[Batch, Float[np.ndarray, "subjects n s"]]]:
    """Score every batch by every subject at every shift; each panorama crosses to a device once.

    Batches are split over the devices of this process, which compute without talking.

    Args:
        batches: decoded panoramas, as many in each as the devices divide evenly.
        subjects: models and fits.
        shifts: per width, the shifts in pixels.
        views: the most shifts of one panorama that one program computes; longer lists go in chunks
            that share one compilation, so that memory does not depend on their number.
        mirror: whether to score the flipped panoramas too, as one more column behind the shifts.

    Yields:
        The batch and its scores, one batch behind the device so that it never waits for the host.
    """
    plans, mesh = DevicePlans(), local_mesh()
    waiting = None
    for batch in batches:
        if not batch.indices:
            yield batch, np.zeros((len(subjects), 0, 0), np.float32)
            continue
        pixels = shard_batch(mesh, batch.pixels)
        rows = np.resize(batch.indices, len(pixels))
        listed = tuple(shifts[pixels.shape[2]])
        scores = [
            _score_chunks(
                subject,
                pixels,
                shard_batch(mesh, subject.texts[rows]),
                plans(pixels.shape[1:3], listed, views, subject),
                mirror,
            )
            for subject in subjects
        ]
        if waiting is not None:
            yield _collect(*waiting)
        waiting = batch, scores, len(listed)
    if waiting is not None:
        yield _collect(*waiting)


def _score_chunks(subject: Subject, pixels, texts, plans, mirror: bool):
    """One program per chunk of shifts; only the first also scores the flipped panoramas."""
    chunks, unshifted = plans
    at_once = shifts_that_fit(len(pixels) // local_mesh().size, chunks[0])
    return [
        score_shifts(
            subject.graph,
            subject.state,
            pixels,
            plan,
            texts,
            unshifted if mirror and number == 0 else None,
            image_config=subject.image_config,
            fit=subject.fit,
            shifts_at_once=at_once,
        )
        for number, plan in enumerate(chunks)
    ]


def _collect(batch: Batch, scores, shifts: int):
    """Bring the chunks of all subjects to the host, without padded rows and shifts."""
    rows = len(batch.indices)
    joined = []
    for chunks in jax.device_get(scores):
        columns = np.concatenate([chunk for chunk, _ in chunks], axis=1)[:rows, :shifts]
        mirrored = chunks[0][1]
        if mirrored is not None:
            columns = np.column_stack([columns, mirrored[:rows]])
        joined.append(columns)
    return batch, np.stack(joined)


class DevicePlans:
    """Plans on every device, made once per size of image and of model input."""

    def __init__(self):
        self._made: dict[tuple, tuple[list[ViewPlan], ViewPlan]] = {}

    def __call__(
        self, shape: tuple[int, int], shifts: tuple[int, ...], views: int, subject: Subject
    ) -> tuple[list[ViewPlan], ViewPlan]:
        """Chunks of at most `views` shifts (pixels) for `[H, W]` images, and the plan of none."""
        height, width = shape
        config = subject.image_config
        key = (shape, shifts, config.size, config.interpolation, subject.fit)
        if key not in self._made:
            size, most = config.size, min(views, len(shifts))
            rest = subject.fit, config.interpolation
            self._made[key] = replicate(
                local_mesh(),
                (
                    plan_chunks(height, width, shifts, size, most, *rest),
                    plan_views(height, width, (0,), size, *rest),
                ),
            )
        return self._made[key]
