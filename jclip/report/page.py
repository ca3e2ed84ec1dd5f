"""A self-contained HTML page of text, tables and figures."""

import base64
import dataclasses
import importlib.resources
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import jinja2

type Cell = str | bool | int | float | tuple[int | float, int | float] | None


@dataclasses.dataclass(frozen=True)
class Column:
    """A table column: heading, and how its numbers are written (a format such as ".2f").

    A number that a format would show as zero is written to two significant figures instead, and
    hovering over a cell shows the number in full. None and NaN are n/a, bool is yes or no, a pair
    is an interval.
    """

    heading: str
    format: str = ""

    def write(self, cell: Cell) -> str:
        """The cell as the reader sees it."""
        if cell is None or (isinstance(cell, float) and math.isnan(cell)):
            return "n/a"
        if isinstance(cell, bool):
            return "yes" if cell else "no"
        if isinstance(cell, str):
            return cell
        if isinstance(cell, tuple):
            low, high = (self.write(end) for end in cell)
            return low if low == high else f"{low} to {high}"
        text = format(cell, self.format)
        if cell and not any(digit in text.lower().split("e")[0] for digit in "123456789"):
            return format(cell, ".2g")
        return text


@dataclasses.dataclass(frozen=True)
class Table:
    """A captioned table; every row has one cell per column."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def __post_init__(self) -> None:
        for number, cells in enumerate(map(len, self.rows)):
            if cells != (expected := len(self.columns)):
                found = f"row {number} has {cells} cells, not {expected}"
                raise ValueError(f"table {self.caption!r}: {found}")

    @property
    def numeric(self) -> list[bool]:
        """Which columns hold numbers, and stand to the right."""
        kinds = [{type(row[i]) for row in self.rows} for i in range(len(self.columns))]
        return [bool(kind & {int, float, tuple}) for kind in kinds]


@dataclasses.dataclass(frozen=True)
class Illustration:
    """A figure as a PNG file; `name` is its file name without suffix, unique on the page."""

    name: str
    caption: str
    png: bytes

    @property
    def source(self) -> str:
        """The picture as a data address, which needs no file beside the page."""
        return "data:image/png;base64," + base64.b64encode(self.png).decode("ascii")


class Section:
    """A part of a page: `text` above its tables and figures, `method` below, then its parts.

    Blank lines in both texts separate paragraphs; `folded` shows only the heading. `content` is
    tables, figures, and sections within this one.
    """

    def __init__(
        self,
        heading: str,
        text: str = "",
        *content: "Table | Illustration | Section",
        method: str = "",
        folded: bool = False,
    ) -> None:
        self.heading, self.text, self.method, self.folded = heading, text, method, folded
        self.tables = tuple(one for one in content if isinstance(one, Table))
        self.figures = tuple(one for one in content if isinstance(one, Illustration))
        self.parts = tuple(one for one in content if isinstance(one, Section))


@dataclasses.dataclass(frozen=True)
class Page:
    """A page: the finding in a sentence or two (`lead`), sections.

    `notices` are what the reader has to know first; publishing a run adds its own.
    """

    title: str
    lead: str
    sections: tuple[Section, ...]
    notices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = [figure.name for figure in self.figures()]
        repeated = {name for name in names if names.count(name) > 1}
        if repeated:
            raise ValueError(f"two figures share the name {sorted(repeated)[0]!r}")

    def figures(self) -> Iterator[Illustration]:
        """All figures in reading order."""
        pending = list(self.sections)
        while pending:
            section = pending.pop(0)
            yield from section.figures
            pending[:0] = section.parts


def write_page(path: Path, page: Page) -> None:
    """Writes the page as one HTML file that loads nothing else."""
    template = importlib.resources.files("jclip.report").joinpath("page.html").read_text("utf-8")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    written = environment.from_string(template).render(page=page)
    path.write_text(written, encoding="utf-8", errors="backslashreplace")


def write_figures(folder: Path, page: Page) -> None:
    """Writes each figure of the page to `folder/NAME.png`."""
    folder.mkdir(parents=True, exist_ok=True)
    for figure in page.figures():
        (folder / f"{figure.name}.png").write_bytes(figure.png)


def page_title(subject: str, models: Sequence[str]) -> str:
    """What was asked, and of which model, or of how many."""
    return f"{subject}: {models[0] if len(models) == 1 else counted(len(models), 'model')}"


def counted(count: int, noun: str) -> str:
    """`1 model`, `2 models`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
