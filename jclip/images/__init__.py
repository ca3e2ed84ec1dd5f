"""Images on the device: views of panoramas and CLIP's preprocessing, bit-equal to Pillow."""

from jclip.images.geometry import Fit, Patches, Size, place
from jclip.images.panorama import (
    ViewPlan,
    circular_shift,
    flip,
    plan_chunks,
    plan_views,
    shift_views,
)
from jclip.images.preprocess import CLIP_MEAN, CLIP_STD, normalise, preprocess
from jclip.images.resample import Interpolation
from jclip.images.sphere import (
    CUBE,
    SpherePlan,
    SphereView,
    plan_sphere,
    ring,
    sphere_views,
    tangent,
)

__all__ = [
    "CLIP_MEAN",
    "CLIP_STD",
    "CUBE",
    "Fit",
    "Interpolation",
    "Patches",
    "Size",
    "SpherePlan",
    "SphereView",
    "ViewPlan",
    "circular_shift",
    "flip",
    "normalise",
    "place",
    "plan_chunks",
    "plan_sphere",
    "plan_views",
    "preprocess",
    "ring",
    "shift_views",
    "sphere_views",
    "tangent",
]
