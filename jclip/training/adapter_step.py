"""The step that trains an adapter for shift invariance (paper 1), as one recipe has it."""

import functools
from typing import Any

import jax
import optax
from flax import nnx

from jclip.checkpoints import ImageConfig
from jclip.images import Fit
from jclip.models import CLIP
from jclip.training.loop import TrainState, TrainStep, init_state, make_train_step
from jclip.training.recipes import LoRARecipe
from jclip.training.shift_invariance import make_shift_invariance_loss


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
        and the step: its frozen argument is a `Frozen`, its batch `{"images", "rows"}`.
    """
    optimizer = _optimizer(recipe)
    graph, state, parameters = init_state(clip, optimizer, key, trainable=nnx.LoRAParam)
    return graph, state, parameters, _step(graph, recipe, image_config, fit)


def _optimizer(recipe: LoRARecipe) -> optax.GradientTransformation:
    return optax.adamw(recipe.learning_rate, weight_decay=recipe.weight_decay)


# JAX knows a function by its identity: networks that are alike share one, and its compilation.
@functools.lru_cache
def _step(
    graph: nnx.GraphDef, recipe: LoRARecipe, image_config: ImageConfig, fit: Fit
) -> TrainStep:
    loss = make_shift_invariance_loss(graph, image_config, fit, recipe.dropout_masks, recipe.anchor)
    return make_train_step(loss, _optimizer(recipe), recipe.clip_norm)
