"""Command-line options that experiments share, and lists as people type them: `A,B,C`."""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import jax
import jax.numpy as jnp
import tyro
from tyro.constructors import PrimitiveConstructorSpec

from jclip.data.image_sets import ImageSet, open_image_sets
from jclip.data.images import DEFAULT_PIXEL_LIMIT
from jclip.images.fits import FitOption
from jclip.models.config import Activation
from jclip.runs.record import Silent
from jclip.text.cleaning import TextChoice, is_unicode


def comma_separated(
    kind: Callable[[str], Any], metavar: str, split: Callable[[str], list[str]] | None = None
) -> PrimitiveConstructorSpec:
    """How tyro reads a tuple of `kind` from one argument, its parts separated by commas.

    Args:
        kind: makes a part of a text.
        metavar: what the help calls it.
        split: finds the parts; at every comma by default.
    """

    def read(argument: str) -> tuple[Any, ...]:
        if not is_unicode(argument):
            raise ValueError(f"{os.fsencode(argument)!r} is not UTF-8")
        parts = argument.split(",") if split is None else split(argument)
        return tuple(kind(part.strip()) for part in parts)

    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=lambda args: read(args[0]),
        is_instance=lambda value: isinstance(value, tuple),
        str_from_instance=lambda value: [",".join(map(str, value)) or "none"],
    )


def split_sources(argument: str) -> list[str]:
    """The parts of `A,B`, where an existing path is one part whatever commas are in it.

    `~` and `~NAME` are the homes that a shell makes of them, in every part and after `NAME=`.

    Raises:
        ValueError: a part is blank.
    """
    pieces = argument.split(",")
    parts = []
    while pieces:
        sizes = range(len(pieces), 1, -1)
        size = next((n for n in sizes if _exists(",".join(pieces[:n]))), 1)
        parts.append(_at_home(",".join(pieces[:size]).strip()))
        pieces = pieces[size:]
    if not all(parts):
        raise ValueError(f"{argument!r} has an empty part")
    return parts


def _exists(source: str) -> bool:
    path = _at_home(source.strip())
    return os.path.exists(path) or os.path.exists(path.partition("=")[2])


def _at_home(source: str) -> str:
    name, equals, path = os.path.expanduser(source).partition("=")
    return name + equals + os.path.expanduser(path)


Names = Annotated[tuple[str, ...], comma_separated(str, "A,B,..")]
Sources = Annotated[tuple[str, ...], comma_separated(str, "A,B,..", split_sources)]
"""Names of what may be paths."""
Numbers = Annotated[tuple[float, ...], comma_separated(float, "X,X,..")]
Integers = Annotated[tuple[int, ...], comma_separated(int, "N,N,..")]


def one_of(literal: Any) -> Callable[[str], Any]:
    """A function that takes what a `Literal` allows and refuses all else."""

    def check(text: str) -> Any:
        if text not in get_args(literal):
            raise ValueError(f"{text!r} is not one of {', '.join(get_args(literal))}")
        return text

    return check


Fits = Annotated[
    tuple[FitOption, ...],
    comma_separated(one_of(FitOption), "FIT,.."),
    tyro.conf.arg(
        aliases=["--fit"],
        help="How an image becomes a square: own (each checkpoint's, crop for the papers'), crop, "
        "squash, pad, tiles.",
    ),
]


def _unicode(arguments: list[str]) -> str:
    if not is_unicode(arguments[0]):
        raise ValueError(f"{os.fsencode(arguments[0])!r} is not UTF-8")
    return arguments[0]


Text = Annotated[
    str,
    PrimitiveConstructorSpec(
        nargs=1,
        metavar="TEXT",
        instance_from_str=_unicode,
        is_instance=lambda value: isinstance(value, str),
        str_from_instance=lambda value: [value],
    ),
]
Flag = Annotated[bool, tyro.conf.FlagCreatePairsOff]
Precision = Literal["auto", "float32", "bfloat16"]
OutFolder = Annotated[
    Path | None,
    Silent,
    tyro.conf.arg(
        help="Folder of results; default runs/EXPERIMENT-HASH. The same run into it resumes."
    ),
]
PixelLimit = Annotated[
    int, Silent, tyro.conf.arg(help="Largest image in pixels, checked from the header.")
]
OnError = Annotated[
    Literal["stop", "record"],
    Silent,
    tyro.conf.arg(
        help="At an image that cannot be decoded: stop, or go on and list it in failures.csv."
    ),
]


