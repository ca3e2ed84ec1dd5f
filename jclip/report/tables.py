"""Tables of a page, made from Arrow tables: one place knows headings and formats of columns."""

import dataclasses
import functools
import math
import operator
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from jclip.report.page import Cell, Column, Table

SCORE, CHANGE, SHARE, P = ".2f", ".3f", ".3f", "#.2g"
PROBABILITY = ".3g"
PROBABILITY_METHOD = (
    "Where a sigmoid loss trained a scale and a bias of the cosine, the probability is that of "
    "image and text belonging together, the sigmoid of scale x cosine + bias."
)

COLUMNS = {
    "image_set": Column("image set"),
    "model": Column("model"),
    "fit": Column("fit"),
    "n": Column("images"),
    "shift_index": Column("shift index"),
    "shift": Column("shift (pixels)"),
    "yaw": Column("yaw (degrees)", ".4g"),
    "median_abs_d": Column("median |d|", CHANGE),
    "mean_abs_d": Column("mean |d|", CHANGE),
    "median_unshifted_probability": Column("median unshifted probability", PROBABILITY),
    "identifier_probability": Column("median probability: identifiers", PROBABILITY),
    "generic_probability": Column("median probability: generic words", PROBABILITY),
    "shapiro_statistic": Column("Shapiro-Wilk W", ".4f"),
    "shapiro_p": Column("Shapiro-Wilk p", P),
    "wilcoxon_statistic": Column("Wilcoxon statistic", ".10g"),
    "wilcoxon_p": Column("Wilcoxon p", P),
    "holm_p": Column("Holm p", P),
}
"""How the columns that several tables share are headed and written; others say it themselves."""


@dataclasses.dataclass(frozen=True)
class MeanColumn(Column):
    """A mean, and its standard deviation where `NAME_deviation` has one."""

    def write(self, cell: Cell) -> str:
        """The mean, ± the deviation."""
        mean, deviation = cell if isinstance(cell, tuple) else (cell, None)
        if deviation is None or math.isnan(deviation):
            return super().write(mean)
        spread = dataclasses.replace(self, format=self.format.lstrip("+"))
        return f"{super().write(mean)} ± {spread.write(deviation)}"


def page_table(
    caption: str,
    table: pa.Table,
    columns: Mapping[Any, Column | None] | Sequence[str],
) -> Table:
    """A table of the page from an Arrow table.

    Args:
        caption: of the table.
        table: its rows. Null and NaN are n/a; a p of 0 is written as below the smallest float.
        columns: which columns in which order, with their heading and format; None (or a sequence of
            names): that of `COLUMNS`, or the name itself. A pair of names is an interval.
    """
    named = columns if isinstance(columns, Mapping) else dict.fromkeys(columns)
    shown = tuple(column or _column(name) for name, column in named.items())
    cells = [
        _cells(table, (name, f"{name}_deviation") if isinstance(column, MeanColumn) else name)
        for name, column in named.items()
    ]
    return Table(caption, shown, tuple(zip(*cells, strict=True)))


def labelled(table: pa.Table, label: tuple[str, str, str]) -> pa.Table:
    """The rows of one set of images, model and fit."""
    pairs = zip(("image_set", "model", "fit"), label, strict=True)
    return table.filter(functools.reduce(operator.and_, (pc.field(k) == v for k, v in pairs)))


def _column(name: str | tuple[str, str]) -> Column:
    if isinstance(name, tuple):
        return Column("95 % interval", CHANGE)
    return COLUMNS.get(name) or Column(name.replace("_", " "))


def _cells(table: pa.Table, name: str | tuple[str, str]) -> list[Cell]:
    if isinstance(name, tuple):
        low, high = (table[end].to_pylist() for end in name)
        return [a if None in (a, b) else (a, b) for a, b in zip(low, high, strict=True)]
    values = table[name].to_pylist()
    return [written_p(v) for v in values] if name.endswith("_p") or name == "p" else values


def written_p(p: float | None) -> Cell:
    """A p value for a table: thousands of images take it below the smallest float, not to 0."""
    return "< 1e-300" if p == 0 else p
