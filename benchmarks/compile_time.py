"""Does a tower twice as deep compile about as fast?

    python -m benchmarks.compile_time

Compiles the image tower of ViT-L/14 with 12 and with 24 layers, interleaved, and prints the seconds
of each and the ratio of the medians. Two minutes on two CPU cores.
"""

import dataclasses
import statistics
import time

import jax
import jax.numpy as jnp
from flax import nnx

from jclip.models import ARCHITECTURES, CLIP

REPETITIONS = 3


def seconds_to_compile(layers: int) -> float:
    """Seconds that XLA takes for a ViT-L/14 image tower of `layers` blocks, tracing included."""
    config = ARCHITECTURES["ViT-L-14"]
    config = dataclasses.replace(config, vision=dataclasses.replace(config.vision, layers=layers))
    graph, state = nnx.split(nnx.eval_shape(lambda: CLIP(config, rngs=nnx.Rngs(0))))
    pixels = jax.ShapeDtypeStruct((8, 224, 224, 3), jnp.float32)
    jax.clear_caches()
    start = time.perf_counter()
    jax.jit(lambda s, x: nnx.merge(graph, s).encode_image(x)).lower(state, pixels).compile()
    return time.perf_counter() - start


def main() -> None:
    """Print the table."""
    seconds = {12: [], 24: []}
    for _ in range(REPETITIONS):
        for layers, taken in seconds.items():
            taken.append(seconds_to_compile(layers))
    print("layers,seconds")
    for layers, taken in seconds.items():
        print(f"{layers},{' '.join(f'{t:.2f}' for t in taken)}")
    twelve, deep = (statistics.median(taken) for taken in seconds.values())
    print(f"ratio of medians,{deep / twelve:.2f}")


if __name__ == "__main__":
    main()
