"""Encoders of other libraries: what has `encode_image` and `encode_text` is a model here."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

from jclip.data.arguments import images_argument, texts_argument
from jclip.data.images import ImageFile, decode
from jclip.errors import InputError
from jclip.models.unit_norm import unit_rows
from jclip.probes.embed import orbit_shifts

_IMAGES_AT_ONCE, _TEXTS_AT_ONCE = 64, 256


@runtime_checkable
class Encoder(Protocol):
    """A dual encoder as any library has it; how it prepares what it is given is its own matter."""

    def encode_image(self, images: Sequence[Image.Image]) -> Any:
        """Embeddings `[N, D]` of N RGB pictures, of any length."""
        ...

    def encode_text(self, texts: Sequence[str]) -> Any:
        """Embeddings `[M, D]` of M texts, of any length."""
        ...


class OutsideModel:
    """An encoder in the place of a `jclip.Model`: embeddings of length 1, checked.

    Args:
        encoder: its `name`, if it has one, or its class's is what results call it.
    """

    fit = None

    def __init__(self, encoder: Encoder):
        self.encoder = encoder
        self.name = str(getattr(encoder, "name", type(encoder).__name__))

    def embed_images(self, images: Any, fit: Any = None) -> Float32[np.ndarray, "n e"]:
        """As `jclip.Model.embed_images`; the fit is the encoder's own."""
        return self.embed_files(images_argument(images), fit)

    def embed_files(
        self, files: Sequence[ImageFile], fit: Any = None
    ) -> Float32[np.ndarray, "n e"]:
        """The same of images that are known to be images.

        Raises:
            InputError: a fit is asked for, or see `encoded`.
        """
        self.settled_fit(fit)

        def encode(some: Sequence[ImageFile]) -> Any:
            return self.encoder.encode_image([Image.fromarray(decode(file)) for file in some])

        names = [file.name for file in files]
        return unit_rows(encoded("encode_image", encode, files, names, _IMAGES_AT_ONCE))

    def embed_pictures(
        self, pictures: Sequence[UInt8[np.ndarray, "h w 3"]]
    ) -> Float32[np.ndarray, "n e"]:
        """The same of pixels."""
        files = []
        for row, pixels in enumerate(pictures):
            made = functools.partial(np.asarray, pixels)
            height, width, _ = pixels.shape
            files.append(ImageFile(f"picture {row}", made, height, width, digest=""))
        return self.embed_files(files)

    def embed_orbits(
        self, files: Sequence[ImageFile], fit: Any, orbit: int
    ) -> Float32[np.ndarray, "n k e"]:
        """As `jclip.Model.embed_orbits`, one panorama after the other."""
        self.settled_fit(fit)
        found = []
        for file in files:
            pixels = decode(file)
            shifts = orbit_shifts(file.width, orbit)
            found.append(self.embed_pictures([np.roll(pixels, k, axis=1) for k in shifts]))
        return np.stack(found)

    def settled_fit(self, fit: Any, files: Any = ()) -> Any:
        """None: how pictures are prepared is the encoder's own matter.

        Raises:
            InputError: a fit is asked for.
        """
        if fit is not None:
            raise InputError(f"fit: {fit!r}, and {self.name} prepares its images itself")

    def embed_texts(self, texts: Sequence[str]) -> Float32[np.ndarray, "n e"]:
        """As `jclip.Model.embed_texts`.

        Raises:
            InputError: no texts, or see `encoded`.
        """
        texts = texts_argument(texts, "texts")
        found = encoded("encode_text", self.encoder.encode_text, texts, texts, _TEXTS_AT_ONCE)
        return unit_rows(found)


def encoded(
    method: str,
    encode: Callable[[Sequence[Any]], Any],
    inputs: Sequence[Any],
    names: Sequence[str],
    at_once: int,
) -> Float32[np.ndarray, "n e"]:
    """What an encoder makes of some inputs, `at_once` at a time, not normalised.

    Raises:
        InputError: it is not one row of numbers for each, of one width, finite and not zero.
    """
    parts = []
    for start in range(0, len(inputs), at_once):
        own = inputs[start : start + at_once]
        values = _array(encode(own))
        if values.ndim != 2 or len(values) != len(own) or values.dtype.kind not in "fV":
            raise InputError(
                f"{method}: {values.dtype} {values.shape} for {len(own)} inputs; [N, D] is meant"
            )
        values = values.astype(np.float32)
        lengths = np.sqrt(np.einsum("ne,ne->n", values, values))
        wrong = ~np.isfinite(lengths) | (lengths == 0)
        if wrong.any():
            row = int(np.argmax(wrong))
            raise InputError(
                f"{method}: the embedding of {names[start + row]:.120} is not finite or zero"
            )
        if parts and parts[0].shape[1] != values.shape[1]:
            raise InputError(
                f"{method}: {values.shape[1]} numbers each, {parts[0].shape[1]} before"
            )
        parts.append(values)
    return np.concatenate(parts)


def _array(values: Any) -> np.ndarray:
    # PyTorch's have a gradient, may be elsewhere, or are of a type that NumPy lacks.
    if hasattr(values, "detach"):
        values = values.detach().cpu().float()
    return np.asarray(values)
