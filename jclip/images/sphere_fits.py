"""Fits of panoramas that show the sphere in perspective: `cube`, `ring:N` and `tangent:N`.

The views are embedded each, and averaged. A panorama that is shifted is turned: its views are those
of its columns moved around.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, UInt8

from jclip.errors import InputError
from jclip.images.geometry import Fit, Patches, Size
from jclip.images.sphere import CUBE, SphereView, plan_sphere, ring, sphere_views, tangent
from jclip.images.sphere_samples import SpherePlan

_COLUMNS_PER_SAMPLE = 0.75
_SAMPLES_AT_MOST = 4


def sphere_cameras(fit: Any) -> tuple[SphereView, ...]:
    """The views of a fit that shows the sphere; none of any other fit.

    Raises:
        InputError: `ring` or `tangent` without a number of views that can be.
    """
    if fit == "cube":
        return CUBE
    kind, colon, count = fit.partition(":") if isinstance(fit, str) else ("", "", "")
    if kind not in ("ring", "tangent"):
        return ()
    if not (colon and count.isascii() and count.isdigit() and int(count)):
        raise InputError(f"fit {fit!r}: {kind} needs its number of views, as {kind}:8")
    return ring(int(count)) if kind == "ring" else tangent(int(count))


def repeats(fit: Fit) -> int:
    """At how many equal turns a panorama under a fit has the same views, in another order."""
    if fit.startswith("ring:"):
        return len(sphere_cameras(fit))
    return 2 if fit == "tiles" else 1


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TurnPlan:
    """What `turned_views` needs to know about a list of shifts; made by `plan_turns`.

    A pytree that passes through `jax.jit`.

    Attributes:
        shifts: `[S] int32`, in pixels, to the right.
        sphere: The views of a panorama that is not shifted.
        made_for: Height and width of the panoramas, size and fit of the views.
    """

    shifts: Any
    sphere: SpherePlan
    made_for: tuple[int, int, Size, Fit] = dataclasses.field(metadata={"static": True})

    @property
    def views(self) -> tuple[int, int]:
        """How many shifts, and views at each."""
        return len(self.shifts), self.sphere.first.shape[0]


def plan_turns(height: int, width: int, shifts: Sequence[int], size: Size, fit: Fit) -> TurnPlan:
    """Plan the views of panoramas of `height x width` pixels at every shift. Host side.

    As many samples as the panorama has columns for them, 4 x 4 per pixel at most: one for 0.75 of a
    column in the middle of a view.

    Raises:
        InputError: the panoramas are not 2:1, or the fit has an impossible number of views.
    """
    cameras, side = sphere_cameras(fit), size.square if isinstance(size, Patches) else size
    step = 2 * math.tan(math.radians(cameras[0].fov) / 2) / side * width / (2 * math.pi)
    samples = min(max(math.ceil(step / _COLUMNS_PER_SAMPLE), 1), _SAMPLES_AT_MOST)
    plan = plan_sphere(height, width, cameras, side, samples)
    return TurnPlan(np.asarray(shifts, np.int32), plan, (height, width, size, fit))


def turned_views(
    panoramas: UInt8[Array, "n height width 3"], plan: TurnPlan
) -> UInt8[Array, "n s t size size 3"]:
    """The views of a batch of panoramas at every shift of a plan; one shift after the other."""
    seen = jax.lax.map(
        lambda shift: sphere_views(jnp.roll(panoramas, shift, axis=2), plan.sphere), plan.shifts
    )
    return jnp.moveaxis(seen, 0, 1)
