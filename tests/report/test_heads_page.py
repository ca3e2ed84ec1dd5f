"""The page with the table of heads."""

import numpy as np
import pytest

from jclip.probes.head_measures import RECALLS
from jclip.report.heads_page import heads_page, heads_table, rank_gain
from jclip.report.page import write_page

SETS = ("Easy", "Hard")


def row(head, stage, seed, rank):
    recalls = {name: 10.0 * number + seed for number, name in enumerate(RECALLS)}
    ranks = {"mean_rank": rank, "Easy": rank - 0.5, "Hard": rank + 0.5}
    return {"head": head, "stage": stage, "seed": seed, **ranks, **recalls}


ROWS = [
    row("CLIP", "before", 0, 3.0),
    row("linear", "warm-up", 0, 3.5),
    row("linear", "warm-up", 1, 3.7),
    row("linear", "hard-negatives", 0, 1.5),
    row("linear", "hard-negatives", 1, 1.7),
]


def page(rows=ROWS):
    return heads_page(rows, SETS, settings={"seeds": 2}, faults=(), notices=("mind this",))


def test_means_and_deviations_over_seeds():
    first, second, third = heads_table(ROWS).to_pylist()
    assert [r["seeds"] for r in (first, second, third)] == [1, 2, 2]
    assert third["mean_rank"] == pytest.approx(1.6)
    assert third["mean_rank_deviation"] == pytest.approx(np.std([1.5, 1.7], ddof=1))
    assert np.isnan(first["mean_rank_deviation"])


@pytest.mark.parametrize(
    ("before", "after", "gain"), [(3.0, 1.0, 1.0), (3.0, 3.0, 0.0), (3.0, 2.0, 0.5), (3, 5, -1.0)]
)
def test_gain_is_the_share_of_the_way_to_one(before, after, gain):
    assert rank_gain(float(before), float(after)) == pytest.approx(gain)


def test_the_page_says_what_was_found(tmp_path):
    write_page(tmp_path / "page.html", page())
    text = (tmp_path / "page.html").read_text()
    assert "mind this" in text
    assert "1.60 ± 0.14" in text and "3.00" in text
    # Hard goes from 3.5 to a mean of 2.1.
    assert "56%" in text
    (figure,) = page().figures()
    assert figure.png.startswith(b"\x89PNG")


def test_nothing_to_compare_with():
    with pytest.raises(ValueError, match="no row is of stage 'before'"):
        page(ROWS[1:])
