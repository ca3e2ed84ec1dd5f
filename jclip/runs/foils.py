"""Which sets of hard negatives a command line names, and where their pictures are."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np

from jclip.data.foil_files import aro_relations_left_out
from jclip.data.foil_sources import JOINT, KINDS, Foils, open_foils
from jclip.data.foils import FoilSet
from jclip.data.images import DEFAULT_PIXEL_LIMIT
from jclip.demo.foils import write_foil_sets
from jclip.errors import InputError
from jclip.report.faults import Choice
from jclip.runs.boxes import DEMO, rendered
from jclip.runs.options import Names, PixelLimit, Sources
from jclip.runs.record import Silent
from jclip.runs.run import Run

ARO = "aro"
# What `write_foil_sets` writes: layouts, and sets that are not called as the layout's are.
_DEMO_SETS = ("sugar_crepe", "aro", "colorswap")
_DEMO_NAMES = {"aro/demo_order": "demo/order", "colorswap/test": "demo/two_pictures"}


@dataclasses.dataclass(frozen=True)
class FoilOptions:
    """Sets of hard negatives and their pictures."""

    sets: Annotated[Sources, Silent] = (DEMO,)
    """KIND:PATH, a kind of sugar_crepe, sugar_crepe_pp, aro, winoground, colorswap (a folder with
    the benchmark's files, or one of them) or half_truths (a file); or demo: six sets of rendered
    photos."""
    images: Annotated[Sources, Silent] = ()
    """Folder below which the files name their pictures, or KIND=FOLDER for one kind; default:
    beside the file."""
    fit: Annotated[Literal["own", "crop", "squash", "pad", "native"], Silent] = "own"
    """How a picture becomes what the network sees: own (the checkpoint's), crop, squash, pad."""
    unwinnable: Choice = "corrected"
    """Foils that equal a right text of their record: counted as in the published code (reference),
    or left out."""
    left_out: Names = (ARO,)
    """Relations that the macro average of ARO's set leaves out: aro (its authors' 157), none, or
    names, such as 'next to,near'."""
    joint: str = JOINT
    """Of half-truths, between the right text and the wrong detail; the paper's is not known."""
    demo_scenes: int = 400
    """Scenes of the demo world; each is a record of every set."""
    pixel_limit: PixelLimit = DEFAULT_PIXEL_LIMIT

    @property
    def demo(self) -> bool:
        """Whether the demo world's sets are rendered into the run's folder."""
        return DEMO in self.sets

    def identity(self) -> dict[str, Any]:
        """What makes two runs the same; fit and digests of files are facts of a run."""
        names = ["unwinnable", "left_out", "joint"] + ["demo_scenes"] * self.demo
        return {name: getattr(self, name) for name in names}

    @property
    def relations_left_out(self) -> tuple[str, ...]:
        """The relations that ARO's macro average leaves out, by name."""
        if self.left_out == (ARO,):
            return aro_relations_left_out()
        return () if self.left_out == ("none",) else self.left_out

    def check(self) -> None:
        """Refuse options that do not fit together, which takes no file.

        Raises:
            InputError: they do not.
        """
        if self.demo and (len(self.sets) > 1 or self.images):
            raise InputError("demo makes its own files and takes no others", argument="sets")
        if self.demo and self.demo_scenes < 1:
            raise InputError(f"{self.demo_scenes}: one scene or more", argument="demo_scenes")

    def open(self, run: Path | None = None) -> Foils | None:
        """The sets, all checked; None for the demo world without the folder of an open run.

        Raises:
            InputError: see `open_foils`.
        """
        if not self.demo:
            return open_foils(self.sets, self._folders(), self.joint, self.pixel_limit)
        if run is None:
            return None
        made = rendered(run, self._render, self.demo_scenes)
        foils = open_foils([f"{kind}:{made / kind}" for kind in _DEMO_SETS], {"": made})
        # Made by nobody's benchmark, whatever the layout.
        sets = [
            dataclasses.replace(
                one, name=_DEMO_NAMES.get(one.name, one.name.replace("sugar_crepe", DEMO))
            )
            for one in foils.sets
        ]
        return dataclasses.replace(foils, sets=tuple(sets))

    def winnable(self, run: Run, foils: Foils) -> tuple[FoilSet, ...]:
        """The sets as they are scored, and a notice of each foil that nobody can win.

        Raises:
            InputError: no record of a set is left.
        """
        kept = []
        for one in foils.sets:
            rows = np.flatnonzero(one.unwinnable().any(axis=1))
            if len(rows):
                named = ", ".join(one.records[row] for row in rows[:5])
                run.note(
                    f"{one.name}: a foil equals a right text, word for word, in {len(rows)} of "
                    f"{len(one.records)} records: {named}{', ...' if len(rows) > 5 else ''}."
                )
            kept.append(one if self.unwinnable == "reference" else one.winnable())
            if not kept[-1].records:
                raise InputError(f"{one.name}: no record is left that can be won")
        return tuple(kept)

    def _folders(self) -> Mapping[str, Path]:
        """Folders of pictures by kind, "" for all others."""
        found: dict[str, Path] = {}
        for given in self.images:
            kind, equals, folder = given.partition("=")
            kind, folder = (kind, folder) if equals and kind in KINDS else ("", given)
            if kind in found:
                raise InputError(f"{given}: a second folder for the same sets", argument="images")
            if not Path(folder).is_dir():
                raise InputError(f"{folder}: no such folder of pictures", argument="images")
            found[kind] = Path(folder)
        return found

    def _render(self, folder: Path) -> None:
        write_foil_sets(folder, 0, self.demo_scenes)
