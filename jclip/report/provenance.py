"""What a run was, for the end of its page: settings, and the papers' faults it repeats."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from jclip.report.faults import REFERENCE, FaultChoice
from jclip.report.page import Column, Page, Section, Table


def with_provenance(
    page: Page,
    notices: Sequence[str],
    faults: Sequence[FaultChoice],
    settings: Mapping[str, object],
) -> Page:
    """A page with the frame that every run's has: notices before all else, what was run at its end.

    The faults are the run's choices between `reference` and `corrected`; a mapping inside the
    settings becomes a table of its own. Notices and faults among the settings, where a run records
    them, are not said twice.
    """
    others = {name: value for name, value in settings.items() if name not in ("notices", "faults")}
    provenance = (*((fault_section(faults),) if faults else ()), settings_section(others))
    return dataclasses.replace(
        page, notices=(*page.notices, *notices), sections=(*page.sections, *provenance)
    )


def fault_section(faults: Sequence[FaultChoice]) -> Section:
    """A table of the faults that a run had a choice in."""
    columns = (Column("fault"), Column("this run"), Column("what that means"))
    rows = tuple((fault.fault, fault.choice, fault.meaning) for fault in faults)
    repeated = [choice.fault for choice in faults if choice.choice == REFERENCE]
    return Section(
        "Faults of the papers' code",
        f"Faults that this run repeats: {'; '.join(repeated) or 'none'}. “reference” repeats what "
        "the released code does, “corrected” does not.",
        Table("Choices of this run", columns, rows),
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
    tables = (
        Table(caption, columns, tuple((name, _written(value)) for name, value in _flat(values)))
        for caption, values in ({"settings": plain} | nested).items()
        if values
    )
    return Section("What was run", "", *tables)


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
