"""OWL-ViT and OWLv2: CLIP whose every image patch predicts a box and a text-like embedding."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float

from jclip.models.clip import CLIP
from jclip.models.config import CLIPConfig
from jclip.models.transformer import ACTIVATIONS, LayerNorm, Linear

# What the library adds to lengths before it divides by them, and to logits' arguments.
_LENGTH_EPSILON, _BIAS_EPSILON = 1e-6, np.float32(1e-4)


@dataclasses.dataclass(frozen=True, kw_only=True)
class OWLConfig(CLIPConfig):
    """A CLIP with detection heads; OWLv2 also predicts `objectness`.

    Raises:
        ValueError: the towers' space is not as wide as the text tower, as the class head needs it.
    """

    objectness: bool

    def __post_init__(self):
        if self.embedding_width != self.text.width:
            raise ValueError(
                f"embedding width {self.embedding_width} is not the text tower's width "
                f"{self.text.width}"
            )


class Predictions(NamedTuple):
    """One prediction per patch, row by row: all that texts are compared with.

    `boxes` [N, P, 4] are centre x, centre y, width and height in 0 .. 1 of what the image tower
    sees. `embeddings` [N, P, E] have length 1; `shift` and `scale` [N, P] make logits of their
    cosines with texts. `objectness` [N, P] are logits, None in OWL-ViT. All float32.
    """

    boxes: Float[Array, "n p 4"]
    embeddings: Float[Array, "n p e"]
    shift: Float[Array, "n p"]
    scale: Float[Array, "n p"]
    objectness: Float[Array, "n p"] | None


def class_logits(
    predictions: Predictions, texts: Float[Array, "n q e"], asked: Bool[Array, "n q"] | None = None
) -> Float[Array, "n p q"]:
    """How well each prediction fits each of its image's texts; `sigmoid` makes it a score.

    `asked` says which of an image's Q embeddings are texts; the others, which fill up rows, get the
    lowest float32.
    """
    lengths = jnp.linalg.norm(texts, axis=-1, keepdims=True)
    cosines = jnp.einsum(
        "npe,nqe->npq", predictions.embeddings, texts / (lengths + _LENGTH_EPSILON),
        precision="highest",
    )  # fmt: skip
    logits = (cosines + predictions.shift[..., None]) * predictions.scale[..., None]
    if asked is None:
        return logits
    return jnp.where(asked[:, None], logits, jnp.finfo(jnp.float32).min)


class PatchMLP(nnx.Module):
    """Three dense layers with exact GELU in between: the heads for boxes and objectness."""

    def __init__(self, width: int, outputs: int, *, dtype, rngs: nnx.Rngs):
        self.first = Linear(width, width, dtype=dtype, rngs=rngs)
        self.second = Linear(width, width, dtype=dtype, rngs=rngs)
        self.last = Linear(width, outputs, dtype=dtype, rngs=rngs)

    def __call__(self, x: Float[Array, "n p d"]) -> Float[Array, "n p o"]:
        """`[N, P, D]` to `[N, P, outputs]` float32."""
        gelu = ACTIVATIONS["gelu"]
        return self.last(gelu(self.second(gelu(self.first(x)))))


class ClassHead(nnx.Module):
    """Where a patch lies in the space of texts, and how its cosines become logits."""

    def __init__(self, width: int, embedding_width: int, *, dtype, rngs: nnx.Rngs):
        self.embedding = Linear(width, embedding_width, dtype=dtype, rngs=rngs)
        self.shift = Linear(width, 1, dtype=dtype, rngs=rngs)
        self.scale = Linear(width, 1, dtype=dtype, rngs=rngs)

    def __call__(
        self, x: Float[Array, "n p d"]
    ) -> tuple[Float[Array, "n p e"], Float[Array, "n p"], Float[Array, "n p"]]:
        """Embeddings of length 1, shifts, and scales, which are positive."""
        embeddings = self.embedding(x)
        lengths = jnp.linalg.norm(embeddings, axis=-1, keepdims=True)
        scale = jax.nn.elu(self.scale(x)) + 1
        return embeddings / (lengths + _LENGTH_EPSILON), self.shift(x)[..., 0], scale[..., 0]


class OWL(nnx.Module):
    """OWL-ViT (Minderer et al. 2022) and OWLv2 (Minderer et al. 2023), as in transformers.

    Texts are embedded by `clip.encode_text`; its towers are CLIP's own, and so is `dtype`.
    """

    def __init__(self, config: OWLConfig, *, dtype=jnp.float32, rngs: nnx.Rngs):
        self.config = config
        width = config.vision.width
        heads = {"dtype": dtype, "rngs": rngs}
        self.clip = CLIP(config, **heads)
        self.patch_norm = LayerNorm(width, epsilon=config.vision.norm_epsilon, rngs=rngs)
        self.class_head = ClassHead(width, config.embedding_width, **heads)
        self.box_head = PatchMLP(width, 4, **heads)
        self.objectness_head = PatchMLP(width, 1, **heads) if config.objectness else None

    def encode_patches(self, pixels: Float[Array | np.ndarray, "n h w 3"]) -> Float[Array, "n p d"]:
        """Features of every patch, row by row: its token times the class token, normed again.

        Raises:
            ValueError: the images are not of the tower's size.
        """
        tower = self.clip.image_tower
        with jax.default_matmul_precision("highest"):
            tokens = tower.post_norm(tower.transformer.last_tokens(tower.embed(pixels)))
            return self.patch_norm(tokens[:, 1:] * tokens[:, :1])

    def predict(self, pixels: Float[Array | np.ndarray, "n h w 3"]) -> Predictions:
        """Boxes, and what texts are compared with, from normalised images `[N, H, W, 3]`.

        Raises:
            ValueError: the images are not of the tower's size.
        """
        patches = self.encode_patches(pixels)
        with jax.default_matmul_precision("highest"):
            vision = self.config.vision
            bias = _box_bias(vision.image_size // vision.patch_size)
            objectness = self.objectness_head
            return Predictions(
                jax.nn.sigmoid(self.box_head(patches) + bias),
                *self.class_head(patches),
                None if objectness is None else objectness(patches)[..., 0],
            )


def _box_bias(grid: int) -> Float[np.ndarray, "p 4"]:
    """The logits of a patch's far corner and size, where its box starts from before training."""
    steps = np.arange(1, grid + 1, dtype=np.float32) / np.float32(grid)
    x, y = np.meshgrid(steps, steps)
    size = np.full_like(x, 1 / grid)
    sides = np.stack([x, y, size, size], axis=-1).reshape(-1, 4)
    return np.log(sides + _BIAS_EPSILON) - np.log1p(_BIAS_EPSILON - sides)
