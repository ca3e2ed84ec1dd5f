"""The page of zero-shot classification: shares of right images, classes, confusions, loading."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from jclip.report.page import Column, Page, Section, page_title
from jclip.report.tables import page_table

ALPHA = 0.01
_SHOWN = 20
_SHARE = ".1f"
_INTERVAL = Column("95 % interval", _SHARE)
_ACCURACY: Mapping[Any, Column | None] = {
    **dict.fromkeys(("model", "top", "images", "classes")),
    "right": Column("right (%)", _SHARE),
    ("low", "high"): _INTERVAL,
    "balanced": Column("classes weighing the same (%)", _SHARE),
    ("balanced_low", "balanced_high"): _INTERVAL,
    "chance": Column("chance", _SHARE),
}
_CLASSES: Mapping[Any, Column | None] = {
    **dict.fromkeys(("model", "class", "images")),
    "right": Column("right (%)", _SHARE),
    ("low", "high"): _INTERVAL,
    "taken_for": Column("most often taken for"),
    "taken": Column("so often"),
}
_CONFUSIONS: Mapping[Any, Column | None] = {
    **dict.fromkeys(("class", "taken_for", "images")),
    "taken_for": Column("taken for"),
    "share": Column("of its images (%)", _SHARE),
}
_LOADING: Mapping[Any, Column | None] = {
    **dict.fromkeys(("model", "loaded")),
    "right": Column("as it is loaded (%)", _SHARE),
    "other": Column("loaded otherwise (%)", _SHARE),
    "difference": Column("difference (points)", "+.1f"),
    "only_first": Column("only as it is right"),
    "only_second": Column("only otherwise right"),
    "p": Column("McNemar p", "#.2g"),
}


def zero_shot_page(
    accuracy: pa.Table,
    classes: pa.Table,
    confusions: Mapping[str, pa.Table],
    loading: pa.Table,
    templates: Sequence[str],
) -> Page:
    """The page; tables as of `jclip.probes.zero_shot`, confusions by model.

    Raises:
        ValueError: no results.
    """
    if len(accuracy) == 0:
        raise ValueError("no results")
    models = list(dict.fromkeys(accuracy["model"].to_pylist()))
    shown = ", ".join(f"“{template}”" for template in templates[:6])
    more = f" and {len(templates) - 6} more" if len(templates) > 6 else ""
    right = Section(
        "Right images",
        "Each image is taken for the class whose prompts it scores highest with.",
        page_table("Top-k, ties against the right class", accuracy, _ACCURACY),
        method=f"A class is the mean of the embeddings of its prompts: {shown}{more}. Intervals of "
        "images are Clopper and Pearson's; where classes weigh the same, images are resampled "
        "within their class.",
    )
    mistaken = Section(
        "Classes that are mistaken for each other",
        "The most frequent first. Two classes that mean the same, or a name that does not say what "
        "the pictures show, stand here.",
        *(
            page_table(model, table.slice(0, _SHOWN), _CONFUSIONS)
            for model, table in confusions.items()
        ),
    )
    checked = Section(
        "Is the model loaded as it was trained?",
        "The same images by the same weights, loaded otherwise. Where another way is right more "
        "often, the checkpoint was probably trained that way; a wrong activation costs points here "
        "and raises no error anywhere.",
        page_table("Top-1", loading, _LOADING),
    )
    table = page_table("Top-1 of every class", classes, _CLASSES)
    sections = (
        right,
        *([checked] if len(loading) else []),
        mistaken,
        Section("Classes", "", table, folded=len(classes) > 2 * _SHOWN),
    )
    title = page_title("Zero-shot classification", models)
    return Page(title, zero_shot_finding(accuracy, confusions, loading), sections)


def zero_shot_finding(
    accuracy: pa.Table, confusions: Mapping[str, pa.Table], loading: pa.Table
) -> str:
    """The finding in a sentence or two."""
    rows = [row for row in accuracy.to_pylist() if row["top"] == 1]
    best = max(rows, key=lambda row: row["right"])
    lead = (
        f"{best['model']} takes {best['right']:.1f} % of {best['images']} images for the right one "
        f"of {best['classes']} classes ({best['low']:.1f} to {best['high']:.1f}, chance "
        f"{best['chance']:.1f})"
    )
    most = confusions[best["model"]].slice(0, 1).to_pylist()
    if most:
        lead += (
            f"; most often it takes {most[0]['class']} for {most[0]['taken_for']} "
            f"({most[0]['images']} images)"
        )
    return f"{lead}.{_loading(loading)}"


def _loading(loading: pa.Table) -> str:
    """What the other ways to load say, the worst news first."""
    rows = sorted(loading.to_pylist(), key=lambda row: row["difference"])
    if not rows:
        return ""
    first = rows[0]
    said = f"{first['model']} with {first['loaded']}"
    if first["p"] < ALPHA and first["difference"] < 0:
        gain = -first["difference"]
        return f" {said} is right more often, by {gain:.1f} points: probably wrongly loaded."
    last = rows[-1]
    if last["p"] < ALPHA:
        return (
            f" Loaded otherwise it is worse: with {last['loaded']}, {last['model']} loses "
            f"{last['difference']:.1f} points (p {last['p']:#.2g})."
        )
    return (
        f" {said} is not told apart from it (p {first['p']:#.2g}): these images do not show which "
        "is right."
    )
