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

__all__ = [
    "CLIP_MEAN",
    "CLIP_STD",
    "Fit",
    "Interpolation",
    "Patches",
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
]
