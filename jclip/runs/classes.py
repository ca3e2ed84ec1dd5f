"""Which images a command line classifies, and the prompts of their classes."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from jclip.data.class_folders import ClassFolders, open_class_folders
from jclip.data.images import DEFAULT_PIXEL_LIMIT
from jclip.data.supplied import Probed
from jclip.data.supplied_rows import Embedded, Scored
from jclip.demo.class_photos import write_class_photos
from jclip.errors import InputError
from jclip.runs.boxes import DEMO, rendered
from jclip.runs.options import PixelLimit
from jclip.runs.probed import matched
from jclip.runs.record import Silent
from jclip.text.templates import prompts_of


@dataclasses.dataclass(frozen=True)
class ClassOptions:
    """Images in a folder for each class, and prompts."""

    images: Annotated[str, Silent] = DEMO
    """A folder with a folder of images for each class, or demo: photos of six shapes."""
    class_names: Annotated[Path | None, Silent] = None
    """CSV of folder,name: what the classes are called; default: as their folders."""
    templates: Annotated[str, Silent] = "simple"
    """Prompts in which {} stands for the class: simple (six of our own), openai (their eighty for
    ImageNet), or a file, one a line."""
    fit: Annotated[Literal["own", "crop", "squash", "pad", "native"], Silent] = "own"
    """How a picture becomes what the network sees: own (the checkpoint's), crop, squash, pad."""
    demo_scenes: int = 600
    """Scenes of the demo world, one photo each."""
    pixel_limit: PixelLimit = DEFAULT_PIXEL_LIMIT

    def open(self, run: Path | None = None) -> ClassFolders | None:
        """The images; None for the demo world without the folder of an open run.

        Raises:
            InputError: see `open_class_folders`.
        """
        if self.images != DEMO:
            return open_class_folders(Path(self.images), self.class_names, self.pixel_limit)
        if self.class_names is not None or self.demo_scenes < 64:
            raise InputError("demo has names of its own, and needs 64 scenes or more")
        if run is None:
            return None
        made = rendered(
            run, lambda folder: write_class_photos(folder, 0, self.demo_scenes), self.demo_scenes
        )
        return open_class_folders(made)


def supplied_classes(
    models: Sequence[Probed], found: ClassFolders | None, templates: Sequence[str]
) -> Mapping[str, Embedded]:
    """What is supplied of images and prompts, by the model's name; empty before there are images.

    Raises:
        InputError: see `matched`; or scores are supplied, of which there is no mean prompt.
    """
    plan = found and found.plan(prompts_of(found.classes, templates))
    embedded = {}
    for name, own in matched(models, plan).items():
        if isinstance(own, Scored):
            raise InputError(
                f"{own.name}: scores, and a class is the mean of its prompts' embeddings; supply "
                "embeddings"
            )
        embedded[name] = own
    return embedded
