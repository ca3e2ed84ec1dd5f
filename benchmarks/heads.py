"""Are eight seeds of a head trained at once faster than eight in turn by plain PyTorch?

    python -m benchmarks.heads --torch-python PATH/bin/python

Trains a linear head by the warm-up of paper 2 on 50,000 random pairs of embeddings with 512 numbers
(10 epochs, batches of 256, Adam, a validation after each epoch): all seeds in one compiled program,
compilation included, and then one after the other in a plain PyTorch loop, in a Python that has
torch. Prints the seconds of both, their ratio, and the validation losses, which have to agree.
Several minutes on two CPU cores.
"""

import dataclasses
import tempfile
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.torch_process import torch_process
from jclip.heads import HeadConfig
from jclip.runs.command import DONE, run_command
from jclip.training.head_batches import CaptionPairs, HeadRecipe
from jclip.training.head_training import HeadRun, train_heads

SIZE, PAIRS, HELD_OUT = 512, 50_000, 2_000
EPOCHS, SEEDS = 10, 8
SCRIPT = Path(__file__).with_name("heads_in_torch.py")


def draw_pairs(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings of images and captions: noise around something that both share."""
    rng = np.random.default_rng(0)
    shared, *own = (rng.standard_normal((count, SIZE), np.float32) for _ in range(3))
    images, captions = (shared + noise for noise in own)
    return images, np.roll(captions, 1, axis=1)


def train_at_once(
    images: np.ndarray, captions: np.ndarray, epochs: int = EPOCHS
) -> tuple[float, list[float]]:
    """Seconds, and the validation losses of all seeds."""
    rows = jnp.arange(len(images))
    runs = [HeadRun(seed, 5e-5, 0.2) for seed in range(SEEDS)]
    begin = time.perf_counter()
    placed = (jax.device_put(images), jax.device_put(captions), rows)
    pairs = CaptionPairs(*placed, examples=rows[:-HELD_OUT])
    held_out = pairs._replace(examples=rows[-HELD_OUT:])
    recipe = HeadRecipe("warm-up", epochs=epochs)
    trained = train_heads(HeadConfig("linear", SIZE), recipe, runs, pairs, held_out)
    return time.perf_counter() - begin, [head.validation_loss for head in trained]


@dataclasses.dataclass(frozen=True)
class Options:
    """What PyTorch runs in."""

    torch_python: str = "python"
    """A Python that has torch."""


def main(options: Options) -> int:
    """Print both times."""
    images, captions = draw_pairs(PAIRS + HELD_OUT)
    with (
        torch_process([options.torch_python, str(SCRIPT)]) as (ask, said),
        tempfile.TemporaryDirectory() as folder,
    ):
        seconds, losses = train_at_once(images, captions)
        print(f"jax {jax.__version__}, at once: {seconds:.1f} s", flush=True)
        path = Path(folder) / "features.npz"
        np.savez(path, images=images, captions=captions, held_out=HELD_OUT)
        theirs = ask({"features": str(path), "epochs": EPOCHS, "seeds": SEEDS})
    print(f"torch {said['torch']}, in turn: {theirs['seconds']:.1f} s")
    print(f"ratio: {seconds / theirs['seconds']:.2f}")
    for name, values in (("jax", losses), ("torch", theirs["losses"])):
        print(f"validation loss, {name}: {np.mean(values):.2f} +- {np.std(values):.2f}")
    return DONE


if __name__ == "__main__":
    run_command(Options, main, __doc__)