def dtype_of(precision: Precision) -> jnp.dtype:
    """The dtype that a precision means on this machine."""
    if precision == "auto":
        return jnp.dtype(jnp.float32 if jax.default_backend() == "cpu" else jnp.bfloat16)
    return jnp.dtype(precision)


@dataclasses.dataclass(frozen=True)
class ModelOptions:
    """Which checkpoints are probed, and how they compute."""

    models: Annotated[Sources, tyro.conf.arg(aliases=["--model"]), Silent] = ("demo",)
    """Registry names, demo (a small CLIP of the rendered world), random:ARCHITECTURE, hub ids or
    folders; paper1 is the paper's nine."""
    precision: Precision = "auto"
    """Of matrix products; auto is float32 on CPUs and bfloat16 elsewhere."""
    activation: Activation | None = None
    """Override the checkpoints' own activation; gelu repeats the paper's mismatch."""
    text_cleaning: TextChoice = "corrected"
    """Corrected: as in training; reference: as the checkpoint's library does it."""
    allow_pickle: Flag = False
    """Read .bin and .pt weights too, through torch with weights_only."""
    adapter: Path | None = None
    """Folder of a LoRA adapter in peft's layout, merged into every model."""

    def dtype(self) -> jnp.dtype:
        """The dtype that `precision` means on this machine."""
        return dtype_of(self.precision)

    def identity(self) -> dict[str, Any]:
        """What of these makes two runs the same; the models themselves are facts of a run."""
        found = {"precision": self.dtype().name, "adapter": self.adapter and str(self.adapter)}
        # Named only where it was chosen, so that earlier runs are resumed.
        cleaning = (
            {} if self.text_cleaning == "corrected" else {"text_cleaning": self.text_cleaning}
        )
        return found | cleaning


@dataclasses.dataclass(frozen=True)
class ImageOptions:
    """Which images, with which captions."""

    images: Annotated[Sources, Silent] = ("demo",)
    """Sets of images, each a folder ('FOLDER/**' for all below it), a .tar of webdataset,
    samples (twelve CC0 panoramas that ship with jclip), demo or demo-photos (a rendered world), or
    tfds:NAME[:SPLIT] (a prepared TFDS data set)."""
    captions: Annotated[Path | None, Silent] = None
    """CSV or JSONL with columns file and caption, for all sets; or for one, prompts.txt with one
    line per image in natural order, or a folder with a .txt per image. Default: captions.csv,
    captions.jsonl, prompts.txt or a .txt per image beside the images."""
    prompt_prefix: Text = "This is "
    """Put before every caption."""
    pixel_limit: PixelLimit = DEFAULT_PIXEL_LIMIT
    on_error: OnError = "stop"

    def open(self) -> list[ImageSet]:
        """The sets of images, checked and not decoded.

        Raises:
            InputError: see `open_image_sets`.
        """
        return open_image_sets(self.images, self.captions, self.pixel_limit)

    @property
    def record(self) -> bool:
        """Whether an image that cannot be decoded is recorded instead of stopping the run."""
        return self.on_error == "record"


@dataclasses.dataclass(frozen=True)
class OutputOptions:
    """Where results go, and how much is computed at once."""

    out: OutFolder = None
    batch_size: Annotated[int | None, Silent] = None
    """Images per step of the network and device; default 64 on CPUs and 512 elsewhere."""

    def images_per_step(self) -> int:
        """Of all devices of this process together."""
        each = self.batch_size or (64 if jax.default_backend() == "cpu" else 512)
        return each * jax.local_device_count()
