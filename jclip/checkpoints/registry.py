"""The checkpoints known by name, and what belongs to each of them.

Activation, mean, standard deviation and resize mode belong to a checkpoint, not to an
architecture. Facts and names are those of open_clip 3.3.0 (`open_clip.pretrained`).
"""

import dataclasses
from typing import Literal

from jclip.checkpoints.preprocessing import ImageConfig
from jclip.images import CLIP_MEAN, CLIP_STD
from jclip.models import ARCHITECTURES, CLIPConfig
from jclip.models.config import Activation

Layout = Literal["open_clip", "transformers"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class RegisteredCheckpoint:
    """A checkpoint of the registry: where it is, and how it was trained."""

    architecture: str
    hub_id: str
    activation: Activation
    layout: Layout = "open_clip"
    mean: tuple[float, float, float] = CLIP_MEAN
    std: tuple[float, float, float] = CLIP_STD

    @property
    def config(self) -> CLIPConfig:
        """The architecture with this checkpoint's activation."""
        return ARCHITECTURES[self.architecture].with_activation(self.activation)

    @property
    def image_config(self) -> ImageConfig:
        """How this checkpoint's images are prepared."""
        return ImageConfig(size=self.config.vision.image_size, mean=self.mean, std=self.std)


def _registered(
    architecture: str, tag: str, hub_id: str, activation: Activation = "gelu", **facts
) -> tuple[str, RegisteredCheckpoint]:
    name = f"{architecture}/{tag}"
    return name, RegisteredCheckpoint(
        architecture=architecture, hub_id=hub_id, activation=activation, **facts
    )


_HALF = (0.5, 0.5, 0.5)
_TIMM_B32, _TIMM_B16 = "timm/vit_base_patch32_clip_224", "timm/vit_base_patch16_clip_224"
_TIMM_L14, _TIMM_L14_336 = "timm/vit_large_patch14_clip_224", "timm/vit_large_patch14_clip_336"

_PAPER_1 = (
    _registered("ViT-B-32", "laion400m_e32", f"{_TIMM_B32}.laion400m_e32", "quick_gelu"),
    _registered("ViT-B-32", "laion2b_s34b_b79k", "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"),
    _registered("ViT-B-32", "openai", f"{_TIMM_B32}.openai", "quick_gelu"),
    _registered("ViT-B-16", "laion400m_e32", f"{_TIMM_B16}.laion400m_e32"),
    _registered("ViT-B-16", "laion2b_s34b_b88k", "laion/CLIP-ViT-B-16-laion2B-s34B-b88K"),
    _registered("ViT-B-16", "openai", f"{_TIMM_B16}.openai", "quick_gelu"),
    _registered("ViT-L-14", "laion400m_e32", f"{_TIMM_L14}.laion400m_e32"),
    _registered(
        "ViT-L-14",
        "laion2b_s32b_b82k",
        "laion/CLIP-ViT-L-14-laion2B-s32B-b82K",
        mean=_HALF,
        std=_HALF,
    ),
    _registered("ViT-L-14", "openai", f"{_TIMM_L14}.openai", "quick_gelu"),
)
_OTHERS = (
    _registered("ViT-L-14-336", "openai", f"{_TIMM_L14_336}.openai", "quick_gelu"),
    _registered("ViT-H-14", "laion2b_s32b_b79k", "laion/CLIP-ViT-H-14-laion2B-s32B-b79K"),
    _registered("ViT-bigG-14", "laion2b_s39b_b160k", "laion/CLIP-ViT-bigG-14-laion2B-39B-b160k"),
    *(
        _registered(
            architecture,
            "datacomp_xl_s13b_b90k",
            f"laion/CLIP-{architecture}-DataComp.XL-s13B-b90K",
        )
        for architecture in ("ViT-B-32", "ViT-B-16", "ViT-L-14")
    ),
)

REGISTRY: dict[str, RegisteredCheckpoint] = dict(_PAPER_1 + _OTHERS)
"""Checkpoints by name, `architecture/tag` as in open_clip."""

PAPER_1: tuple[str, ...] = tuple(name for name, _ in _PAPER_1)
"""The nine checkpoints of paper 1 (arXiv 2604.24642), by name."""


def expand_names(names: list[str] | tuple[str, ...]) -> tuple[str, ...]:
    """Replace the group name `paper1` by its nine checkpoints; a name given twice is kept once."""
    expanded = [one for name in names for one in (PAPER_1 if name == "paper1" else (name,))]
    return tuple(dict.fromkeys(expanded))
