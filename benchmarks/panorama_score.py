"""What the `jclip` protocol of a panorama costs beside the embedding of its pictures alone.

    python -m benchmarks.panorama_score --model random:ViT-B-32 --height 1024

Both take turns in one process. The protocol begins at decoded panoramas on the host: it makes 8
yaws under each fit and 13 spherical views, embeds them, scores all and looks at the seam; the
embedding alone begins at as many squares on the device.
"""

import dataclasses
from typing import Annotated

import jax
import numpy as np
import tyro

from benchmarks.timing import take_turns, timed
from jclip.checkpoints import load_checkpoint
from jclip.data.pipeline import Batch
from jclip.distributed import local_mesh, shard_batch
from jclip.probes.embed import embed_squares
from jclip.probes.panoramas import PanoramaProbe
from jclip.probes.subjects import make_subjects


@dataclasses.dataclass(frozen=True)
class Options:
    """What is timed."""

    model: str = "random:ViT-B-32"
    height: int = 1024
    """Of the panoramas, in pixels; they are twice as wide."""
    panoramas: int = 2
    """In a batch."""
    rounds: int = 10
    fits: Annotated[tuple[str, ...], tyro.conf.arg(help="As crop squash.")] = ("crop", "squash")


def main(options: Options) -> None:
    """Time both, and print the ratio of their medians."""
    checkpoint = load_checkpoint(options.model)
    probe = PanoramaProbe(("jclip",), options.fits)  # type: ignore[arg-type]
    n, shape = options.panoramas, (options.height, 2 * options.height, 3)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (n, *shape), dtype=np.uint8)
    # A caption and one of each of eight views, without and with a prefix.
    prompts = [["a room"] * 17] * n
    (subject,), _ = make_subjects(checkpoint, probe.fits, prompts)
    batch, rows = Batch(tuple(range(n)), pixels, ()), np.arange(n)
    config = checkpoint.image_config
    squares = rng.integers(0, 256, (n * probe.views, config.size, config.size, 3), dtype=np.uint8)
    squares = shard_batch(local_mesh(), squares)
    taken = take_turns(
        {
            "protocol": timed(
                lambda: probe.score(subject, batch, shard_batch(local_mesh(), pixels), rows)
            ),
            "embedding": timed(
                lambda: embed_squares(*subject.network, squares, image_config=config)
            ),
        },
        options.rounds,
    )
    ratios = taken["protocol"].rounds / taken["embedding"].rounds
    for name, seconds in taken.items():
        print(f"{name}: {seconds.median / n:.3f} s per panorama ({probe.views} pictures)")
    print(f"ratio {np.median(ratios):.3f}, {jax.devices()[0].device_kind}, fits {options.fits}")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
