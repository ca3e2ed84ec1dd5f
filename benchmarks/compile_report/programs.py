"""The programs of the experiments for chips that are not there: traced with shapes for arrays.

They are the functions that the experiments run, at the size of paper 1's panoramas and paper 2's
captions. Parameters are whole on every chip, batches are split along the axis `data`.
"""

import contextlib
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from benchmarks.sweep import SHIFTS, equal_shifts
from jclip.adapters.lora import add_adapter
from jclip.checkpoints import CheckpointDescription
from jclip.checkpoints.flops import tower_flops
from jclip.distributed import DATA, split_sharding
from jclip.heads import HeadConfig
from jclip.images import Fit, place, plan_views
from jclip.models import CLIP, CLIPConfig
from jclip.probes.embed import embed_views
from jclip.probes.shift import shifts_that_fit
from jclip.training.head_batches import RECIPES as HEAD_RECIPES
from jclip.training.head_batches import CaptionPairs, HeadRecipe
from jclip.training.head_epoch import epoch_of_all
from jclip.training.head_training import HeadRun, start_runs
from jclip.training.loop import compiled_step
from jclip.training.lora import LORA_RECIPES, TuningConstants, adapter_step

HEIGHT, WIDTH = 512, 1024
TRAINING_PANORAMAS = 1000
# COCO 2017: images and captions of the training and of the validation split.
COCO = (118_287, 591_753), (5_000, 25_014)
HEAD_SEEDS = 5


@dataclasses.dataclass(frozen=True)
class Program:
    """A program that can be compiled, and what is known of it beforehand.

    `traced` has `.jaxpr` and `.lower()`. `images_per_chip` go through the image tower in one run;
    `formula_flops` are the tower's operations for the images of all chips, None where the program
    also differentiates, and for a tower of any shape where images are not square.
    """

    traced: Any
    chips: int
    images_per_chip: int
    formula_flops: int | None = None


def _placed(mesh: Mesh, tree: Any, *axes: str) -> Any:
    """Shapes of arrays that are whole on every chip, or split along their first axis."""
    sharding = NamedSharding(mesh, PartitionSpec(*axes))
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree)


def _split(mesh: Mesh, tree: Any) -> Any:
    """Shapes of arrays that are split as `split_parameters` splits them."""

    def split(x):
        return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=split_sharding(mesh, x))

    return jax.tree.map(split, tree)


def _shape(*extent: int, dtype: Any = jnp.float32) -> Any:
    """An array that is not there."""
    return jax.ShapeDtypeStruct(extent, dtype)


def _network(described: CheckpointDescription) -> CLIP:
    """In bfloat16, as `--precision auto` loads it on a TPU."""
    return CLIP(described.config, dtype=jnp.bfloat16, rngs=nnx.Rngs(0))


def sweep_program(
    described: CheckpointDescription, mesh: Mesh, views_per_chip: int, fit: Fit
) -> Program:
    """A step of a shift sweep: eight shifts of every panorama and, as by default, its mirror image.

    The checkpoint's weights are not read. `views_per_chip` are shifted images in one step, a
    multiple of eight; mirror images come on top.
    """
    graph, state = nnx.split(nnx.eval_shape(lambda: _network(described)))
    config, rows = described.image_config, views_per_chip // SHIFTS * mesh.size
    plan, unshifted = (
        plan_views(HEIGHT, WIDTH, which, config.size, fit, config.interpolation)
        for which in (equal_shifts(WIDTH), (0,))
    )
    panoramas = _shape(rows, HEIGHT, WIDTH, 3, dtype=jnp.uint8)
    traced = embed_views.trace(
        graph,
        _placed(mesh, state),
        _placed(mesh, panoramas, DATA),
        _placed(mesh, plan),
        _placed(mesh, unshifted),
        image_config=config,
        fit=fit,
        shifts_at_once=shifts_that_fit(rows // mesh.size, plan),
    )
    images = rows * (SHIFTS + 1) * plan.views[1]
    each = _formula(described.config, *place(HEIGHT, WIDTH, config.size, fit).shape)
    return Program(traced, mesh.size, images // mesh.size, each and images * each)


def _formula(config: CLIPConfig, height: int, width: int) -> int | None:
    """Operations for one image; of a tower that takes every shape, only for squares."""
    if not config.vision.flexible:
        return tower_flops(config)
    vision = dataclasses.replace(config.vision, image_size=height)
    return tower_flops(dataclasses.replace(config, vision=vision)) if height == width else None


def tuning_program(
    described: CheckpointDescription, mesh: Mesh, views_per_chip: int, fit: Fit, split: bool = False
) -> Program:
    """A training step of an adapter by our recipe: two views of every panorama, one shifted.

    `split` puts a slice of every large parameter on each chip, instead of all of it.
    """
    recipe, config = LORA_RECIPES["corrected"], described.image_config
    steps = []

    def start():
        clip = add_adapter(_network(described), recipe.adapter, nnx.Rngs(0))
        key = jax.random.key(0)
        _, state, parameters, step = adapter_step(clip, recipe, config, fit, key)
        steps.append(step)
        return state, parameters

    state, parameters = (_split if split else _placed)(mesh, jax.eval_shape(start))
    plan = plan_views(HEIGHT, WIDTH, (0,), config.size, fit, config.interpolation)
    width, rows = described.config.embedding_width, views_per_chip // 2 * mesh.size
    constants = TuningConstants(
        parameters=(),
        texts=_shape(TRAINING_PANORAMAS, width),
        scores_before=_shape(TRAINING_PANORAMAS),
        unshifted=plan,
        lam=_shape(),
    )
    batch = {
        "images": _shape(rows, HEIGHT, WIDTH, 3, dtype=jnp.uint8),
        "rows": _shape(rows, dtype=jnp.int32),
    }
    frozen = _placed(mesh, constants)._replace(parameters=parameters)
    step = compiled_step(steps[0], state)
    # Under a mesh, blocks gather their parameters.
    abstract = jax.sharding.use_abstract_mesh(mesh.abstract_mesh)
    with abstract if split else contextlib.nullcontext():
        traced = step.trace(state, frozen, _placed(mesh, batch, DATA))
    return Program(traced, mesh.size, 2 * rows * plan.views[1] // mesh.size)


def head_program(described: CheckpointDescription, mesh: Mesh) -> Program:
    """An epoch of the warm-up of five linear heads, on the captions of COCO 2017 and one chip."""
    size = described.config.embedding_width
    recipe, (rate, margin) = HeadRecipe("warm-up"), HEAD_RECIPES["warm-up"]
    runs = [HeadRun(seed, rate, margin) for seed in range(HEAD_SEEDS)]
    graphs = []

    def start():
        config = HeadConfig("linear", size, "cosine")
        graph, state = start_runs(config, recipe, runs, "pytorch", None)
        graphs.append(graph)
        return state

    state = jax.eval_shape(start)
    constants = (_shape(HEAD_SEEDS),) * 2
    parts = [
        CaptionPairs(
            images=_shape(images, size),
            captions=_shape(captions, size),
            caption_images=_shape(captions, dtype=jnp.int32),
            examples=_shape(captions, dtype=jnp.int32),
        )
        for images, captions in COCO
    ]
    traced = epoch_of_all.trace(
        recipe, graphs[0], *(_placed(mesh, part) for part in (state, constants, *parts))
    )
    return Program(traced, mesh.size, 0)
