"""What heads do on hard negatives that they never saw: a section of the page of heads."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from jclip.report.foil_page import TESTS, leading, separated_by
from jclip.report.page import Column, Page, Section
from jclip.report.tables import MeanColumn, page_table


def with_unseen_foils(
    page: Page, table: pa.Table, sets: Sequence[str], comparisons: pa.Table
) -> Page:
    """The page with a section on sets of hard negatives that no head was trained on.

    Args:
        page: of heads.
        table: `heads_table`, with a column of right answers in per cent for each set.
        sets: their names.
        comparisons: the embeddings themselves against the head that ranks best on boxes.
    """
    columns: dict[Any, Column | None] = {
        **dict.fromkeys(("head", "stage", "seeds")),
        **{name: MeanColumn(name, ".1f") for name in sets},
    }
    finding = separated_by(leading(comparisons).to_pylist())
    section = Section(
        "Foils that no head saw",
        "Does a head that ranks better on boxes also win on hard negatives of other kinds? Right "
        "answers in per cent, ties against.",
        page_table("Mean and standard deviation over seeds", table, columns),
        page_table("The head that ranks best on boxes, first seed", comparisons, TESTS),
        method="Exact tests, two-sided, as on the page of hard negatives; above zero the "
        "embeddings themselves are right more often.",
    )
    return dataclasses.replace(
        page, lead=f"{page.lead} {finding}", sections=(*page.sections, section)
    )
