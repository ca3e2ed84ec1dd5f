"""Training an adapter: the step of a recipe, the run over a set of panoramas, and its memory."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jclip.adapters.lora import add_adapter
from jclip.checkpoints import Checkpoint, ImageConfig
from jclip.checkpoints.peft import is_adapter, save_adapter
from jclip.data.images import ImageFile
from jclip.data.training_batches import image_batches, steps_per_epoch
from jclip.distributed import data_mesh, is_lead, replicate, shard_batch, wait_for_all
from jclip.images import Fit, plan_views
from jclip.models import CLIP
from jclip.training.loop import TrainState, TrainStep, init_state, make_train_step, train
from jclip.training.lora.loss import TuningConstants, make_shift_invariance_loss
from jclip.training.lora.recipe import LoRARecipe


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

    Raises:
        InputError: the images make no batch, or differ in size; the devices do not divide it; or
            see `add_adapter`, `train` and `save_adapter`.
        RunStopped: see `train`.
    """
    there = is_adapter(folder / "adapter")
    wait_for_all(f"looked for the adapter of {folder.name}")
    if there:
        return
    size, config = recipe.batch_size_train, checkpoint.image_config
    mesh, steps = data_mesh(size), steps_per_epoch(images, size)
    clip = add_adapter(checkpoint.clip, recipe.adapter, nnx.Rngs(seed))
    graph, state, parameters, step = adapter_step(clip, recipe, config, fit, jax.random.key(seed))
    shape = images[0].height, images[0].width
    unshifted = plan_views(*shape, (0,), config.size, fit, config.interpolation)
    constants = TuningConstants(parameters, texts, scores_before, unshifted, jnp.float32(lam))
    batches = image_batches(
        images, size, recipe.epochs, seed, lambda batch: shard_batch(mesh, batch)
    )
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
        save_adapter(nnx.merge(graph, state.trainable, parameters), folder / "adapter")
    wait_for_all(f"saved the adapter of {folder.name}")


def memory_held(clip: CLIP, recipe: LoRARecipe) -> dict[str, str]:
    """What stays on the device while an adapter is trained, and the peak where JAX knows it.

    The frozen network has no optimiser state.

    Args:
        clip: without an adapter.
        recipe: how it is trained.
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
