"""Probe B of paper 1: the CLIP score of a panorama under horizontal circular shifts."""

import dataclasses
import functools
import math
from collections.abc import Iterable, Sequence

import jax.numpy as jnp
import numpy as np
import pyarrow as pa
from jaxtyping import Array, Bool, Float, Int, UInt8

from jclip.data.image_sets import ImageSet
from jclip.distributed import local_mesh
from jclip.errors import InputError
from jclip.images import AnyPlan
from jclip.images.fits import FitOption, SeenFit
from jclip.images.sphere_fits import repeats
from jclip.probes.embed import check_orbit, embed_views, orbit_shifts
from jclip.probes.probe import CaptionProbe
from jclip.probes.scores import Scores
from jclip.probes.subjects import Subject

VIEWS_AT_ONCE = 512
"""Views per device that the network sees at a time: more do not take more memory, but rounds."""

MIRRORED = "mirrored"


@dataclasses.dataclass(kw_only=True)
class ShiftScores(Scores):
    """Scores of N panoramas of one set at S shifts, by one model under one fit.

    Attributes:
        captions: `[N]`.
        heights: `[N]`, in pixels.
        widths: `[N]`, in pixels.
        shifts: `[N, S]`, pixels of the source to the right, which differ between rows where widths
            differ; column 0 is the unshifted panorama. `values` has one more column where the
            flipped panorama was scored, too.
        orbit: equal yaws over which the embedding was averaged at every shift.
    """

    captions: tuple[str, ...]
    heights: Int[np.ndarray, " n"]
    widths: Int[np.ndarray, " n"]
    shifts: Int[np.ndarray, "n s"]
    orbit: int = 1

    @property
    def scores(self) -> Float[np.ndarray, "n s"]:
        """The scores at every shift, `[N, S]`."""
        return self.values[:, : self.shifts.shape[1]]

    @property
    def mirrored(self) -> Float[np.ndarray, " n"]:
        """Of the unshifted panorama flipped left to right, `[N]`; NaN where that was not asked."""
        if self.values.shape[1] == self.shifts.shape[1]:
            return np.full(len(self.images), np.nan, np.float32)
        return self.values[:, -1]

    @property
    def yaws(self) -> Float[np.ndarray, "n s"]:
        """The angles by which the shifts turn each panorama, `[N, S]`, in degrees."""
        return 360.0 * self.shifts / self.widths[:, None]

    def _per_image(self) -> tuple[str, ...]:
        return ("images", "captions", "heights", "widths", "shifts")

    def to_table(self) -> pa.Table:
        """One row per image and shift.

        Columns image_set, model, fit, image, caption, shift_index, shift (pixels), yaw (degrees),
        score; probability, where the model has a sigmoid; and mirrored_score, of the flipped
        panorama, where that was scored and the shift is 0.
        """
        n, s = self.shifts.shape
        mirrored = np.full((n, s), np.nan, np.float32)
        mirrored[:, 0] = self.mirrored
        own = {
            "caption": self._repeated(self.captions, s),
            "shift_index": np.tile(np.arange(s, dtype=np.int32), n),
            "shift": self.shifts.ravel().astype(np.int32),
            "yaw": self.yaws.ravel(),
        }
        return self._table(own, self.scores).append_column(
            "mirrored_score", pa.array(mirrored.ravel(), mask=np.isnan(mirrored.ravel()))
        )

    def fill(self, table: pa.Table) -> None:
        """Take in what `to_table` wrote of some images, by their names."""
        rows, shift = self._rows_of(table), table["shift_index"].to_numpy()
        self.scores[rows, shift] = table["score"].to_numpy()
        self.mirrored[rows[shift == 0]] = table["mirrored_score"].to_numpy()[shift == 0]


