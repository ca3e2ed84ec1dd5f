"""How long do the ranks of paper 2 take: boxes among their negatives, and retrieval both ways?

    python -m benchmarks.ranks

100,000 boxes with 11 captions each, out of 200,000 distinct ones, and retrieval of 25,000 captions
and 5,000 images, all of 512 numbers. Times are medians after one warm-up and start with the
embeddings in memory; compiling is in `first`. Each part runs in a process of its own, so that
`peak` is that part's.
"""

import statistics
import subprocess
import sys
from collections.abc import Callable

import jax
import numpy as np

from benchmarks.timing import peak_memory, timed
from jclip.data.boxes import BoxTable
from jclip.data.features import Features, Origin
from jclip.probes.fine_grained import score_boxes
from jclip.probes.retrieval import cosine_retrieval
from jclip.statistics.ranks import positive_ranks, summarise_ranks

DIMENSION = 512
BOXES, NEGATIVES, DISTINCT = 100_000, 10, 200_000
IMAGES, CAPTIONS_OF_AN_IMAGE = 5_000, 5


def _normal(seed: int, rows: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, DIMENSION), np.float32)


def _ranks() -> Callable:
    images, captions = _normal(0, BOXES), _normal(1, DISTINCT)
    drawn = np.random.default_rng(2).integers(DISTINCT, size=(BOXES, 1 + NEGATIVES))
    rows = np.arange(BOXES)
    table = BoxTable(
        sets=np.full(BOXES, "some"),
        annotations=rows,
        boxes=np.ones((BOXES, 4)),
        image_rows=rows,
        caption_rows=drawn,
        images=(),
        texts=(),
        digests={},
    )
    origin = Origin(model={}, preprocessing={}, fit="crop", box_scale=1.0, data={})
    features = Features(images, captions, (), (), origin, table, rows)

    def run():
        scores = score_boxes(features)
        for ties in ("reference", "averaged"):
            summarise_ranks(positive_ranks(scores, ties))

    return run


def _retrieval() -> Callable:
    own = np.repeat(np.arange(IMAGES), CAPTIONS_OF_AN_IMAGE)
    images, captions = _normal(0, IMAGES), _normal(1, len(own))
    return lambda: cosine_retrieval(images, captions, own)


PARTS = {
    "ranks": (f"ranks, {BOXES:,} boxes x {1 + NEGATIVES}", _ranks),
    "retrieval": (f"retrieval, {IMAGES * CAPTIONS_OF_AN_IMAGE:,} x {IMAGES:,}", _retrieval),
}


def measure(name: str) -> None:
    """Print one line of the table."""
    title, make = PARTS[name]
    run = timed(make())
    first = run()
    median = statistics.median(run() for _ in range(3))
    peak = peak_memory() / 2**10
    print(f"{title:32}{first:8.2f}{median:9.2f}{peak:10.2f}", flush=True)


def main() -> None:
    """Print the table, or the line of the part that is named."""
    if len(sys.argv) > 1:
        return measure(sys.argv[1])
    print(f"jax {jax.__version__} on {jax.devices()[0].device_kind}")
    print(f"{'':32}{'first s':>8}{'median s':>9}{'peak GiB':>10}", flush=True)
    for name in PARTS:
        subprocess.run([sys.executable, "-m", "benchmarks.ranks", name], check=True)


if __name__ == "__main__":
    main()
