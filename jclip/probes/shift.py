"""Probe B of paper 1: the CLIP score of a panorama under horizontal circular shifts."""

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, UInt8

from jclip.checkpoints import ImageConfig
from jclip.data.images import ImageFile
from jclip.data.pipeline import Batch
from jclip.errors import InputError
from jclip.images import Fit, ViewPlan, normalise, plan_chunks, shift_views
from jclip.probes.embeddings import normalised
from jclip.probes.scores import ShiftScores
from jclip.probes.subjects import Subject

__all__ = [
    "empty_scores",
    "same_views",
    "score_shifts",
    "shifts_by_width",
    "stream_scores",
]


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
    model: str,
    fit: Fit,
    images: Sequence[ImageFile],
    captions: Sequence[str],
    shifts: Mapping[int, Sequence[int]],
) -> ShiftScores:
    """A result still to be filled: every score is NaN."""
    per_image = np.array([shifts[image.width] for image in images])
    return ShiftScores(
        model=model,
        fit=fit,
        images=tuple(image.name for image in images),
        captions=tuple(captions),
        widths=np.array([image.width for image in images]),
        shifts=per_image,
        scores=np.full(per_image.shape, np.nan, np.float32),
    )


def same_views(result: ShiftScores) -> Bool[np.ndarray, " s"]:
    """Which shifts show the network the same views by construction, `[S]`.

    The zero shift, and under `tiles` those that swap one tile with the other, half a turn.
    """
    turns = 2 if result.fit == "tiles" else 1
    return np.all(result.shifts * turns % result.widths[:, None] == 0, axis=0)


@functools.partial(jax.jit, static_argnames=("graph", "image_config", "fit"))
def score_shifts(
    graph: nnx.GraphDef,
    state: nnx.State,
    panoramas: UInt8[Array, "n h w 3"],
    plan: ViewPlan,
    texts: Float[Array, "n e"],
    *,
    image_config: ImageConfig,
    fit: Fit,
) -> Float[Array, "n s"]:
    """From uint8 panoramas to scores, 100 x cosine, in one program.

    Args:
        graph: of the CLIP, from `nnx.split`.
        state: its parameters.
        panoramas: `[N, H, W, 3] uint8`.
        plan: the S shifts, from `plan_views`; another plan of as many shifts does not recompile.
        texts: normalised text embeddings `[N, E]`, row by row those of the panoramas.
        image_config: size, mean and std of the model's input.
        fit: how a panorama becomes a square. The embeddings of the two `tiles` are normalised,
            averaged and normalised again.
    """
    views = shift_views(panoramas, plan, image_config.size, fit)
    n, s, tiles = views.shape[:3]
    # Shifts are folded into the batch: under vmap, fused attention with a shared mask has failed.
    pixels = normalise(views.reshape(-1, *views.shape[3:]), image_config.mean, image_config.std)
    embeddings = normalised(nnx.merge(graph, state).encode_image(pixels))
    embeddings = embeddings.reshape(n, s, tiles, -1)
    if tiles > 1:
        embeddings = normalised(embeddings.mean(axis=2, keepdims=True))
    return 100 * jnp.einsum("nse,ne->ns", embeddings[:, :, 0], texts, precision="highest")


def stream_scores(
    batches: Iterable[Batch],
    subjects: Sequence[Subject],
    shifts: Mapping[int, Sequence[int]],
    views: int,
) -> Iterator[tuple[Batch, Float[np.ndarray, "subjects n s"]]]:
    """Score every batch by every subject at every shift; each batch crosses to the device once.

    Args:
        batches: decoded panoramas.
        subjects: models and fits.
        shifts: per width, the shifts in pixels.
        views: the most shifts that one program computes; longer lists go in chunks that share one
            compilation, so that memory does not depend on their number.

    Yields:
        The batch and its scores, one batch behind the device so that it never waits for the host.
    """
    plans = _DevicePlans()
    waiting = None
    for batch in batches:
        if not batch.indices:
            yield batch, np.zeros((len(subjects), 0, 0), np.float32)
            continue
        pixels = jax.device_put(batch.pixels)
        rows = np.resize(batch.indices, len(pixels))
        listed = tuple(shifts[pixels.shape[2]])
        scores = [
            score_shifts(
                subject.graph,
                subject.state,
                pixels,
                plan,
                subject.texts[rows],
                image_config=subject.image_config,
                fit=subject.fit,
            )
            for subject in subjects
            for plan in plans(pixels.shape[1:3], listed, views, subject)
        ]
        if waiting is not None:
            yield _collect(*waiting)
        waiting = batch, scores, len(subjects), len(listed)
    if waiting is not None:
        yield _collect(*waiting)


def _collect(batch: Batch, scores: list[Array], subjects: int, shifts: int):
    """Bring the chunks of all subjects to the host, without padded rows and shifts."""
    fetched = np.stack(jax.device_get(scores))
    chunks, rows, width = fetched.shape
    joined = fetched.reshape(subjects, chunks // subjects, rows, width).swapaxes(1, 2)
    joined = joined.reshape(subjects, rows, -1)
    return batch, joined[:, : len(batch.indices), :shifts]


class _DevicePlans:
    """Plans on the device, made once per size of panorama and of model input."""

    def __init__(self):
        self._made: dict[tuple, list[ViewPlan]] = {}

    def __call__(self, shape, shifts: tuple[int, ...], views: int, subject: Subject):
        height, width = shape
        config = subject.image_config
        key = (shape, shifts, config.size, config.interpolation, subject.fit)
        if key not in self._made:
            self._made[key] = jax.device_put(
                plan_chunks(
                    height,
                    width,
                    shifts,
                    config.size,
                    min(views, len(shifts)),
                    subject.fit,
                    config.interpolation,
                )
            )
        return self._made[key]
