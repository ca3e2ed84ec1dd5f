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
from jclip.data.panorama_sets import find_captioned
from jclip.images.fits import FitOption, fit_option
from jclip.models.config import Activation, TextKind
from jclip.runs.record import Silent
from jclip.text.cleaning import TextChoice


def split_at_commas(argument: str) -> list[str]:
    """The parts of `A,B` without blanks around them."""
    return [part.strip() for part in argument.split(",")]


def split_sources(argument: str) -> list[str]:
    """The parts of `A,B`, where an existing path is one part whatever commas and blanks it has.

    `~` and `~NAME` are the homes that a shell makes of them, in every part and after `NAME=`.

    Raises:
        ValueError: a part is blank.
    """
    pieces, parts = argument.split(","), []
    while pieces:
        longest_first = [",".join(pieces[:n]) for n in range(len(pieces), 0, -1)]
        written = [path for joined in longest_first for path in (joined, joined.strip())]
        part = next(filter(_exists, written), pieces[0].strip())
        parts.append(_at_home(part))
        pieces = pieces[part.count(",") + 1 :]
    if not all(parts):
        raise ValueError(f"{argument!r} has an empty part")
    return parts


def _exists(source: str) -> bool:
    path = _at_home(source)
    return os.path.exists(path) or os.path.exists(path.partition("=")[2])


def _at_home(source: str) -> str:
    name, equals, path = os.path.expanduser(source).partition("=")
    return name + equals + os.path.expanduser(path)


def comma_separated(
    kind: Callable[[str], Any], metavar: str, split: Callable[[str], list[str]] = split_at_commas
) -> PrimitiveConstructorSpec:
    """How tyro reads a tuple of `kind` from one argument, its parts separated by commas."""
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=lambda args: tuple(map(kind, split(args[0]))),
        is_instance=lambda value: isinstance(value, tuple),
        str_from_instance=lambda value: [",".join(map(str, value)) or "none"],
    )


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
    comma_separated(fit_option, "FIT,.."),
    tyro.conf.arg(
        aliases=["--fit"],
        help="How an image becomes a square: own (each checkpoint's, crop for the papers'), crop, "
        "squash, pad, tiles; or of panoramas the mean over views on the sphere: cube, ring:8 "
        "around the horizon, tangent:20 all over it.",
    ),
]
OneFit = Annotated[
    FitOption,
    PrimitiveConstructorSpec(
        nargs=1,
        metavar="FIT",
        instance_from_str=lambda args: fit_option(args[0]),
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
Orbit = Annotated[
    int,
    # A fact of a run only where it is chosen, so that earlier runs are resumed.
    Silent,
    tyro.conf.arg(
        help="Average the embeddings of a panorama over so many equal yaws, which makes its score "
        "invariant under them; 1 takes it as it is."
    ),
]
PixelLimit = Annotated[
    int, Silent, tyro.conf.arg(help="Largest image in pixels, checked from the header.")
]
Embeddings = Annotated[
    tuple[str, ...],
    comma_separated(str, "FOLDER,..", split_sources),
    Silent,
    tyro.conf.arg(
        help="Folders of embeddings that another program made of what export_views wrote, each a "
        "model of its own; then no checkpoint is probed unless --model names others than demo."
    ),
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
    """Registry names, demo (a small CLIP of the rendered world), random:ARCHITECTURE, hub ids,
    folders or files of weights; paper1 is the paper's nine."""
    precision: Precision = "auto"
    """Of matrix products; auto is float32 on CPUs and bfloat16 elsewhere."""
    activation: Activation | None = None
    """Override the checkpoints' own activation; gelu repeats the paper's mismatch."""
    text_cleaning: TextChoice = "corrected"
    """Corrected: as in training; reference: as the checkpoint's library does it."""
    text_kind: TextKind = "short"
    """What texts are, for models that tell kinds apart (FG-CLIP): long ones have more positions,
    those about boxes a projection of their own."""
    allow_pickle: Flag = False
    """Read .bin and .pt weights too, through torch with weights_only."""
    architecture: Annotated[str | None, Silent] = None
    """Of models that are files of weights without a configuration beside them, as ViT-B-32."""
    adapter: Path | None = None
    """Folder of a LoRA adapter in peft's layout, merged into every model."""

    def dtype(self) -> jnp.dtype:
        """The dtype that `precision` means on this machine."""
        return dtype_of(self.precision)

    def identity(self) -> dict[str, Any]:
        """What of these makes two runs the same; the models themselves are facts of a run."""
        found = {"precision": self.dtype().name, "adapter": self.adapter and str(self.adapter)}
        # Named only where it was chosen, so that earlier runs are resumed.
        usual = {"text_cleaning": "corrected", "text_kind": "short"}
        return found | {
            name: chosen for name, own in usual.items() if (chosen := getattr(self, name)) != own
        }


@dataclasses.dataclass(frozen=True)
class ImageOptions:
    """Which images, with which captions."""

    images: Annotated[Sources, Silent] = ("demo",)
    """Sets of images, each a folder ('FOLDER/**' for all below it), a .tar of webdataset,
    samples (twelve CC0 panoramas that ship with jclip), demo or demo-photos (a rendered world), or
    tfds:NAME[:SPLIT] (a prepared TFDS data set); or a folder of panoramas in a layout of
    panorama_score with one caption each."""
    captions: Annotated[Path | None, Silent] = None
    """CSV or JSONL with columns file and caption, for all sets; or for one, prompts.txt with one
    line per image in natural order, or a folder with a .txt per image. Default: captions.csv,
    captions.jsonl, prompts.txt or a .txt per image beside the images."""
    prompt_prefix: str = "This is "
    """Put before every caption."""
    pixel_limit: PixelLimit = DEFAULT_PIXEL_LIMIT
    on_error: OnError = "stop"

    def open(self) -> list[ImageSet]:
        """The sets of images, checked and not decoded.

        Raises:
            InputError: see `open_image_sets`.
        """
        return open_image_sets(self.images, self.captions, self.pixel_limit, find=find_captioned)

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


def orbit_facts(orbit: int) -> dict[str, int]:
    """The fact of a run that its embeddings are averaged over an orbit, if they are."""
    return {"orbit": orbit} if orbit > 1 else {}


def orbit_notices(orbit: int) -> tuple[str, ...]:
    """What a reader of scores of an orbit should know, if they are."""
    if orbit == 1:
        return ()
    return (
        f"Every panorama is embedded at {orbit} equal yaws, {360 / orbit:.4g} degrees apart, and "
        "scored by the mean of the embeddings, scaled to length 1: at these yaws its score is the "
        f"same by construction, where its width is a multiple of {orbit}.",
    )
