"""Which sets of hard negatives heads are measured on beside boxes."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from jclip.errors import InputError
from jclip.probes.head_foils import UnseenFoils, read_unseen_foils
from jclip.runs.boxes import DEMO
from jclip.runs.record import Silent

_DEMO_FOILS = Path("runs") / f"{DEMO}-hard-negatives"


@dataclasses.dataclass(frozen=True)
class HeadFoilOptions:
    """Sets of hard negatives that no head was trained on."""

    also: Annotated[Literal["hard_negatives"] | None, Silent] = None
    """Measure every head on sets of hard negatives too."""
    foils: Annotated[Path | None, Silent] = None
    """Of --also: the folder of a run of hard_negatives by the same model; default: the demo's."""

    def identity(self) -> dict[str, Any]:
        """Nothing where nothing was asked for, so that earlier runs are resumed."""
        return {} if self.also is None else {"also": self.also}

    def check(self, *, demo: bool) -> None:
        """Refuse options that do not fit together; `demo`: heads are the demo world's.

        Raises:
            InputError: they do not.
        """
        if self.also is None and self.foils is not None:
            raise InputError("measured only where `also` asks for it", argument="foils")
        if self.also is not None and self.foils is None and not demo:
            raise InputError("name a run of hard_negatives by the same model", argument="foils")

    def read(self, base: Mapping[str, Any], make_demo: Callable[[Path], Any]) -> UnseenFoils | None:
        """The sets, or None; `make_demo` runs the demo world's into a folder.

        Raises:
            InputError: see `read_unseen_foils`.
        """
        if self.also is None:
            return None
        if self.foils is None:
            make_demo(_DEMO_FOILS)
        return read_unseen_foils(self.foils or _DEMO_FOILS, base)
