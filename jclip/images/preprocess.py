"""CLIP's image preprocessing on the device: fit, resize as Pillow does, normalise."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32, UInt8

from jclip.errors import InputError
from jclip.images.geometry import Fit, Size
from jclip.images.panorama import plan_views, shift_views
from jclip.images.resample import Interpolation

# Mean and standard deviation of the OpenAI training images, which most CLIP checkpoints keep.
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


def normalise(
    pixels: UInt8[Array, "*shape 3"],
    mean: Sequence[float] = CLIP_MEAN,
    std: Sequence[float] = CLIP_STD,
) -> Float32[Array, "*shape 3"]:
    """`(pixels / 255 - mean) / std` in float32, as torchvision's ToTensor and Normalize.

    Of pixels; embeddings are scaled to length 1 by `jclip.models.unit_norm.normalised`.
    """
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
        ValueError: A fit, interpolation or length is wrong.
    """
    if fit == "tiles":
        raise InputError("fit 'tiles' is for panoramas: a plain image is no circle")
    # A plain image is the one view of itself at shift 0, which wraps around nowhere.
    plan = plan_views(images.shape[1], images.shape[2], [0], size, fit, interpolation)
    return normalise(shift_views(images, plan, size, fit)[:, 0, 0], mean, std)
