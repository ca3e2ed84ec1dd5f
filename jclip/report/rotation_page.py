"""The page of a rotation sweep: is the score robust on the whole sphere?"""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from matplotlib.figure import Figure

from jclip.report.page import Column, Illustration, Page, Section, page_title
from jclip.report.style import fit_colours, panels, png
from jclip.report.tables import CHANGE, P, page_table

AXES = ("yaw", "pitch", "roll")


def rotation_page(table: pa.Table) -> Page:
    """The page of a `rotation_table`.

    Raises:
        ValueError: it has no rows.
    """
    rows = table.to_pylist()
    if not rows:
        raise ValueError("no turns")
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(f"{row['image_set']}, {row['model']}", []).append(row)
    columns = {
        **dict.fromkeys(("image_set", "model", "fit", "axis")),
        "angle": Column("angle (degrees)", "g"),
        "median_abs_d": Column("median |d|", CHANGE),
        "median_low": Column("95 % from", CHANGE),
        "median_high": Column("to", CHANGE),
        "beta": Column("beta", ".4g"),
        "sign_test_holm_p": Column("p (sign test, Holm)", P),
        "stable": None,
    }
    sections = (
        Section(
            "Score change against the angle",
            "Median |d| with its 95 % interval over panoramas; d is the score of the turned "
            "camera less that of the camera as it is. The dashed line is beta, the largest change "
            "that counts as none.",
            *(
                Illustration(f"rotation-{number}", name, png(rotation_figure(own)))
                for number, (name, own) in enumerate(groups.items())
            ),
            method="A positive pitch looks up, a positive roll lowers the camera's right side. "
            "Panoramas are resampled on the sphere, four samples a pixel, the unturned one too, so "
            "that none is sharper. A turn is stable where the exact sign test with Holm's "
            "correction over the turns of a row finds the median |d| below beta; a turn that only "
            "swaps views is not tested. A tilted horizon is rare among photographs: a change may "
            "be what captions mean by upright, not a fault of the network alone.",
        ),
        Section("Every turn", "", page_table("Turns", table, columns)),
    )
    models = list(dict.fromkeys(row["model"] for row in rows))
    return Page(page_title("Rotation sweep", models), finding(rows), sections)


def finding(rows: Sequence[dict[str, Any]]) -> str:
    """The worst turn about every axis, and how many stay within beta."""
    parts = []
    for axis in AXES:
        own = [row for row in rows if row["axis"] == axis]
        if not own:
            continue
        worst = max(own, key=lambda row: row["median_abs_d"])
        tested = [row["stable"] for row in own if row["stable"] is not None]
        within = f", {sum(tested)} of {len(tested)} turns within beta" if tested else ""
        parts.append(
            f"{axis} by up to a median of {worst['median_abs_d']:.2f} (at {worst['angle']:g} "
            f"degrees, {worst['fit']}{within})"
        )
    return f"Turning the camera changes the score: {'; '.join(parts)}."


def rotation_figure(rows: Sequence[dict[str, Any]]) -> Figure:
    """|d| against the angle, a panel per axis, a colour per fit."""
    axes_shown = [axis for axis in AXES if any(row["axis"] == axis for row in rows)]
    fits = list(dict.fromkeys(row["fit"] for row in rows))
    colours = fit_colours(fits)
    figure, axes = panels(
        len(axes_shown), 3, (4.2, 3.4), axes_shown, x="angle (degrees)", y="median |d|"
    )
    for panel, axis in zip(axes, axes_shown, strict=True):
        for fit in fits:
            own = [row for row in rows if row["axis"] == axis and row["fit"] == fit]
            own = sorted(own, key=lambda row: row["angle"])
            angles = [row["angle"] for row in own]
            middle = [row["median_abs_d"] for row in own]
            reach = [
                [row["median_abs_d"] - row["median_low"] for row in own],
                [row["median_high"] - row["median_abs_d"] for row in own],
            ]
            panel.errorbar(angles, middle, reach, fmt="o-", color=colours[fit], label=fit)
            if own and own[0]["beta"] is not None:
                panel.axhline(own[0]["beta"], color=colours[fit], linestyle="--", linewidth=0.9)
    axes[0].set_ylim(bottom=0)
    axes[0].legend(frameon=False, fontsize=9)
    return figure
