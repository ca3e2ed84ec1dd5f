"""Command-line options that experiments share, and lists as people type them: `A,B,C`."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, cast, get_args

import jax
import jax.numpy as jnp
import tyro
from tyro.constructors import PrimitiveConstructorSpec

from jclip.data.images import DEFAULT_PIXEL_LIMIT
from jclip.images import Fit
from jclip.models.config import Activation


def comma_separated(kind: Callable[[str], Any], metavar: str) -> PrimitiveConstructorSpec:
    """How tyro reads a tuple of `kind` from one argument, its parts separated by commas."""
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=lambda args: tuple(kind(part.strip()) for part in args[0].split(",")),
        is_instance=lambda value: isinstance(value, tuple),
        str_from_instance=lambda value: [",".join(map(str, value)) or "none"],
    )


Names = Annotated[tuple[str, ...], comma_separated(str, "A,B,..")]
Numbers = Annotated[tuple[float, ...], comma_separated(float, "X,X,..")]
Integers = Annotated[tuple[int, ...], comma_separated(int, "N,N,..")]


def _fit(text: str) -> Fit:
    if text not in get_args(Fit):
        raise ValueError(f"{text!r} is not one of {', '.join(get_args(Fit))}")
    return cast(Fit, text)


Fits = Annotated[tuple[Fit, ...], comma_separated(_fit, "FIT,..")]
Flag = Annotated[bool, tyro.conf.FlagCreatePairsOff]


@dataclasses.dataclass(frozen=True)
class ModelOptions:
    """Which checkpoints are probed, and how they compute."""

    models: Annotated[Names, tyro.conf.arg(aliases=["--model"])] = ("demo",)
    """Registry names, demo (a small CLIP of the rendered world), random:ARCHITECTURE, hub ids or
    folders; paper1 is the paper's nine."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of matrix products; auto is float32 on CPUs and bfloat16 elsewhere."""
    activation: Activation | None = None
    """Override the checkpoints' own activation; gelu repeats the paper's mismatch."""
    allow_pickle: Flag = False
    """Read .bin and .pt weights too, through torch with weights_only."""
    adapter: Path | None = None
    """Folder of a LoRA adapter in peft's layout, put into every model."""

    def dtype(self) -> jnp.dtype:
        """The dtype that `precision` means on this machine."""
        if self.precision == "auto":
            return jnp.dtype(jnp.float32 if jax.default_backend() == "cpu" else jnp.bfloat16)
        return jnp.dtype(self.precision)


@dataclasses.dataclass(frozen=True)
class ImageOptions:
    """Which images, with which captions."""

    images: Names = ("demo",)
    """Sets of images, each a folder, samples (twelve CC0 panoramas that ship with jclip), demo or
    demo-photos (a rendered world), or tfds:NAME[:SPLIT] (a prepared TFDS data set)."""
    captions: Path | None = None
    """CSV or JSONL with columns file and caption, or prompts.txt with one line per image in natural
    order. Default: captions.csv, captions.jsonl or prompts.txt beside the images."""
    prompt_prefix: str = "This is "
    """Put before every caption."""
    pixel_limit: int = DEFAULT_PIXEL_LIMIT
    """Largest image in pixels, checked from the header."""
    on_error: Literal["stop", "record"] = "stop"
    """At an image that cannot be decoded: stop, or go on and list it in failures.csv."""


@dataclasses.dataclass(frozen=True)
class OutputOptions:
    """Where results go, and how much is computed at once."""

    out: Path | None = None
    """Folder of results; default runs/EXPERIMENT-HASH. The same run into it resumes."""
    batch_size: int | None = None
    """Images per step of the network and device; default 64 on CPUs and 512 elsewhere."""

    def images_per_step(self) -> int:
        """Of all devices of this process together."""
        each = self.batch_size or (64 if jax.default_backend() == "cpu" else 512)
        return each * jax.local_device_count()
