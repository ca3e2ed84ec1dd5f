"""Encoders of other libraries: what has `encode_image` and `encode_text` is a model here."""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

from jclip.data.arguments import images_argument, texts_argument
from jclip.data.images import ImageFile, decode
from jclip.data.supplied_files import EMBEDDINGS_FILE
from jclip.data.supplied_index import find_index, read_index
from jclip.data.view_plan import PLAN_FILE
from jclip.errors import InputError
from jclip.files.atomic import replacing
from jclip.files.digests import write_tensors
from jclip.files.json_files import read_json
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


@runtime_checkable
class Embedder(Protocol):
    """What a `jclip.Model` is to code that only asks it for embeddings of length 1."""

    name: str

    def embed_files(self, files: Sequence[ImageFile], fit: Any) -> Any:
        """`[N, D]` of images."""
        ...

    def embed_texts(self, texts: Sequence[str]) -> Any:
        """`[M, D]` of texts."""
        ...


def settled_model(model: Any) -> Any:
    """A model that gives embeddings, or an encoder in the place of one.

    Raises:
        TypeError: it is neither.
    """
    if isinstance(model, Embedder):
        return model
    if isinstance(model, Encoder):
        return OutsideModel(model)
    raise TypeError(
        f"model: a {type(model).__name__} where what jclip.load returns is meant, or what has "
        "encode_image and encode_text"
    )


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


def _view(folder: Path, name: str) -> ImageFile:
    """A view that was exported; a box may be narrower than an image of a person's may."""
    path = folder / name
    try:
        with Image.open(path) as image:
            width, height = image.size
    except Exception as error:  # Pillow's readers raise whatever a damaged header leads them to
        raise InputError(f"{path}: not an image that can be read ({error})") from None
    return ImageFile(name, path, height, width, digest="")


def embed_folder(encoder: Any, folder: Path | str, out: Path | str | None = None) -> Path:
    """Embed what `export_views` wrote: `embeddings.safetensors` for `--embeddings`.

    Args:
        encoder: any object with `encode_image` (a list of RGB PIL images to `[N, D]`) and
            `encode_text` (a list of texts to `[M, D]`), and perhaps a `name`; or from `jclip.load`.
        folder: that was exported.
        out: where to write instead of into that folder: a folder in it, one for each model.

    Returns:
        The file.

    Raises:
        InputError: the folder was not exported, or see `encoded`.
        TypeError: the encoder is none.

    Example:
        >>> jclip.embed_folder(my_encoder, "runs/views").name
        'embeddings.safetensors'
    """
    model, folder, out = settled_model(encoder), Path(folder), Path(folder if out is None else out)
    if not (folder / PLAN_FILE).is_file():
        raise InputError(f"{folder}: no {PLAN_FILE}; experiments.export_views writes it")
    plan, tables = read_json(folder / PLAN_FILE), {}
    for stem, column in (("images", "file"), ("texts", "text")):
        if (path := find_index([folder], stem)) is None:
            raise InputError(f"{folder}: no {stem}.csv; export the views again")
        tables[stem] = read_index([path]).texts_of(column)
    files = [_view(folder, name) for name in tables["images"]]
    tensors = {
        "image_embeds": model.embed_files(files, None),
        "text_embeds": model.embed_texts(tables["texts"]),
    }
    out.mkdir(parents=True, exist_ok=True)
    with replacing(out / EMBEDDINGS_FILE) as partial:
        metadata = {"model": model.name, "plan": str(plan.get("digest"))}
        write_tensors(partial, tensors, metadata=metadata)
    return out / EMBEDDINGS_FILE
