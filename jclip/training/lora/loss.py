"""The loss that makes scores survive circular shifts (paper 1)."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, UInt8

from jclip.adapters.lora import with_dropout
from jclip.checkpoints import ImageConfig
from jclip.images import Fit, ViewPlan, circular_shift, normalise, shift_views
from jclip.models.unit_norm import normalised
from jclip.training.loop import LossFunction
from jclip.training.lora.recipe import Anchor, DropoutMasks
from jclip.training.losses import charbonnier, stability_loss


class TuningConstants(NamedTuple):
    """What every step of training an adapter reads and none changes, on the device.

    `parameters` are those of the network. `texts` `[N, E]` are normalised and `scores_before` `[N]`
    are of the untuned network at shift 0; a batch names its rows. `unshifted` is the plan of no
    shift. `lam` is the weight of the shifted against the original score; the rest anchors it to the
    score before. An array, so that one compilation serves all.
    """

    parameters: Any
    texts: Float[Array, "n e"]
    scores_before: Float[Array, " n"]
    unshifted: ViewPlan
    lam: Float[Array, ""]


def make_shift_invariance_loss(
    graph: nnx.GraphDef,
    image_config: ImageConfig,
    fit: Fit,
    dropout_masks: DropoutMasks = "same",
    anchor: Anchor = "both",
) -> LossFunction:
    """The loss of a batch `{"images": [N, H, W, 3] uint8, "rows": [N] int32}`, for `train`.

    Each panorama is scored as it is and turned by a new uniform random shift, drawn and applied on
    the device; `stability_loss` compares the two. Its `frozen` argument is a `TuningConstants`.

    Args:
        graph: of a network with an adapter, from `init_state`.
        image_config: how the network's input is made.
        fit: how a panorama becomes a square; `tiles` averages the embeddings of both.
        anchor: which scores are held to the one before, with weight 1 - lam: the shifted alone, as
            in the paper's code, or the original too.
        dropout_masks: whether a panorama and its shifted copy share their dropout masks; in the
            paper's code they do not.
    """

    def embed(clip, views: UInt8[Array, "n t h w 3"]):
        n, tiles = views.shape[:2]
        flat = views.reshape(n * tiles, *views.shape[2:])
        pixels = normalise(flat, image_config.mean, image_config.std)
        embeddings = normalised(clip.encode_image(pixels)).reshape(n, tiles, -1)
        return embeddings[:, 0] if tiles == 1 else normalised(embeddings.mean(axis=1))

    def loss(trainable, frozen: TuningConstants, batch, key):
        clip = nnx.merge(graph, trainable, frozen.parameters)
        images = jnp.asarray(batch["images"])
        shift_key, dropout_key = jax.random.split(key)
        shifts = jax.random.randint(shift_key, (len(images),), 0, images.shape[2])
        # Versions behind images: these are split over devices, and would have to be gathered.
        both = jnp.stack([images, _shift_each(images, shifts)], axis=1)
        views = shift_views(
            both.reshape(-1, *images.shape[1:]), frozen.unshifted, image_config.size, fit
        )[:, 0]
        halves = jnp.moveaxis(views.reshape(len(images), 2, *views.shape[1:]), 1, 0)
        clip = with_dropout(clip, dropout_key)
        if dropout_masks == "same":
            # Mapped over the two versions, the masks are those of one batch.
            embeddings = jax.vmap(functools.partial(embed, clip))(halves)
        else:
            embeddings = embed(clip, halves.reshape(views.shape)).reshape(2, len(images), -1)
        texts = frozen.texts[batch["rows"]]
        original, shifted = 100 * jnp.einsum("vne,ne->vn", embeddings, texts, precision="highest")
        before = frozen.scores_before[batch["rows"]]
        value = stability_loss(shifted, original, before, frozen.lam)
        if anchor == "both":
            value += (1 - frozen.lam) * charbonnier(original, before)
        return value, {"change": jnp.abs(shifted - original).mean()}

    return loss


def _shift_each(
    images: UInt8[Array, "n h w 3"], shifts: Int[Array, " n"]
) -> UInt8[Array, "n h w 3"]:
    return jax.vmap(circular_shift)(images, shifts)
