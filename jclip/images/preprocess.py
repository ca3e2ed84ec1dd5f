"""CLIP's image preprocessing on the device: fit, resize as Pillow does, normalise."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float32, UInt8

from jclip.errors import InputError
from jclip.images.arguments import channel_values, check_pixels
from jclip.images.geometry import Fit, Size
from jclip.images.panorama import plan_views, shift_views
from jclip.images.resample import Interpolation
from jclip.images.sphere_fits import sphere_cameras

# Mean and standard deviation of the OpenAI training images, which most CLIP checkpoints keep.
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


def _check_channels(mean: Any, std: Any) -> None:
    for name, values in (("mean", mean), ("std", std)):
        if not isinstance(values, Tracer):
            channel_values(name, values)
        elif values.shape != (3,):
            raise ValueError(f"{name}: shape {values.shape}, not [3]")


def normalise(
    pixels: UInt8[Array, "*shape 3"],
    mean: Sequence[float] | Float32[Array, "3"] = CLIP_MEAN,
    std: Sequence[float] | Float32[Array, "3"] = CLIP_STD,
) -> Float32[Array, "*shape 3"]:
    """`(pixels / 255 - mean) / std` in float32, as torchvision's ToTensor and Normalize.

    Of pixels; embeddings are scaled to length 1 by `jclip.models.unit_norm.normalised`.

    Raises:
        TypeError: The pixels are no array of uint8, or mean or std are no numbers.
        ValueError: The channels are not the last axis, or mean or std are not of values in 0 .. 1.
    """
    check_pixels("pixels", pixels, "... 3")
    _check_channels(mean, std)
    unit = pixels.astype(jnp.float32) / 255
    return (unit - jnp.asarray(mean, jnp.float32)) / jnp.asarray(std, jnp.float32)


def preprocess(
    images: UInt8[Array, "n height width 3"] | UInt8[np.ndarray, "n height width 3"],
    size: Size,
    fit: Fit = "crop",
    mean: Sequence[float] = CLIP_MEAN,
    std: Sequence[float] = CLIP_STD,
    interpolation: Interpolation = "bicubic",
) -> Float32[Array, "n rows columns 3"]:
    """RGB images of one shape as a vision tower wants them, resized as Pillow does in every bit.

    The fit is `crop` (torchvision's and open_clip's default), `squash`, `pad` or, of a tower that
    takes every shape, `native`; `mean` is subtracted from each channel, after division by 255, and
    `std` divides it after that.

    Raises:
        InputError: The fit is `tiles`, or impossible for this shape.
        TypeError: The images are no array of uint8, or a number is of a wrong type.
        ValueError: A shape, fit, interpolation or length is wrong, or mean or std are out of range.
    """
    check_pixels("images", images, "N H W 3")
    _check_channels(mean, std)
    if fit == "tiles" or sphere_cameras(fit):
        raise InputError(f"fit {fit!r} is for panoramas: a plain image is no circle")
    # A plain image is the one view of itself at shift 0, which wraps around nowhere.
    plan = plan_views(images.shape[1], images.shape[2], [0], size, fit, interpolation)
    return normalise(shift_views(images, plan, size, fit)[:, 0, 0], mean, std)
