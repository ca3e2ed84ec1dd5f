"""What a run was, for the end of its page: settings, and the papers' faults it repeats."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from jclip.report.page import Column, Section, Table


@dataclasses.dataclass(frozen=True)
class FaultChoice:
    """Whether a run repeats a fault of the papers' code (`reference`) or not (`corrected`)."""

    fault: str
    choice: Literal["reference", "corrected"]
    meaning: str


def crop_choice(fits: Sequence[str]) -> FaultChoice:
    """Whether the centre crop, which keeps half of a panorama, is among the fits (paper 1)."""
    return FaultChoice(
        "the centre crop keeps half of a panorama",
        "reference" if "crop" in fits else "corrected",
        f"fits: {', '.join(fits)}; at half a turn crops share no content",
    )


def activation_choice(overridden: bool, option: str | None) -> FaultChoice:
    """Whether weights run with another activation than they were trained with."""
    return FaultChoice(
        "activation other than the checkpoint's own",
        "reference" if overridden else "corrected",
        f"--activation {option or 'not given'}",
    )


def fault_section(faults: Sequence[FaultChoice]) -> Section:
    """A table of the faults that a run had a choice in."""
    columns = (Column("fault"), Column("this run"), Column("what that means"))
    rows = tuple((fault.fault, fault.choice, fault.meaning) for fault in faults)
    return Section(
        heading="Faults of the papers' code",
        text="“reference” repeats what the released code does, “corrected” does not.",
        tables=(Table("Choices of this run", columns, rows),),
    )


def settings_section(settings: Mapping[str, object]) -> Section:
    """Tables of names and values; a mapping inside becomes a table of its own, deeper ones dotted.

    Raises:
        ValueError: a mapping named "settings", the caption of the plain values.
    """
    if "settings" in settings:
        raise ValueError(
            "'settings' is the caption of the plain values: name the mapping otherwise"
        )
    plain = {key: value for key, value in settings.items() if not isinstance(value, Mapping)}
    nested = {key: value for key, value in settings.items() if isinstance(value, Mapping)}
    columns = (Column("name"), Column("value"))
    tables = tuple(
        Table(caption, columns, tuple((name, _written(value)) for name, value in _flat(values)))
        for caption, values in ({"settings": plain} | nested).items()
        if values
    )
    return Section(heading="What was run", tables=tables)


def _flat(values: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _written(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(_written(item) for item in value)
    return "n/a" if value is None else str(value)
