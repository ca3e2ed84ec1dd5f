"""What was measured on a chip, as a page and as Markdown for `docs/results.md`."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.accelerator.parity import TOLERANCE
from jclip.report.page import Column, Page, Section
from jclip.report.tables import page_table

_COLUMNS = {
    "what": Column("what"),
    "precision": None,
    "batch_size": Column("batch", ",.0f"),
    "value": Column("value", ".4g"),
    "unit": None,
    "compile_s": Column("first time more, s", ".1f"),
}


def accelerator_page(rows: pa.Table, machine: Mapping[str, str]) -> Page:
    """The report of a table with the columns `part` and those of a row."""
    return Page(
        title=f"What this chip does: {machine['card']}",
        lead=finding(rows.to_pylist(), machine),
        sections=tuple(
            Section(
                part.capitalize(),
                "",
                page_table(part, rows.filter(pc.field("part") == part), _COLUMNS),
            )
            for part in dict.fromkeys(rows["part"].to_pylist())
        ),
    )


def strayed(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Goldens that float32 misses by more than the tolerance, not a number included."""
    exact = (row for row in rows if (row["part"], row["precision"]) == ("parity", "float32"))
    return [row["what"] for row in exact if not row["value"] <= TOLERANCE]


def finding(rows: Sequence[Mapping[str, Any]], machine: Mapping[str, str]) -> str:
    """Parity and the best rates, in a sentence."""
    parity = [row["what"] for row in rows if row["part"] == "parity"]
    goldens, wrong = len(dict.fromkeys(parity)), strayed(rows)
    said = f"On {machine['card']} {goldens - len(wrong)} of {goldens} goldens are within "
    said += f"{TOLERANCE:g} in float32"
    if wrong:
        said += f" (not {', '.join(wrong)})"
    for unit, name in (("images/s", "the tower reaches"), ("panoramas/s", "the sweep")):
        rates = [row for row in rows if row["unit"] == unit]
        if rates:
            best = max(rates, key=lambda row: row["value"])
            how = f"{best['precision']}, batches of {best['batch_size']}"
            said += f"; {name} {best['value']:,.4g} {unit} ({how})"
    return said + "."


def markdown(rows: pa.Table, machine: Mapping[str, str], command: str) -> str:
    """A section of `docs/results.md`."""
    head = [f"## {machine['card']}, {machine['date']}", "", f"    {command}", ""]
    facts = (f"{name} {value}" for name, value in machine.items() if name not in ("card", "date"))
    listed = rows.to_pylist()
    lines = [*head, f"{finding(listed, machine)} {'; '.join(facts)}.", ""]
    lines += ["| part | what | precision | batch | value | first time more |", "|---|" + "---|" * 5]
    for row in listed:
        first = "" if row["compile_s"] is None else f"{row['compile_s']:.1f} s"
        batch = "" if row["batch_size"] is None else f"{row['batch_size']:,}"
        cells = [row["part"], row["what"], row["precision"] or "", batch]
        lines.append(f"| {' | '.join(cells)} | {row['value']:,.4g} {row['unit']} | {first} |")
    return "\n".join(lines) + "\n"
