"""Beyond paper 1's shifts: the score of a panorama whose camera is turned in every direction."""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import pyarrow as pa
from jaxtyping import Array, Bool, Float, UInt8

from jclip.distributed import local_mesh, replicate
from jclip.images import Fit, SpherePlan, flip, sphere_views
from jclip.images.fits import FitOption
from jclip.images.sphere import plan_rotations
from jclip.probes.probe import CaptionProbe
from jclip.probes.scores import Scores
from jclip.probes.shift import MIRRORED, period
from jclip.probes.subjects import Subject
from jclip.statistics.stability import ShiftStatistics


class Turn(NamedTuple):
    """How a camera is turned, about one axis; in degrees."""

    axis: str
    angle: float

    @property
    def name(self) -> str:
        """Of the column."""
        return f"{self.axis} {self.angle:g}"

    @property
    def angles(self) -> tuple[float, float, float]:
        """Yaw, pitch and roll."""
        yaw, pitch, roll = (self.angle * (self.axis == name) for name in ("yaw", "pitch", "roll"))
        return yaw, pitch, roll


def equal_turns(yaws: int, pitches: Sequence[float], rolls: Sequence[float]) -> list[Turn]:
    """The camera as it is; at equal yaws; and tilted by every pitch and roll to both sides."""
    return [
        *(Turn("yaw", 360 * k / yaws) for k in range(yaws)),
        *(
            Turn(axis, sign * angle)
            for axis, angles in (("pitch", pitches), ("roll", rolls))
            for angle in angles
            for sign in (-1, 1)
        ),
    ]


class RotationProbe(CaptionProbe[Scores]):
    """Every panorama at every turn of its camera, against its own caption.

    The first turn is none. All turns are sampled alike, so that none is sharper than another.

    Args:
        turns: columns of the results.
        fits: how a panorama becomes a square.
        mirror: whether to score the flipped panoramas too.
        prompt_prefix: put before every caption.
    """

    def __init__(
        self,
        turns: Sequence[Turn],
        *,
        fits: Sequence[FitOption],
        mirror: bool = False,
        prompt_prefix: str = "",
    ):
        super().__init__([t.name for t in turns] + [MIRRORED] * mirror, fits, prompt_prefix)
        self.turns, self.mirror = tuple(turns), mirror
        self._turned = functools.cache(_turn_plan)

    def embed(self, subject: Subject, pixels: UInt8[Array, "n h w 3"]) -> Float[Array, "n v e"]:
        """Normalised embeddings at every turn, and of the flipped panorama as one more."""
        height, width = pixels.shape[1:3]
        # One turn at a time: a plan and its panoramas are large.
        seen = [
            sphere_views(pixels, self._turned(height, width, turn))[:, 0] for turn in self.turns
        ]
        seen += [flip(seen[0])] * self.mirror
        return jnp.concatenate([self.embed_image(subject, view) for view in seen], axis=1)

    def same_views(self, fit: Fit) -> Bool[np.ndarray, " s"]:
        """Which turns show the network the same views by construction, `[S]`."""
        return np.array(
            [t.axis == "yaw" and (t.angle * period(fit)) % 360 == 0 for t in self.turns]
        )


def _turn_plan(height: int, width: int, turn: Turn) -> SpherePlan:
    return replicate(local_mesh(), plan_rotations(height, width, [turn.angles]))


def rotation_table(
    results: Sequence[Scores], statistics: Sequence[ShiftStatistics], turns: Sequence[Turn]
) -> pa.Table:
    """One row per set, model, fit and turn but the first; test columns are null without a bound."""
    rows = []
    for result, own in zip(results, statistics, strict=True):
        sign = own.corrected
        for place, index in enumerate(own.shift_index):
            tested = sign is not None and bool(sign.tested[place])
            rows.append(
                {
                    **result.named,
                    "axis": turns[index].axis,
                    "angle": turns[index].angle,
                    "n": int(own.n[place]),
                    "median_abs_d": float(own.median[place]),
                    "median_low": float(own.median_interval.low[place]),
                    "median_high": float(own.median_interval.high[place]),
                    "beta": own.reference and own.reference.beta,
                    "sign_test_holm_p": float(sign.adjusted_p[place]) if sign and tested else None,
                    "stable": bool(sign.stable[place]) if sign and tested else None,
                }
            )
    return pa.Table.from_pylist(rows)
