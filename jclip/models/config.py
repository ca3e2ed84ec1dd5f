"""What a CLIP network looks like, and the architectures known by name."""

import dataclasses
from typing import Any, Literal

Activation = Literal["gelu", "quick_gelu", "gelu_tanh", "silu"]
"""`gelu` is exact (erf), `quick_gelu` is x * sigmoid(1.702 x), `gelu_tanh` the tanh form, `silu` is
x * sigmoid(x)."""

Projection = Literal["plain", "biased", "none"]
"""What follows pooling: a product, a product and a bias, or nothing."""

ImagePooling = Literal["class", "mean", "mean_before_norm", "map"]
"""The class token; the mean of the normed patches; the normed mean of the patches; one query that
attends to all tokens (`jclip.models.pooling.MapHead`)."""

TextPooling = Literal["end", "first", "last"]
"""The end of text; the first or the last of the given positions, whatever token is there."""

TextKind = Literal["short", "box", "long"]
"""What a text is, for the networks that have positions or projections of their own for each."""


@dataclasses.dataclass(frozen=True)
class Rotary:
    """Angles by which queries and keys of patches are turned (`jclip.models.rotary`).

    The first half of a head is turned by one coordinate of the patch and the second by the other:
    `first` says by which. A coordinate is `start`, `start + 1`, ..., times `scale`.
    """

    first: Literal["x", "y"]
    start: int = 0
    scale: float = 1.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """A stack of pre-LN blocks.

    `gated` makes the MLP `down(activation(gate(x)) * up(x))`; `inner_norms` are layer norms of the
    attended values and of what `down` takes.

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
    key_bias: bool = True
    gated: bool = False
    inner_norms: bool = False
    rotary: Rotary | None = None

    def __post_init__(self):
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class VisionConfig(TransformerConfig):
    """The image tower: square images of `image_size` pixels in patches of `patch_size` pixels.

    A `flexible` tower (NaFlex) takes every height and width in patches; `image_size` is then the
    side of the image that its table of positions was made for. `pool_heads` and `pool_mlp_width`
    are those of the pooling `map`. `dense` says how patches get features in the space of texts: in
    the last block they attend to themselves alone (FG-CLIP 1), or a second head of the kind `map`
    asks with them instead of its query (FG-CLIP 2).
    """

    image_size: int
    patch_size: int
    class_token: bool = True
    patch_bias: bool = False
    pre_norm: bool = True
    pooling: ImagePooling = "class"
    pool_heads: int = 0
    pool_mlp_width: int = 0
    projection: Projection = "plain"
    flexible: bool = False
    dense: Literal["themselves", "head"] | None = None

    @property
    def grid(self) -> int:
        """Patches along a side."""
        return self.image_size // self.patch_size

    @property
    def tokens(self) -> int:
        """Patches, plus the class token where there is one."""
        return self.grid**2 + self.class_token

    @property
    def has_dense(self) -> bool:
        """Whether patches have features in the space of texts.

        Without a head for them they have where one token, or their mean, becomes the embedding.
        """
        return self.dense is not None or self.pooling != "map"

    @property
    def pool(self) -> TransformerConfig:
        """The attention and MLP of the pooling `map`."""
        return TransformerConfig(
            width=self.width,
            layers=1,
            heads=self.pool_heads,
            mlp_width=self.pool_mlp_width,
            activation=self.activation,
            norm_epsilon=self.norm_epsilon,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class LongText:
    """Long texts of FG-CLIP: `context_length` positions, the first `kept` from their own table.

    They have a projection of their own; texts about boxes share it, unless they have a `box` one.
    """

    context_length: int
    kept: int
    box: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class TextConfig(TransformerConfig):
    """The text tower.

    `end_of_text` is the token id at whose first occurrence a text is pooled. `None` pools at the
    largest id of each text, as open_clip does, and transformers where a config says
    `eos_token_id = 2`.
    """

    context_length: int = 77
    vocabulary_size: int = 49408
    end_of_text: int | None = None
    causal: bool = True
    pooling: TextPooling = "end"
    projection: Projection = "plain"
    long: LongText | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class CLIPConfig:
    """Both towers and the width of the space they share; a sigmoid loss trains a `logit_bias`."""

    vision: VisionConfig
    text: TextConfig
    embedding_width: int
    logit_bias: bool = False

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
