"""What do the regions of all boxes cost beside one embedding of every picture?

    python -m benchmarks.regions --model random:ViT-B-16 --pictures 1707 --boxes 3545

Synthetic pictures, squares of the tower's size in memory, with boxes like FG-OVD's set Hard: as
many, drawn over the pictures, most of them small. In turns, every picture is embedded, and the
regions of all boxes are, from boxes in pixels to embeddings on the host. Prints the medians and the
ratio of each pair of turns; at most 1.2 is wanted.
"""

import dataclasses
import functools
import itertools

import numpy as np

from benchmarks.timing import take_turns, timed
from jclip.checkpoints import Checkpoint, load_checkpoint
from jclip.data.images import ImageFile
from jclip.data.pipeline import Batch
from jclip.data.region_inputs import RegionInputs, picture_regions
from jclip.probes.embed import embed_squares, one_behind, split_network
from jclip.probes.regions import embed_regions
from jclip.runs.command import DONE, run_command
from jclip.runs.options import Precision, dtype_of


@dataclasses.dataclass(frozen=True)
class Options:
    """What is measured."""

    model: str = "random:ViT-B-16"
    """A checkpoint whose patches have features in the space of texts."""
    pictures: int = 128
    """How many pictures; FG-OVD's set Hard has 1707."""
    boxes: int = 266
    """Boxes in all of them; FG-OVD's set Hard has 3545."""
    batch_size: int = 32
    """Pictures per step."""
    rounds: int = 5
    """Turns of each."""
    precision: Precision = "auto"
    """Of matrix products."""


def main(options: Options) -> int:
    """Print one line."""
    checkpoint = load_checkpoint(options.model, dtype=dtype_of(options.precision))
    config, network = checkpoint.image_config, split_network(checkpoint.clip)
    drawn = draw_boxes(options.pictures, options.boxes)
    size = config.size
    assert isinstance(size, int), "pictures of one shape are measured"
    pixels = np.random.default_rng(1).integers(
        0, 256, (options.pictures, size, size, 3), dtype=np.uint8
    )
    step = options.batch_size
    rows = [tuple(range(i, min(i + step, len(pixels)))) for i in range(0, len(pixels), step)]
    batches = [Batch(own, pixels[np.resize(own, step)], ()) for own in rows]
    whole = functools.partial(embed_squares, *network, image_config=config)

    def pictures() -> list:
        return list(one_behind(batches, lambda batch: whole(batch.pixels)))

    def regions() -> list:
        inputs = weigh(drawn, pixels, checkpoint)
        return list(one_behind(batches, lambda b: embed_regions(network, b, inputs, config)))

    found = take_turns({"pictures": timed(pictures), "regions": timed(regions)}, options.rounds)
    ratios = found["regions"].rounds / found["pictures"].rounds
    print("model,pictures,boxes,seconds of pictures,seconds of regions,ratio,lowest,highest")
    print(
        f"{options.model},{options.pictures},{options.boxes},{found['pictures'].median:.2f},"
        f"{found['regions'].median:.2f},{np.median(ratios):.3f},{ratios.min():.3f},{ratios.max():.3f}"
    )
    return DONE


def draw_boxes(pictures: int, boxes: int) -> list[np.ndarray]:
    """Boxes `[x, y, w, h]` in pixels of 640 x 480 of every picture, at least one in each."""
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 0.9, (boxes, 2)) * (640, 480)
    sides = np.minimum(rng.lognormal(-2, 1, (boxes, 2)) * (640, 480), (640, 480) - low)
    drawn = np.hstack([low, sides])
    own = np.concatenate([np.arange(pictures), rng.integers(pictures, size=boxes - pictures)])
    return [drawn[own == number] for number in range(pictures)]


def weigh(boxes: list[np.ndarray], pixels: np.ndarray, checkpoint: Checkpoint) -> RegionInputs:
    """The boxes of pictures that are squares already, as weights."""
    config, patch = checkpoint.image_config, checkpoint.clip.config.vision.patch_size
    files = [ImageFile(f"{n}", lambda n=n: pixels[n], 480, 640, "") for n in range(len(boxes))]
    found = [picture_regions(*one, config, patch) for one in zip(files, boxes, strict=True)]
    starts = np.cumsum([0, *map(len, boxes)])
    return RegionInputs(
        pictures=tuple(one.picture for one in found),
        boxes=tuple(np.arange(*ends) for ends in itertools.pairwise(starts)),
        weights=tuple(one.weights for one in found),
        cells=np.concatenate([one.cells for one in found]),
    )


if __name__ == "__main__":
    run_command(Options, main, __doc__)
