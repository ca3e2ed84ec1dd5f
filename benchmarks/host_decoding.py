"""Does the host keep up: how many panoramas a second are decoded, and what a device then waits for.

    python -m benchmarks.host_decoding --workers 1,2

Writes seeded panoramas of 1024 x 512 (JPEG, PNG) and 4096 x 2048 (JPEG) into a folder, and the
smaller JPEGs into a tar too, and streams them as every experiment does (`jclip.data.pipeline`) with
so many threads; the smaller JPEGs with so many processes of Grain too. Last, a simulated device
takes `--device-rate` panoramas a second: the share of the time that it waits. About two minutes.
"""

import dataclasses
import io
import tarfile
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import grain
import numpy as np
import tyro
from absl import flags
from PIL import Image

from benchmarks.timing import take_turns
from jclip.data.image_sets import open_image_set
from jclip.data.images import ImageFile, list_images
from jclip.data.pipeline import plan_batches, stream_batches


@dataclasses.dataclass(frozen=True)
class Options:
    """What is decoded, and by how many."""

    workers: tuple[int, ...] = (1, 2)
    """Numbers of threads, and of processes."""
    images: int = 128
    """Of 1024 x 512 pixels; of the larger ones an eighth."""
    rounds: int = 3
    device_rate: float = 400.0
    """Panoramas that the simulated device takes in a second."""


def write_panoramas(folder: Path, count: int, width: int, suffix: str) -> Path:
    """Seeded panoramas whose frequencies fall off as those of photographs do."""
    folder.mkdir()
    noise = np.random.default_rng(0)
    for number in range(count):
        small = noise.integers(0, 256, (16, 32, 3), np.uint8)
        image = Image.fromarray(small).resize((width, width // 2), Image.Resampling.BICUBIC)
        grain_of_film = noise.integers(-8, 9, (width // 2, width, 3))
        pixels = np.clip(np.asarray(image) + grain_of_film, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:04}{suffix}", quality=90)
        (folder / f"{number:04}.txt").write_text("a room", encoding="utf-8")
    return folder


def write_tar(folder: Path, path: Path) -> Path:
    """The files of a folder, in order."""
    with tarfile.TarFile(path, "w") as tar:
        for file in sorted(folder.iterdir()):
            content = file.read_bytes()
            member = tarfile.TarInfo(file.name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def by_threads(images: Sequence[ImageFile], workers: int) -> Callable[[], float]:
    """The pipeline of the experiments."""

    def seconds() -> float:
        begun = time.perf_counter()
        plans = plan_batches(images, 32)
        for _ in stream_batches(images, plans, record_failures=False, workers=workers):
            pass
        return time.perf_counter() - begun

    return seconds


class Decoded(grain.transforms.Map):
    """Of a path, in another process."""

    def map(self, element: Path) -> np.ndarray:
        """The pixels `[H, W, 3] uint8`."""
        with Image.open(element) as image:
            return np.asarray(image.convert("RGB"))


def by_processes(paths: Sequence[Path], workers: int) -> Callable[[], float]:
    """Grain's worker processes, which hand pixels over in shared memory; their start counts not."""
    # Grain asks for a flag of its own, which only absl's programs have parsed.
    flags.FLAGS.mark_as_parsed()
    dataset = grain.MapDataset.source(paths).repeat().map(Decoded()).batch(8).to_iter_dataset()
    options = grain.multiprocessing.MultiprocessingOptions(num_workers=workers)

    def seconds() -> float:
        batches: Any = iter(dataset.mp_prefetch(options))
        # Those that were ready when the last process had started.
        for _ in range(3 * workers):
            next(batches)
        begun = time.perf_counter()
        for _ in range(len(paths) // 8):
            next(batches)
        taken = time.perf_counter() - begun
        # Processes that have nothing to do poll, and would slow whatever is timed next.
        batches.close()
        return taken

    return seconds


def idle_share(images: Sequence[ImageFile], workers: int, rate: float) -> float:
    """The share of the time for which a device that takes `rate` panoramas a second waits."""
    waited, begun = 0.0, time.perf_counter()
    free = begun
    for batch in stream_batches(
        images, plan_batches(images, 32), record_failures=False, workers=workers
    ):
        ready = time.perf_counter()
        waited += max(0.0, ready - free)
        free = max(free, ready) + len(batch.indices) / rate
    time.sleep(max(0.0, free - time.perf_counter()))
    return waited / (time.perf_counter() - begun)


def main(options: Options) -> None:
    """Measure all in turns, and print."""
    with tempfile.TemporaryDirectory() as temporary:
        here, few = Path(temporary), max(options.images // 8, 8)
        folders = {
            "1024 x 512 JPEG": write_panoramas(here / "jpeg", options.images, 1024, ".jpg"),
            "1024 x 512 PNG": write_panoramas(here / "png", options.images, 1024, ".png"),
            "4096 x 2048 JPEG": write_panoramas(here / "large", few, 4096, ".jpg"),
        }
        shard = write_tar(here / "jpeg", here / "jpeg.tar")
        sets = {name: open_image_set(str(folder)).images for name, folder in folders.items()}
        sets["1024 x 512 JPEG in a tar"] = open_image_set(str(shard)).images
        tasks = {
            (name, "threads", workers): by_threads(images, workers)
            for name, images in sets.items()
            for workers in options.workers
        }
        name = next(iter(folders))
        paths = list_images(folders[name])
        for workers in options.workers:
            tasks[name, "processes", workers] = by_processes(paths, workers)
        taken = take_turns(tasks, options.rounds)
        first = options.workers[0]
        for (name, kind, workers), seconds in taken.items():
            rate = len(sets[name]) / seconds.median
            factor = taken[name, kind, first].median / seconds.median
            print(f"{name}: {rate:.0f} a second by {workers} {kind}, {factor:.2f} times {first}")
        for workers in options.workers:
            share = idle_share(sets["1024 x 512 JPEG"], workers, options.device_rate)
            print(
                f"a device that takes {options.device_rate:g} panoramas a second waits {share:.0%} "
                f"of the time for {workers} threads"
            )


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
