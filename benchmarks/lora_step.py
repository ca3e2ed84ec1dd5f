"""How long does a step of fine-tuning take, beside the paper's step in PyTorch?

    python -m benchmarks.lora_step --torch-python parity/bin/python

ViT-B/32 with random weights in float32, batches of panoramas with one shifted copy each. Both take
a few steps in turn, several times; printed are the median seconds per step and their ratio. The
PyTorch side runs the text tower twice a step, as the paper's code does; ours has embedded the texts
before. It needs a Python with torch, open_clip and peft.
"""

import dataclasses
import time
from pathlib import Path
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from benchmarks.timing import take_turns
from benchmarks.torch_process import torch_process
from jclip.adapters.lora import add_adapter
from jclip.checkpoints import load_checkpoint
from jclip.images import plan_views
from jclip.models.unit_norm import normalised
from jclip.runs.command import DONE, run_command
from jclip.training.loop import compiled_step
from jclip.training.lora import LORA_RECIPES, TuningConstants, adapter_step

SCRIPT = Path(__file__).with_name("lora_step_in_torch.py")
HEIGHT = 256
OURS = {"reference": "reference", "mlp": r"image_tower\..*\.mlp\..*"}


@dataclasses.dataclass(frozen=True)
class Options:
    """What is timed."""

    torch_python: str = "python"
    """A Python that has torch, open_clip and peft."""
    batch_size: int = 16
    """Panoramas per step; the paper's is 16."""
    targets: Literal["reference", "mlp"] = "reference"
    """Adapted layers, the same on both sides: the paper's, or both MLP products."""
    rounds: int = 5
    """How often both take their steps in turn."""
    steps: int = 2
    """Steps of each side per round."""


def main(options: Options) -> int:
    """Print seconds per step and the ratio."""
    command = [options.torch_python, str(SCRIPT), str(options.batch_size), options.targets]
    with torch_process(command) as (ask, _):
        take_steps = _our_steps(options)
        sides = {
            "jclip": lambda: take_steps(options.steps),
            "pytorch": lambda: ask({"steps": options.steps})["seconds"],
        }
        seconds = take_turns(sides, options.rounds)
    medians = {name: taken.median / options.steps for name, taken in seconds.items()}
    print("side,seconds per step")
    for name, median in medians.items():
        print(f"{name},{median:.3f}")
    print(f"ratio,{medians['jclip'] / medians['pytorch']:.2f}")
    return DONE


def _our_steps(options: Options):
    """A function that takes steps and returns the seconds."""
    checkpoint = load_checkpoint("random:ViT-B-32")
    recipe = dataclasses.replace(
        LORA_RECIPES["reference"], targets=OURS[options.targets], anchor="both"
    )
    clip = add_adapter(checkpoint.clip, recipe.adapter, nnx.Rngs(0))
    config, key = checkpoint.image_config, jax.random.key(0)
    _, state, parameters, train_step = adapter_step(clip, recipe, config, "crop", key)
    rng, count = np.random.default_rng(0), options.batch_size
    width = checkpoint.clip.config.embedding_width
    texts = normalised(jnp.asarray(rng.normal(size=(count, width)), jnp.float32))
    plan = plan_views(HEIGHT, 2 * HEIGHT, (0,), config.size, "crop")
    scores = jnp.asarray(rng.normal(size=count), jnp.float32)
    frozen = TuningConstants(parameters, texts, scores, plan, jnp.float32(0.5))
    images = rng.integers(0, 256, (count, HEIGHT, 2 * HEIGHT, 3), dtype=np.uint8)
    batch = {"images": images, "rows": np.arange(count, dtype=np.int32)}
    state = jax.device_put(state, may_alias=False)
    step = compiled_step(train_step, state)

    def take(steps: int) -> float:
        nonlocal state
        begun = time.perf_counter()
        for _ in range(steps):
            state, _ = step(state, frozen, batch)
        jax.block_until_ready(state.step)
        return time.perf_counter() - begun

    return take


if __name__ == "__main__":
    run_command(Options, main, __doc__)
