"""Pictures of the demo world with captions, as a TFDS data set that every probe reads.

    python -m experiments.prepare_dataset --kind panoramas --test 480
    python -m experiments.shift_sweep --images tfds:...

Renders one picture of each scene and writes them in TFDS's own format, without TensorFlow, into
TFDS_DATA_DIR (by default ~/tensorflow_datasets). Prints what to give to --images, such as
tfds:demo_panoramas/height128-seed0-train0-validation0-test480. Those take half a minute on two CPU
cores; a data set that is there already is left as it is.
"""

import contextlib
import dataclasses
import os
import sys
from pathlib import Path
from typing import Literal

from jclip.runs.command import DONE, run_command


@dataclasses.dataclass(frozen=True)
class Options:
    """What is rendered."""

    kind: Literal["panoramas", "photos"] = "panoramas"
    """Equirectangular panoramas, twice as wide as high, or square perspective photos."""
    height: int = 128
    """Of a picture in pixels."""
    seed: int = 0
    """Decides scenes and captions."""
    train: int = 0
    """Scenes of the split train; no scene is in two splits."""
    validation: int = 0
    """Scenes of the split validation."""
    test: int = 96
    """Scenes of the split test, which `tfds:NAME` reads unless another is named."""
    data_dir: Path | None = None
    """Folder of TFDS data sets, instead of TFDS_DATA_DIR."""


def main(options: Options) -> int:
    """Render, write, and say how to read it."""
    # TFDS takes a second to import, which --help has no need of; it reads TFDS_DATA_DIR then.
    from jclip.data.demo_builders import DemoConfig, DemoPanoramas, DemoPhotos, prepare

    scenes = {split: getattr(options, split) for split in ("train", "validation", "test")}
    config = DemoConfig(height=options.height, seed=options.seed, **scenes)
    kind = DemoPanoramas if options.kind == "panoramas" else DemoPhotos
    builder = kind(config=config, data_dir=options.data_dir)
    # What TFDS prints speaks of downloads, of which there are none.
    with contextlib.redirect_stdout(sys.stderr):
        splits = prepare(builder)
    for split, examples in splits.items():
        print(f"{len(examples)} pictures: --images tfds:{builder.name}/{config.name}:{split}")
    print(f"data set: {builder.data_dir}")
    if options.data_dir not in (None, Path(os.environ.get("TFDS_DATA_DIR", ""))):
        print(f"to read it from there: export TFDS_DATA_DIR={options.data_dir.resolve()}")
    return DONE


if __name__ == "__main__":
    run_command(Options, main, __doc__)
