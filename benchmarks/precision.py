"""How far do bfloat16 scores lie from float32 scores?

    python -m benchmarks.precision --models random:ViT-B-32,random:ViT-L-14

Scores the sample panoramas at eight shifts in both precisions, by each model's own fit; prints the
largest and the median deviation (score = 100 x cosine) per model. B/32 takes a minute on two CPU
cores, L/14 six.
"""

import dataclasses
from typing import Annotated

import jax.numpy as jnp
import numpy as np
import tyro

from benchmarks.sweep import prepared_sweep, prompts_of
from jclip.checkpoints import load_checkpoint
from jclip.data.image_sets import open_image_set
from jclip.runs.command import DONE, run_command
from jclip.runs.options import Names


@dataclasses.dataclass(frozen=True)
class Options:
    """What is compared."""

    models: Annotated[Names, tyro.conf.arg(aliases=["--model"])] = ("random:ViT-B-32",)
    """Checkpoints."""
    panoramas: int = 12
    """How many of the twelve samples are scored."""


def main(options: Options) -> int:
    """Print one line per model."""
    panoramas = open_image_set("samples")
    prompts, images = prompts_of(panoramas), panoramas.images[: options.panoramas]
    print("model,largest deviation,median deviation,largest |score|")
    for name in options.models:
        both = []
        for dtype in (jnp.float32, jnp.bfloat16):
            checkpoint = load_checkpoint(name, dtype=dtype)
            fit = checkpoint.image_config.fit
            sweep = prepared_sweep(checkpoint, fit, images, prompts[: len(images)], 16)
            both.append(sweep(None))
        deviation, largest = np.abs(both[0] - both[1]), np.abs(both[0]).max()
        print(f"{name},{deviation.max():.4f},{np.median(deviation):.4f},{largest:.2f}")
    return DONE


if __name__ == "__main__":
    run_command(Options, main, __doc__)
