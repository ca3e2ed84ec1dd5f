"""The checkpoints known by name, and what belongs to each of them.

Activation, mean, standard deviation and fit belong to a checkpoint, not to an architecture. Facts
and names (`registry.csv`) are those of open_clip 3.3.0 (`open_clip.pretrained`): all of its tags
whose towers load, but for its second names (`-quickgelu`) of what is here with its own activation.
"""

import csv
import dataclasses
from importlib import resources
from typing import cast

from jclip.checkpoints.architectures import ARCHITECTURES, text_format_of
from jclip.checkpoints.causes import Layout
from jclip.checkpoints.flops import tower_flops
from jclip.checkpoints.preprocessing import ImageConfig
from jclip.images import CLIP_MEAN, CLIP_STD, Fit, Interpolation
from jclip.models import CLIPConfig
from jclip.models.config import Activation
from jclip.text.formats import TextFormat

Channels = tuple[float, float, float]

_CHANNELS: dict[str, tuple[Channels, Channels]] = {
    "clip": (CLIP_MEAN, CLIP_STD),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class RegisteredCheckpoint:
    """A checkpoint of the registry: where it is, and how it was trained.

    `activation` is that of both towers; None where each tower has its own, as its architecture
    says. `licence` is that of the hub's page, in the hub's spelling; None where it is not known.
    """

    architecture: str
    hub_id: str
    activation: Activation | None
    layout: Layout = "open_clip"
    mean: Channels = CLIP_MEAN
    std: Channels = CLIP_STD
    interpolation: Interpolation = "bicubic"
    fit: Fit = "crop"
    licence: str | None = None

    def with_activation(self, config: CLIPConfig) -> CLIPConfig:
        """A network with this checkpoint's activation."""
        return config if self.activation is None else config.with_activation(self.activation)

    @property
    def config(self) -> CLIPConfig:
        """The architecture with this checkpoint's activation."""
        return self.with_activation(ARCHITECTURES[self.architecture])

    @property
    def image_config(self) -> ImageConfig:
        """How this checkpoint's images are prepared."""
        return ImageConfig(
            size=self.config.vision.image_size,
            mean=self.mean,
            std=self.std,
            interpolation=self.interpolation,
            fit=self.fit,
        )

    @property
    def flops(self) -> int:
        """Operations of its matrix products for one image (`jclip.checkpoints.flops`)."""
        return tower_flops(self.config)

    @property
    def text_format(self) -> TextFormat:
        """How its texts become token ids."""
        return text_format_of(self.architecture)


def _registered(row: dict[str, str]) -> RegisteredCheckpoint:
    mean, std = _CHANNELS[row["channels"]]
    return RegisteredCheckpoint(
        architecture=row["name"].split("/")[0],
        hub_id=row["hub_id"],
        activation=cast(Activation | None, row["activation"] or None),
        mean=mean,
        std=std,
        interpolation=cast(Interpolation, row["filter"]),
        fit=cast(Fit, row["fit"]),
        licence=row["licence"] or None,
    )


def _read() -> dict[str, RegisteredCheckpoint]:
    path = resources.files("jclip.checkpoints") / "registry.csv"
    rows = csv.DictReader(path.read_text(encoding="utf-8").splitlines())
    return {row["name"]: _registered(row) for row in rows}


REGISTRY: dict[str, RegisteredCheckpoint] = _read()
"""Checkpoints by name, `architecture/tag` as in open_clip."""

PAPER_1: tuple[str, ...] = (
    "ViT-B-32/laion400m_e32",
    "ViT-B-32/laion2b_s34b_b79k",
    "ViT-B-32/openai",
    "ViT-B-16/laion400m_e32",
    "ViT-B-16/laion2b_s34b_b88k",
    "ViT-B-16/openai",
    "ViT-L-14/laion400m_e32",
    "ViT-L-14/laion2b_s32b_b82k",
    "ViT-L-14/openai",
)
"""The nine checkpoints of paper 1 (arXiv 2604.24642), by name."""


def expand_names(names: list[str] | tuple[str, ...]) -> tuple[str, ...]:
    """Replace the group name `paper1` by its nine checkpoints; a name given twice is kept once."""
    expanded = [one for name in names for one in (PAPER_1 if name == "paper1" else (name,))]
    return tuple(dict.fromkeys(expanded))
