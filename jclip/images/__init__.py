"""Images on the device: views of panoramas and CLIP's preprocessing, bit-equal to Pillow."""

from jclip.images.geometry import Fit, Patches, Placement, Size, place
from jclip.images.panorama import (
    ViewPlan,
    circular_shift,
    flip,
    plan_chunks,
    plan_views,
    shift_views,
    yaw_degrees,
)
from jclip.images.preprocess import CLIP_MEAN, CLIP_STD, normalise, preprocess
from jclip.images.resample import Interpolation

__all__ = [
    "CLIP_MEAN",
    "CLIP_STD",
    "Fit",
    "Interpolation",
    "Patches",
    "Placement",
    "Size",
    "ViewPlan",
    "circular_shift",
    "flip",
    "normalise",
    "place",
    "plan_chunks",
    "plan_views",
    "preprocess",
    "shift_views",
    "yaw_degrees",
]
