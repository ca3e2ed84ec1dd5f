"""What a CLIP network looks like, and the architectures known by name."""

import dataclasses
from typing import Any, Literal

Activation = Literal["gelu", "quick_gelu", "gelu_tanh"]
"""`gelu` is exact (erf), `quick_gelu` is x * sigmoid(1.702 x), `gelu_tanh` the tanh form."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """A stack of pre-LN blocks.

    Raises:
        ValueError: the width is not a multiple of the number of heads.
    """

    width: int
    layers: int
    heads: int
    mlp_width: int
    activation: Activation = "gelu"
    layer_scale: bool = False
    norm_epsilon: float = 1e-5

    def __post_init__(self):
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class VisionConfig(TransformerConfig):
    """The image tower: square images of `image_size` pixels in patches of `patch_size` pixels."""

    image_size: int
    patch_size: int

    @property
    def tokens(self) -> int:
        """Patches plus the class token."""
        return (self.image_size // self.patch_size) ** 2 + 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class TextConfig(TransformerConfig):
    """The text tower, causal.

    `end_of_text` is the token id at whose first occurrence a text is pooled. `None` pools at the
    largest id of each text, as open_clip does, and transformers where a config says
    `eos_token_id = 2`.
    """

    context_length: int = 77
    vocabulary_size: int = 49408
    end_of_text: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class CLIPConfig:
    """Both towers and the width of the space they share."""

    vision: VisionConfig
    text: TextConfig
    embedding_width: int

    def with_activation(self, activation: Activation) -> "CLIPConfig":
        """The same network with another activation in both towers."""
        return dataclasses.replace(
            self,
            vision=dataclasses.replace(self.vision, activation=activation),
            text=dataclasses.replace(self.text, activation=activation),
        )


def _vit(patch: int, vision: dict[str, Any], text: dict[str, Any], image: int = 224) -> CLIPConfig:
    return CLIPConfig(
        vision=VisionConfig(**vision, image_size=image, patch_size=patch),
        text=TextConfig(**text),
        embedding_width=text["width"],
    )


def _tower(width: int, layers: int, heads: int, mlp_width: int) -> dict[str, Any]:
    return {"width": width, "layers": layers, "heads": heads, "mlp_width": mlp_width}


_BASE, _LARGE = _tower(768, 12, 12, 3072), _tower(1024, 24, 16, 4096)
_BASE_TEXT, _LARGE_TEXT = _tower(512, 12, 8, 2048), _tower(768, 12, 12, 3072)

ARCHITECTURES: dict[str, CLIPConfig] = {
    "ViT-B-32": _vit(32, _BASE, _BASE_TEXT),
    "ViT-B-16": _vit(16, _BASE, _BASE_TEXT),
    "ViT-L-14": _vit(14, _LARGE, _LARGE_TEXT),
    "ViT-L-14-336": _vit(14, _LARGE, _LARGE_TEXT, image=336),
    "ViT-H-14": _vit(14, _tower(1280, 32, 16, 5120), _tower(1024, 24, 16, 4096)),
    "ViT-bigG-14": _vit(14, _tower(1664, 48, 16, 8192), _tower(1280, 32, 20, 5120)),
}
