"""Which annotated boxes, or captioned images, a command line names."""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from jclip.checkpoints import CheckpointDescription
from jclip.data.boxes import BoxTable
from jclip.data.coco_captions import read_coco_captions, select_splits
from jclip.data.feature_inputs import FeatureInputs, box_inputs, caption_inputs
from jclip.data.fg_ovd import read_fg_ovd
from jclip.data.images import DEFAULT_PIXEL_LIMIT
from jclip.demo.caption_sets import write_caption_set
from jclip.demo.negatives import write_fine_grained_sets
from jclip.distributed import is_lead, wait_for_all
from jclip.errors import InputError
from jclip.files.local import require_local
from jclip.images.fits import seen_fits
from jclip.runs.options import Names, PixelLimit, Sources
from jclip.runs.record import Silent

DEMO = "demo"
Split = Literal["train", "validation", "test"]


@dataclasses.dataclass(frozen=True)
class BoxOptions:
    """Annotated boxes, and the images that they are in."""

    annotations: Sources = ()
    """Files of FG-OVD's format, or demo: the demo world's eight sets."""
    images: Path | None = None
    """Folder below which the files name their images."""
    demo_scenes: int = 600
    """Scenes of the demo world; one in about as many boxes."""
    demo_split: Split = "test"
    """Of the demo world; the demo model was trained on train."""
    seed: int = 0
    """Of the demo world."""
    pixel_limit: PixelLimit = DEFAULT_PIXEL_LIMIT

    @property
    def demo(self) -> bool:
        """Whether the demo world is read, which is rendered into the run's folder."""
        return DEMO in self.annotations

    def identity(self) -> dict[str, Any]:
        """What makes two runs the same; digests of other files than the demo's are facts."""
        names = ("demo_scenes", "demo_split", "seed") if self.demo else ()
        return {name: getattr(self, name) for name in names}

    def check(self) -> None:
        """Refuse options that do not fit together, which takes no file.

        Raises:
            InputError: they do not.
        """
        for file in (*self.annotations, getattr(self, "coco", None) or ""):
            require_local(file)
        if self.demo and (len(self.annotations) > 1 or self.images):
            raise InputError("demo: makes its own files; takes no others and no --images")
        if not self.demo and self.images is None:
            raise InputError("--images: name the folder that the images lie in")

    def folder(self, run: Path | None) -> Path | None:
        """The folder of images: the one that is named, or the demo world's in the run's folder."""
        if not self.demo:
            return self.images
        return run and rendered(run, self._render, self.demo_scenes)

    def read_boxes(self, folder: Path) -> BoxTable:
        """The boxes of all files.

        Raises:
            InputError: see `read_fg_ovd`.
        """
        own = sorted(folder.glob("*.json")) if self.demo else map(Path, self.annotations)
        return read_fg_ovd(*own)

    def _render(self, folder: Path) -> None:
        write_fine_grained_sets(folder, self.seed, self.demo_scenes, split=self.demo_split)


@dataclasses.dataclass(frozen=True)
class FeatureOptions(BoxOptions):
    """Annotated boxes or captioned images, and how they become squares."""

    coco: str | None = None
    """A file of Karpathy's format, or demo: photos of the demo world with five captions each."""
    splits: Names = ()
    """Of --coco: which splits; all by default."""
    captions_per_image: int | None = None
    """Of --coco: only the first so many captions of an image, 5 as in the paper; all by default."""
    fit: Annotated[Literal["own", "crop", "squash", "pad"], Silent] = "own"
    """How a box becomes a square: own (the checkpoint's), crop (the paper's), squash, pad."""
    box_scale: float = 1.0
    """Factor on the sides of a box before it is cut out; the paper's is 1."""

    @property
    def demo(self) -> bool:
        """As of boxes."""
        return DEMO in (*self.annotations, self.coco)

    def identity(self) -> dict[str, Any]:
        """What makes two runs the same; fit and digests are facts of a run."""
        own = {"splits": self.splits, "box_scale": self.box_scale}
        if self.captions_per_image:
            own["captions_per_image"] = self.captions_per_image
        return {**super().identity(), "kind": "coco" if self.coco else "fg_ovd", **own}

    def check(self) -> None:
        """As of boxes."""
        if bool(self.annotations) == bool(self.coco):
            raise InputError("name boxes by --annotations or whole images by --coco, one of both")
        if self.demo and self.splits:
            raise InputError("demo: makes its own files; takes no others and no --splits")
        super().check()
        if self.splits and not self.coco:
            raise InputError("--splits: only --coco has splits")
        if self.captions_per_image is not None and not (self.coco and self.captions_per_image > 0):
            raise InputError("--captions-per-image: 1 or more, and only of --coco")

    def open(
        self, model: CheckpointDescription | None, run: Path | None = None
    ) -> FeatureInputs | None:
        """What is to be embedded, as squares that fit a model; every image's header is checked.

        Without a model, for an encoder elsewhere, boxes and images are as they are. None for the
        demo world without the folder of an open run.

        Raises:
            InputError: see `box_inputs` and `caption_inputs`.
        """
        folder = self.folder(run)
        if folder is None:
            return None
        config = model and model.image_config
        (fit,) = seen_fits([self.fit], config)
        if not self.coco:
            boxes, scale = self.read_boxes(folder), self.box_scale
            return box_inputs(boxes, folder, config, fit, scale, self.pixel_limit)
        file = folder / "captions.json" if self.demo else Path(self.coco)
        captions = select_splits(read_coco_captions(file), self.splits)
        captions = captions.first(self.captions_per_image)
        return caption_inputs(captions, folder, config, fit, self.pixel_limit)

    def _render(self, folder: Path) -> None:
        write = write_caption_set if self.coco else write_fine_grained_sets
        write(folder, self.seed, self.demo_scenes, split=self.demo_split)


def rendered(run: Path, write: Callable[[Path], None], scenes: int) -> Path:
    """The demo world's files in a run's folder, written by process 0 at the first run into it.

    `write` puts them into a folder that is not there yet; `scenes` are told to who waits.
    """
    made = run / DEMO
    if not made.exists() and is_lead():
        print(f"rendering {scenes} scenes ...", flush=True)
        partial = run / f"{DEMO}.{os.getpid()}.partial"
        write(partial)
        partial.rename(made)
    wait_for_all("the demo world is rendered")
    return made