def shifts_by_width(
    widths: Iterable[int], count: int, pixels: Sequence[int] = (), orbit: int = 1
) -> dict[int, tuple[int, ...]]:
    """The shifts of every width of panorama, in pixels to the right, beginning with 0.

    Args:
        widths: of the panoramas, in pixels.
        count: number of equal shifts, those of paper 1: `k * width // count`, k = 0 .. count - 1.
        pixels: shifts to use instead; 0 is added, repetitions are dropped.
        orbit: the equal shifts lie within one of so many parts of the circle: at other turns the
            views of an orbit repeat.

    Raises:
        InputError: fewer than two shifts, more shifts than columns, or a shift outside the width.
    """
    if not pixels and count < 2:
        raise InputError(f"{count} shifts: 0 is one of them, so at least 2")
    check_orbit(orbit)
    wanted = tuple(dict.fromkeys((0, *pixels)))
    if pixels and len(wanted) < 2:
        raise InputError("shift of 0 pixels alone: nothing to compare the panorama with")
    found = {}
    for width in sorted(set(widths)):
        if outside := [s for s in wanted if not 0 <= s < width]:
            raise InputError(f"shift of {outside[0]} pixels: outside a panorama of width {width}")
        if not pixels and count * orbit > width:
            of_orbit = f" within an orbit of {orbit} yaws" if orbit > 1 else ""
            raise InputError(
                f"{count} shifts{of_orbit}: more than the {width} columns of a panorama"
            )
        parts = count * orbit
        found[width] = wanted if pixels else tuple(k * width // parts for k in range(count))
    return found


def period(fit: SeenFit, orbit: int = 1) -> int:
    """At how many equal turns the network sees the same views by construction.

    At those of an orbit, and at those that swap the views of `tiles` or `ring:N`.
    """
    return math.lcm(repeats(fit), orbit)


def same_views(result: ShiftScores) -> Bool[np.ndarray, " s"]:
    """Which shifts show the network the same views by construction, `[S]`.

    The zero shift, and those that swap the views with each other, see `period`.
    """
    turns = period(result.fit, result.orbit)
    return np.all(result.shifts * turns % result.widths[:, None] == 0, axis=0)


class ShiftProbe(CaptionProbe[ShiftScores]):
    """Every panorama at every shift, against its own caption.

    Args:
        widths: of all panoramas that will be scored, in pixels.
        count: number of equal shifts.
        pixels: shifts to use instead; see `shifts_by_width`.
        fits: how a panorama becomes a square.
        views_per_step: the most shifts of one panorama that one program computes; longer lists go
            in chunks that share one compilation, so that memory does not depend on their number.
        mirror: whether to score the flipped panoramas too.
        prompt_prefix: put before every caption.
        orbit: equal yaws over which the embedding is averaged at every shift; 1 is none. The equal
            shifts then lie between two of them.

    Raises:
        InputError: see `shifts_by_width`.
    """

    def __init__(
        self,
        widths: Iterable[int],
        count: int,
        pixels: Sequence[int] = (),
        *,
        fits: Sequence[FitOption],
        views_per_step: int,
        mirror: bool = False,
        prompt_prefix: str = "",
        orbit: int = 1,
    ):
        self.shifts, self.mirror = shifts_by_width(widths, count, pixels, orbit), mirror
        indices = [str(k) for k in range(len(next(iter(self.shifts.values()))))]
        super().__init__(indices + [MIRRORED] * mirror, fits, prompt_prefix, orbit)
        self._views_per_step = views_per_step

    def empty(self, opened: ImageSet, model: str, fit: SeenFit) -> ShiftScores:
        """One result still to be filled."""
        heights, widths = np.array([(image.height, image.width) for image in opened.images]).T
        return ShiftScores.empty(
            opened,
            model,
            fit,
            self.columns,
            captions=opened.captions,
            heights=heights,
            widths=widths,
            shifts=np.array([self.shifts[width] for width in widths.tolist()]),
            orbit=self.orbit,
        )

    def picture_views(
        self, pixels: UInt8[np.ndarray, "h w 3"]
    ) -> dict[str, UInt8[np.ndarray, "h w 3"]]:
        """The whole panorama at every shift, and flipped as one more."""
        turned = [np.roll(pixels, shift, axis=1) for shift in self.shifts[pixels.shape[1]]]
        return dict(zip(self.columns, [*turned, *[pixels[:, ::-1]] * self.mirror], strict=True))

    def embed(self, subject: Subject, pixels: UInt8[Array, "n h w 3"]) -> Float[Array, "n v e"]:
        """Normalised embeddings of every shift, and of the flipped panorama as one more."""
        config, fit, shape = subject.image_config, subject.fit, pixels.shape[1:3]
        shifts, yaws = self.shifts[shape[1]], orbit_shifts(shape[1], self.orbit, fit)
        views = tuple((shift + yaw) % shape[1] for shift in shifts for yaw in yaws)
        # Whole orbits.
        chunk = max(self._views_per_step // len(yaws), 1) * len(yaws)
        chunks = self._plans(shape, views, config, fit, chunk)
        at_once = shifts_that_fit(len(pixels) // local_mesh().size, chunks[0])
        embed = functools.partial(
            embed_views,
            *subject.network,
            pixels,
            image_config=config,
            fit=fit,
            shifts_at_once=at_once,
            orbit=len(yaws),
        )
        unshifted = self._plans(shape, yaws, config, fit)[0] if self.mirror else None
        # None is passed where it is the default, too: without it the program is another one.
        mirrors = [None] * (len(chunks) - 1) + [unshifted]
        found = jnp.concatenate(list(map(embed, chunks, mirrors)), axis=1)
        # The last chunk was filled up with shifts; the mirror image is the last view of all.
        wanted = [*range(len(shifts)), *[found.shape[1] - 1] * self.mirror]
        return found[:, np.array(wanted)]


def shifts_that_fit(images: int, plan: AnyPlan) -> int:
    """How many shifts of a plan the network sees at a time, with so many `images` per device.

    The most that divide its shifts evenly and make at most `VIEWS_AT_ONCE` views, or else 1.
    """
    shifts, tiles = plan.views
    fitting = [k for k in range(1, shifts + 1) if images * k * tiles <= VIEWS_AT_ONCE]
    return max((k for k in fitting if shifts % k == 0), default=1)
