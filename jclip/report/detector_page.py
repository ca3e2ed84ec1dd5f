"""The page of detectors against CLIP on fine-grained captions."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jclip.probes.detector_ranks import Scope, Truncation
from jclip.probes.fine_grained_table import comparison_table, paper_table, summary_table
from jclip.report.page import Cell, Column, Page, Section, Table
from jclip.report.provenance import FaultChoice, fault_section, settings_section
from jclip.statistics.ranks import chance_rank


def detector_page(
    scopes: Sequence[Scope],
    truncated: Sequence[Truncation],
    *,
    context: int,
    settings: Mapping[str, object],
    faults: Sequence[FaultChoice],
    notices: Sequence[str],
) -> Page:
    """Assembles the report.

    Args:
        scopes: ranks on all boxes, and on those whose captions are all read in full.
        truncated: what the detector's context does to each set.
        context: tokens that the detector reads.
        settings: what was run; a mapping inside becomes a table of its own.
        faults: one per fault of the paper's code that the run had a choice in.
        notices: what a reader has to know first.

    Raises:
        ValueError: no summaries.
    """
    if not scopes or not scopes[0].summaries:
        raise ValueError("no results")
    return Page(
        title=f"Detector ranks: {scopes[0].summaries[0].ranked.model.partition(',')[0]}",
        lead="Does a detector rank the right caption of a box above hard negatives better than "
        "CLIP does on the cut-out box?",
        notices=tuple(notices),
        sections=(
            *(_scope_section(scope) for scope in scopes),
            _truncation_section(truncated, context),
            fault_section(faults),
            settings_section(settings),
        ),
    )


def _scope_section(scope: Scope) -> Section:
    details = summary_table(scope.summaries)
    details = details.filter(pc.field("in_table")).drop_columns(["set", "in_table"])
    return Section(
        heading=scope.name,
        text=f"{scope.meaning} 1 is best. Ties count against the right caption, as in the paper, "
        "or half: then a rule under which no prediction speaks for a box, so that all its captions "
        "score 0, is at chance there.",
        tables=(
            _mean_table(scope),
            _table(f"Intervals and medians, {scope.name}", details, ".3g"),
            *_comparisons(scope),
        ),
    )


def _mean_table(scope: Scope) -> Table:
    """The paper's figure as a table, with chance and the number of boxes below."""
    table = _table(f"Mean rank, {scope.name}", paper_table(scope.summaries), ".2f")
    of_sets = {s.ranked.name: s for s in reversed(scope.summaries)}
    own = [of_sets[column.heading] for column in table.columns[2:-1]]
    chance = [float(chance_rank(np.array([s.at + 1]))[0]) for s in own]
    boxes = [str(int(s.reference.boxes[s.at])) for s in own]
    rows: tuple[tuple[Cell, ...], ...] = (
        *table.rows,
        ("chance", "", *chance, float(np.mean(chance))),
        ("boxes", "", *boxes, ""),
    )
    return dataclasses.replace(table, rows=rows)


def _comparisons(scope: Scope) -> Iterator[Table]:
    if scope.comparisons:
        caption = (
            f"Rank of the first minus rank of the second, {scope.name}: two-sided Wilcoxon "
            "signed-rank tests on the same boxes, p adjusted over this table by Holm's method"
        )
        yield _table(caption, comparison_table(scope.comparisons), "#.2g")


def _table(caption: str, table: pa.Table, numbers: str) -> Table:
    """An Arrow table on the page; `numbers` is how its floats are written."""
    columns = tuple(
        Column(field.name.replace("_", " "), numbers if pa.types.is_floating(field.type) else "")
        for field in table.schema
    )
    return Table(caption, columns, tuple(tuple(row.values()) for row in table.to_pylist()))


def _truncation_section(truncated: Sequence[Truncation], context: int) -> Section:
    columns = (
        Column("set"),
        Column("boxes"),
        Column(f"with a caption over {context} tokens"),
        Column("share", ".1%"),
        Column("with a wrong caption that is then the right one"),
    )
    rows = tuple((t.set, t.boxes, t.cut, t.cut / t.boxes, t.alike) for t in truncated)
    return Section(
        heading="Captions that were cut",
        text=f"The detector reads {context} tokens, start and end included. Longer captions lose "
        "their last words and keep the end token; where that makes a wrong caption equal to the "
        "right one, they tie. The paper leaves such boxes out for detectors and not for CLIP.",
        tables=(Table(f"Captions over {context} tokens", columns, rows),),
    )
