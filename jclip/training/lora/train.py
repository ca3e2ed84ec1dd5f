"""Training an adapter: loss and step of a recipe, the run over a set of panoramas, its memory."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jclip.adapters.lora import add_adapter, with_dropout
from jclip.checkpoints import Checkpoint, ImageConfig
from jclip.checkpoints.peft import AdapterLayout, is_adapter, save_adapter
from jclip.data.images import ImageFile
from jclip.data.training_batches import image_batches, steps_per_epoch
from jclip.distributed import data_mesh, is_lead, replicate, shard_batch, wait_for_all
from jclip.images import AnyPlan, Fit, circular_shift, plan_views, shift_views
from jclip.models import CLIP
from jclip.probes.embed import embed_tiles
from jclip.training.loop import (
    LossFunction,
    TrainState,
    TrainStep,
    init_state,
    make_train_step,
    train,
)
from jclip.training.lora.recipe import Anchor, DropoutMasks, LoRARecipe
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
    unshifted: AnyPlan
    lam: Float[Array, ""]


def make_shift_invariance_loss(
    graph: nnx.GraphDef,
    image_config: ImageConfig,
    fit: Fit,
    dropout_masks: DropoutMasks = "same",
    anchor: Anchor = "both",
) -> LossFunction:
    """The loss of a batch `{"images": [N, H, W, 3] uint8, "rows": [N] int32}`, for `train`.

    With `"present": [N] bool` too, the others count for nothing.

    Each panorama is scored as it is and turned by a new uniform random shift, drawn and applied on
    the device; `stability_loss` compares the two. Its `frozen` argument is a `TuningConstants`.

    Args:
        graph: of a network with an adapter, from `init_state`.
        image_config: how the network's input is made.
        fit: how a panorama becomes a square; `tiles` and views on the sphere are averaged.
        anchor: which scores are held to the one before, with weight 1 - lam: the shifted alone, as
            in the paper's code, or the original too.
        dropout_masks: whether a panorama and its shifted copy share their dropout masks; in the
            paper's code they do not.
    """

    def loss(trainable, frozen: TuningConstants, batch, key):
        clip = nnx.merge(graph, trainable, frozen.parameters)
        images = jnp.asarray(batch["images"])
        shift_key, dropout_key = jax.random.split(key)
        shifts = jax.random.randint(shift_key, (len(images),), 0, images.shape[2])
        # Versions behind images: these are split over devices, and would have to be gathered.
        both = jnp.stack([images, jax.vmap(circular_shift)(images, shifts)], axis=1)
        flat = both.reshape(-1, *images.shape[1:])
        views = shift_views(flat, frozen.unshifted, image_config.size, fit)
        halves = jnp.moveaxis(views.reshape(len(images), 2, *views.shape[1:]), 1, 0)
        embed = functools.partial(embed_tiles, with_dropout(clip, dropout_key), image_config)
        if dropout_masks == "same":
            # Mapped over the two versions, the masks are those of one batch.
            embeddings = jax.vmap(embed)(halves)
        else:
            embeddings = embed(halves.reshape(views.shape)).reshape(2, len(images), 1, -1)
        texts = frozen.texts[batch["rows"]]
        seen = embeddings[:, :, 0]
        original, shifted = 100 * jnp.einsum("vne,ne->vn", seen, texts, precision="highest")
        before = frozen.scores_before[batch["rows"]]
        present = batch.get("present")
        value = stability_loss(shifted, original, before, frozen.lam, present)
        if anchor == "both":
            value += (1 - frozen.lam) * charbonnier(original, before, present=present)
        return value, {"change": jnp.abs(shifted - original).mean(where=present)}

    return loss


def adapter_step(
    clip: CLIP,
    recipe: LoRARecipe,
    image_config: ImageConfig,
    fit: Fit,
    key: jax.Array,
) -> tuple[nnx.GraphDef, TrainState, Any, TrainStep]:
    """What an adapter's training starts from, and its step.

    Args:
        clip: with an adapter, from `add_adapter`.
        recipe: how it is trained.
        image_config: how the network's input is made.
        fit: how a panorama becomes a square.
        key: where every step's shifts and dropout come from.

    Returns:
        The graph definition, the state before the first step, the parameters that stay as they are,
        and the step: its frozen argument is a `TuningConstants`, its batch `{"images", "rows"}`.
    """
    graph, state, parameters = init_state(clip, recipe.optimizer, key, trainable=nnx.LoRAParam)
    return graph, state, parameters, _step(graph, recipe, image_config, fit)


# JAX knows a function by its identity: networks that are alike share one, and its compilation.
@functools.lru_cache
def _step(
    graph: nnx.GraphDef, recipe: LoRARecipe, image_config: ImageConfig, fit: Fit
) -> TrainStep:
    loss = make_shift_invariance_loss(graph, image_config, fit, recipe.dropout_masks, recipe.anchor)
    return make_train_step(loss, recipe.optimizer, recipe.clip_norm)


def train_adapter(
    checkpoint: Checkpoint,
    recipe: LoRARecipe,
    fit: Fit,
    images: Sequence[ImageFile],
    texts: Float[Array, "n e"],
    scores_before: Float[Array, " n"],
    folder: Path,
    *,
    lam: float,
    seed: int,
    epochs_between_checkpoints: int,
    layout: AdapterLayout = "transformers",
) -> None:
    """Train an adapter on all devices of all processes, and save it to `folder/adapter`.

    It goes on after the folder's latest checkpoint; an adapter that is there is left as it is.

    Args:
        checkpoint: the network, left as it is.
        recipe: how it is trained.
        fit: how a panorama becomes a square.
        images: N panoramas of one size.
        texts: `[N, E]`, normalised embeddings of their prompts.
        scores_before: `[N]`, of the untuned network.
        folder: gets `adapter/` in peft's layout, `metrics.csv` and `checkpoints/`.
        lam: weight of the shifted against the original score.
        seed: of initial factors, order, shifts and dropout.
        epochs_between_checkpoints: the last epoch always ends with one.
        layout: whose names the adapter is saved under.

    Raises:
        InputError: the images differ in size; the devices do not divide it; or
            see `add_adapter`, `train` and `save_adapter`.
        RunStopped: see `train`.
    """
    there = is_adapter(folder / "adapter")
    wait_for_all(f"looked for the adapter of {folder.name}")
    if there:
        return
    size, last, config = recipe.batch_size_train, recipe.last_batch, checkpoint.image_config
    mesh, steps = data_mesh(size), steps_per_epoch(images, size, last)
    clip = add_adapter(checkpoint.clip, recipe.adapter, nnx.Rngs(seed))
    graph, state, parameters, step = adapter_step(clip, recipe, config, fit, jax.random.key(seed))
    shape = images[0].height, images[0].width
    unshifted = plan_views(*shape, (0,), config.size, fit, config.interpolation)
    constants = TuningConstants(parameters, texts, scores_before, unshifted, jnp.float32(lam))
    to_device = functools.partial(shard_batch, mesh)
    batches = image_batches(images, size, recipe.epochs, seed, to_device, last)
    folder.mkdir(exist_ok=True)
    state = train(
        step,
        replicate(mesh, state),
        replicate(mesh, constants),
        batches,
        folder,
        steps=steps * recipe.epochs,
        checkpoint_every=epochs_between_checkpoints * steps,
    )
    if is_lead():
        tuned = nnx.merge(graph, state.trainable, parameters)
        save_adapter(tuned, folder / "adapter", layout=layout)
    wait_for_all(f"saved the adapter of {folder.name}")


def memory_held(clip: CLIP, recipe: LoRARecipe) -> dict[str, str]:
    """What stays on the device while an adapter is trained, and the peak where JAX knows it.

    The frozen network, which has no adapter yet, has no optimiser state.
    """
    clip = add_adapter(clip, recipe.adapter, nnx.Rngs(0))
    _, state, parameters = init_state(clip, recipe.optimizer, jax.random.key(0), nnx.LoRAParam)
    parts = {
        "frozen parameters": parameters,
        "trained factors": state.trainable,
        "optimiser state": state.optimizer,
    }
    sizes = {name: sum(x.nbytes for x in jax.tree.leaves(tree)) for name, tree in parts.items()}
    found = {name: f"{size / 2**20:.2f} MiB" for name, size in sizes.items()}
    statistics = jax.local_devices()[0].memory_stats()
    if statistics and "peak_bytes_in_use" in statistics:
        found["peak on the device"] = f"{statistics['peak_bytes_in_use'] / 2**20:.0f} MiB"
    return found
