"""How long does a step of fine-tuning take, beside the paper's step in PyTorch?

    python -m benchmarks.lora_step --torch-python parity/bin/python

ViT-B/32 with random weights in float32, batches of panoramas with one shifted copy each. Both take
a few steps in turn, several times; printed are the median seconds per step and their ratio. The
PyTorch side runs the text tower twice a step, as the paper's code does; ours has embedded the texts
before. It needs a Python with torch, open_clip and peft.
"""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from benchmarks.timing import Work, take_turns, timed
from benchmarks.torch_process import torch_process
from jclip.adapters.lora import add_adapter
from jclip.checkpoints import Checkpoint, load_checkpoint
from jclip.images import plan_views
from jclip.models.unit_norm import normalised
from jclip.runs.command import DONE, run_command
from jclip.training.loop import compiled_step
from jclip.training.lora import LORA_RECIPES, TuningConstants, adapter_step

SCRIPT = Path(__file__).with_name("lora_step_in_torch.py")
HEIGHT, BATCH = 256, 16
ROUNDS, STEPS = 5, 2


@dataclasses.dataclass(frozen=True)
class Options:
    """What PyTorch runs in."""

    torch_python: str = "python"
    """A Python that has torch, open_clip and peft."""


def main(options: Options) -> int:
    """Print seconds per step and the ratio."""
    with torch_process([options.torch_python, str(SCRIPT), str(BATCH)]) as (ask, _):
        ours = prepared_steps(load_checkpoint("random:ViT-B-32"), BATCH, STEPS)
        sides = {"jclip": ours, "pytorch": lambda: ask({"steps": STEPS})["seconds"]}
        seconds = take_turns(sides, ROUNDS)
    medians = {name: taken.median / STEPS for name, taken in seconds.items()}
    print("side,seconds per step")
    for name, median in medians.items():
        print(f"{name},{median:.3f}")
    print(f"ratio,{medians['jclip'] / medians['pytorch']:.2f}")
    return DONE


def prepared_steps(checkpoint: Checkpoint, count: int, steps: int) -> Work:
    """As many training steps one after the other, each on `count` panoramas."""
    recipe = dataclasses.replace(LORA_RECIPES["reference"], anchor="both")
    clip = add_adapter(checkpoint.clip, recipe.adapter, nnx.Rngs(0))
    config, key = checkpoint.image_config, jax.random.key(0)
    _, state, parameters, train_step = adapter_step(clip, recipe, config, "crop", key)
    rng, width = np.random.default_rng(0), checkpoint.clip.config.embedding_width
    texts = normalised(jnp.asarray(rng.normal(size=(count, width)), jnp.float32))
    plan = plan_views(HEIGHT, 2 * HEIGHT, (0,), config.size, "crop")
    scores = jnp.asarray(rng.normal(size=count), jnp.float32)
    frozen = TuningConstants(parameters, texts, scores, plan, jnp.float32(0.5))
    images = rng.integers(0, 256, (count, HEIGHT, 2 * HEIGHT, 3), dtype=np.uint8)
    batch = {"images": images, "rows": np.arange(count, dtype=np.int32)}
    state = jax.device_put(state, may_alias=False)
    step = compiled_step(train_step, state)

    def take() -> jax.Array:
        nonlocal state
        for _ in range(steps):
            state, _ = step(state, frozen, batch)
        return state.step

    return timed(take)


if __name__ == "__main__":
    run_command(Options, main, __doc__)
