"""The folders of features that heads are trained and measured on, named or the demo world's."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any

from jclip.data.features import Features, features_digest, read_features, require_same_model
from jclip.errors import InputError
from jclip.runs.boxes import DEMO, FeatureOptions, Split
from jclip.runs.features import extract_features
from jclip.runs.options import ModelOptions, OutputOptions
from jclip.runs.record import Silent
from jclip.training.head_data import retrieval_pairs

# The demo model looks at 64 pixels: the middle of a box shows an object's pattern and material
# larger.
DEMO_BOX_SCALE = 0.75
# What of the demo world each folder holds, and how many scenes; None: as many as are asked for.
DEMO_FOLDERS: dict[str, tuple[str, Split, int | None]] = {
    "warm_up_features": ("coco", "train", 3000),
    "warm_up_validation": ("coco", "validation", 300),
    "retrieval_features": ("coco", "test", 600),
    "hard_features": ("annotations", "train", None),
    "hard_validation": ("annotations", "validation", 300),
    "test_features": ("annotations", "test", 600),
}
NEEDED = ("warm_up_features", "hard_features", "test_features")


@dataclasses.dataclass(frozen=True)
class HeadFeatures:
    """The features of every purpose, all of one model, and the digests of their folders."""

    warm_up: Features
    warm_up_validation: Features | None
    hard: Features
    hard_validation: Features | None
    test: Features
    retrieval: Features
    digests: dict[str, str | None]


@dataclasses.dataclass(frozen=True)
class HeadFeatureOptions:
    """Folders of features; none of them: the demo world's are made."""

    warm_up_features: Annotated[Path | None, Silent] = None
    """Folder of images with captions, its split train; none of the folders: the demo world's."""
    warm_up_validation: Annotated[Path | None, Silent] = None
    """Folder of images with captions to validate with; default: the split val of the former."""
    hard_features: Annotated[Path | None, Silent] = None
    """Folder of boxes with hard negatives to train on, its set 1_attributes."""
    hard_validation: Annotated[Path | None, Silent] = None
    """Folder of boxes to validate with; default: a tenth of the images of the former."""
    test_features: Annotated[Path | None, Silent] = None
    """Folder of the boxes that are ranked, all their sets."""
    retrieval_features: Annotated[Path | None, Silent] = None
    """Folder of images with captions to retrieve; default: split test of --warm-up-features."""
    demo_scenes: Annotated[int, Silent] = 60_000
    """Scenes of the demo world to train on against hard negatives; one in about as many boxes."""

    @property
    def demo(self) -> bool:
        """Whether the demo world's features are made: no folder is named."""
        return not any(getattr(self, name) for name in DEMO_FOLDERS)

    def read(self) -> HeadFeatures:
        """Read the folders; the demo world's are made first, as far as earlier runs have not.

        Raises:
            InputError: a folder is missing, damaged or of another model.
        """
        named = {name: getattr(self, name) for name in DEMO_FOLDERS}
        folders = self._demo_folders() if self.demo else named
        if missing := [name for name in NEEDED if folders[name] is None]:
            raise InputError(f"--{missing[0].replace('_', '-')} is missing")
        read = {name: folder and read_features(folder) for name, folder in folders.items()}
        warm_up, hard, test = (read[name] for name in NEEDED)
        assert warm_up and hard and test
        for other in filter(None, read.values()):
            require_same_model(warm_up, other)
        return HeadFeatures(
            warm_up,
            read["warm_up_validation"],
            hard,
            read["hard_validation"],
            test,
            read["retrieval_features"] or retrieval_pairs(warm_up),
            {name: path and features_digest(path) for name, path in folders.items()},
        )

    def _demo_folders(self) -> dict[str, Path | None]:
        """Each is a run of its own, that goes on where it was killed."""
        made: dict[str, Path | None] = {}
        for name, (kind, split, count) in DEMO_FOLDERS.items():
            scenes, shown = count or self.demo_scenes, dict[str, Any](coco=DEMO)
            if kind == "annotations":
                shown = {"annotations": (DEMO,), "box_scale": DEMO_BOX_SCALE}
            options = FeatureOptions(demo_scenes=scenes, demo_split=split, **shown)
            made[name] = Path("runs") / f"demo-{kind}-{split}-{scenes}"
            extract_features(options, ModelOptions(), OutputOptions(out=made[name]))
        return made
