"""Tables of scores of panoramas as people publish them: a row per generator, CSV and LaTeX."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from jclip.report.page import Column, Table
from jclip.report.tables import MeanColumn, page_table

HEADINGS = {
    "plain.crop": "centre crop",
    "plain.squash": "whole panorama",
    "plain.supplied": "whole panorama",
    "orbit.squash": "orbit",
    "orbit.supplied": "orbit",
    "orbit.crop": "orbit of crops",
    "yaw_range.squash": "range over yaws",
    "yaw_range.supplied": "range over yaws",
    "yaw_sd.squash": "sd over yaws",
    "yaw_sd.supplied": "sd over yaws",
    "mv_whole.corrected": "views",
    "panfusion.mv_CS.corrected": "views, own captions",
    "seam_views.corrected": "seam views",
    "DS": "DS",
    "DS.excess": "DS excess",
    "CMMD": "CMMD",
    "CMMD.unbiased": "CMMD, unbiased",
    "CLIP-Frechet": "CLIP-Frechet",
}
"""What a reader calls the scores that a page shows; others keep their names."""
MAIN = (
    "plain.squash",
    "orbit.squash",
    "yaw_range.squash",
    "plain.supplied",
    "orbit.supplied",
    "yaw_range.supplied",
    "mv_whole.corrected",
    "panfusion.mv_CS.corrected",
    "seam_views.corrected",
    "DS.excess",
)
"""The columns in which generators are compared on a page."""
# Of a generator's own eight pictures.
_OF_VIEWS = ("mvdiffusion.CS", "panfusion.pers_CS")
# Of a paper's table; all are in table.csv.
_NOT_PRINTED = ("yaws.", "yaw_sd.", "yaw_range.crop", "orbit.crop")
_LATEX = {c: rf"\{c}" for c in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}


def wide_table(summary: pa.Table, distances: pa.Table) -> pa.Table:
    """One row per set and model: n, then every score and distance with its interval's ends.

    Columns are called by the score, `NAME`, `NAME_low` and `NAME_high`; empty where a set has none.
    """
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for one in [*summary.to_pylist(), *distances.to_pylist()]:
        label = {"image_set": one["image_set"], "model": one["model"]}
        row = rows.setdefault(tuple(label.values()), {**label, "n": one["n"]})
        row[one["name"]] = one["mean"] if "mean" in one else one["distance"]
        row |= {f"{one['name']}_{end}": one[end] for end in ("low", "high")}
    names = dict.fromkeys(name for row in rows.values() for name in row)
    return pa.table({name: [row.get(name) for row in rows.values()] for name in names})


def score_names(wide: pa.Table, wanted: Sequence[str] = ()) -> list[str]:
    """The scores of a wide table, all or those of some, in its order."""
    ends = ("_low", "_high")
    names = [n for n in wide.column_names[3:] if not n.endswith(ends)]
    return [name for name in names if not wanted or name in wanted]


def score_table(caption: str, wide: pa.Table, names: Sequence[str]) -> Table:
    """A page's table of some scores of a wide table, a row per generator: mean ± half interval."""
    for name in names:
        ends = (wide[f"{name}_{end}"].to_pylist() for end in ("high", "low"))
        halves = [
            None if None in pair else (pair[0] - pair[1]) / 2 for pair in zip(*ends, strict=True)
        ]
        wide = wide.append_column(f"{name}_deviation", pa.array(halves, pa.float64()))
    columns = {"image_set": None, "model": None, "n": Column("panoramas")}
    if len(set(wide["model"].to_pylist())) == 1:
        del columns["model"]
    scores = {name: MeanColumn(HEADINGS.get(name, name), _format(name)) for name in names}
    return page_table(f"{caption} ± half of its 95 % interval", wide, columns | scores)


def latex_table(wide: pa.Table) -> str:
    """The wide table as LaTeX with booktabs: a row per generator, means with their intervals.

    Without means and deviations over yaws, which `table.csv` has.
    """
    names = [name for name in score_names(wide) if not name.startswith(_NOT_PRINTED)]
    heads = [_escaped(HEADINGS.get(name, name)) for name in names]
    lines = [
        "% Mean over panoramas; small: 95 % bootstrap interval over panoramas.",
        rf"\begin{{tabular}}{{ll*{{{len(names) + 1}}}{{r}}}}",
        r"\toprule",
        " & ".join(["Generator", "Model", "$n$", *heads]) + r" \\",
        r"\midrule",
    ]
    for row in wide.to_pylist():
        cells = [_escaped(row["image_set"]), _escaped(row["model"]), str(row["n"])]
        lines.append(" & ".join([*cells, *(_cell(row, name) for name in names)]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def set_line(row: Mapping[str, Any]) -> str:
    """A generator's row of the wide table in a line of text."""
    main = [name for name in MAIN if row.get(name) is not None]
    said = [
        f"{HEADINGS.get(name, name)} {row[name]:{_format(name)}}{_interval(row, name)}"
        for name in (*(main or _OF_VIEWS), "CMMD.unbiased")
        if row.get(name) is not None
    ]
    return f"{row['image_set']}, {row['model']}, {row['n']} panoramas: {'; '.join(said)}"


def _interval(row: Mapping[str, Any], name: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return "" if low is None else f" ({low:{_format(name)}} to {high:{_format(name)}})"


def _format(name: str) -> str:
    return ".3f" if name.startswith(("DS", "CMMD", "CLIP-Frechet")) else ".2f"


def _cell(row: Mapping[str, Any], name: str) -> str:
    if row[name] is None:
        return "--"
    mean, *ends = (
        None if row[key] is None else f"{row[key]:{_format(name)}}"
        for key in (name, f"{name}_low", f"{name}_high")
    )
    return f"{mean}" if None in ends else rf"{mean} {{\scriptsize ({', '.join(map(str, ends))})}}"


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(c, c) for c in text)
