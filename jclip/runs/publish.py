"""The end of every run: page, figures, the record closed, and what a person has to be told."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jclip.report.page import Page, write_figures, write_page
from jclip.report.provenance import FaultChoice
from jclip.runs.command import DONE, DONE_WITH_FAILURES
from jclip.runs.folder import finish_run


def publish(
    folder: Path,
    page: Page,
    *,
    lines: Sequence[str],
    notices: Sequence[str],
    faults: Sequence[FaultChoice],
    failures: int = 0,
    **outcome: Any,
) -> int:
    """Write the report of a run, mark the run as done, print its result.

    Args:
        folder: of the run, from `open_run`.
        page: its report.
        lines: the result in a few lines of text.
        notices: what a reader of the numbers should know.
        faults: the choices between `reference` and `corrected` that it made.
        failures: images that could not be decoded.
        outcome: numbers for `run.json`.

    Returns:
        The exit status.
    """
    write_page(folder / "report.html", page)
    write_figures(folder / "figures", page)
    record: Mapping[str, Any] = {
        "notices": list(notices),
        "faults": [dataclasses.asdict(fault) for fault in faults],
        "failures": failures,
    }
    finish_run(folder, **record, **outcome)
    for line in (*lines, *(f"note: {notice}" for notice in notices)):
        print(line)
    print(f"report: {folder / 'report.html'}")
    return DONE_WITH_FAILURES if failures else DONE
