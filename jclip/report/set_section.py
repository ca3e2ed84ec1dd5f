"""The image sets of a shift sweep beside each other."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from jclip.probes.scores import ShiftScores
from jclip.probes.shift import same_views
from jclip.report.page import Column, Section, Table
from jclip.report.shift_tables import written_p
from jclip.statistics.multiple import holm
from jclip.statistics.set_comparison import SetComparison, compare_sets


def set_section(results: Sequence[ShiftScores]) -> Section:
    """Per model and fit: what each set shows, and a test between every two of them."""
    return Section(
        heading="Image sets compared",
        text="For every panorama the mean |d| over its shifts says how much its score moves; the "
        "median over panoramas stands for the set. Shifts that map the views onto themselves by "
        "construction do not count.\n\n"
        "The two-sided Mann-Whitney U test asks whether panoramas of one set move more than those "
        "of the other. The probability of superiority is the chance that a panorama drawn from "
        "the first set moves more than one drawn from the second; 0.5 is no difference. Holm's "
        "method adjusts p over all comparisons of this section. The sets are taken as independent "
        "samples: the same scene in both would count twice.",
        tables=(_median_table(results), _test_table(results)),
    )


def _mean_change(result: ShiftScores) -> Float[np.ndarray, " n"]:
    """Mean |d| of every panorama over the shifts that change its views."""
    moved = ~same_views(result)
    change = np.abs(result.scores.astype(np.float64) - result.scores[:, :1])
    return np.mean(change[:, moved], axis=1)


def _groups(results: Sequence[ShiftScores]) -> dict[tuple[str, str], dict[str, ShiftScores]]:
    groups: dict[tuple[str, str], dict[str, ShiftScores]] = {}
    for result in results:
        groups.setdefault((result.model, result.fit), {})[result.image_set] = result
    return groups


def _median_table(results: Sequence[ShiftScores]) -> Table:
    columns = (
        Column("model"),
        Column("fit"),
        Column("image set"),
        Column("panoramas"),
        Column("median of mean |d|", ".3f"),
        Column("median unshifted score", ".2f"),
    )
    rows = tuple(
        (
            model,
            fit,
            image_set,
            len(result.images),
            float(np.median(_mean_change(result))),
            float(np.median(result.scores[:, 0])),
        )
        for (model, fit), sets in _groups(results).items()
        for image_set, result in sets.items()
    )
    return Table("Each set", columns, rows)


def _test_table(results: Sequence[ShiftScores]) -> Table:
    columns = (
        Column("model"),
        Column("fit"),
        Column("first set"),
        Column("second set"),
        Column("probability of superiority", ".3f"),
        Column("U", ".10g"),
        Column("p", "#.2g"),
        Column("Holm p", "#.2g"),
    )
    found: list[tuple[str, str, SetComparison]] = [
        (model, fit, comparison)
        for (model, fit), sets in _groups(results).items()
        for comparison in compare_sets({name: _mean_change(r) for name, r in sets.items()})
    ]
    adjusted = holm(np.array([comparison.p for _, _, comparison in found]))
    rows = tuple(
        (
            model,
            fit,
            c.first,
            c.second,
            c.superiority,
            c.statistic,
            written_p(c.p),
            written_p(float(p)),
        )
        for (model, fit, c), p in zip(found, adjusted, strict=True)
    )
    return Table("Mean |d| between sets", columns, rows)
