"""The page with the table of heads."""

import numpy as np
import pytest

from jclip.probes.heads import RECALLS
from jclip.report.heads_page import heads_page, rank_gain, trade_off_figure
from jclip.report.page import write_page
from jclip.report.training_tables import heads_table

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
    return heads_page(heads_table(rows), SETS)


def test_means_and_deviations_over_seeds():
    first, second, third = heads_table(ROWS).to_pylist()
    assert [r["seeds"] for r in (first, second, third)] == [1, 2, 2]
    assert third["mean_rank"] == pytest.approx(1.6)
    assert third["mean_rank_deviation"] == pytest.approx(np.std([1.5, 1.7], ddof=1))
    assert np.isnan(first["mean_rank_deviation"])


def written(table):
    """The rows of a table as they are read."""
    return [
        tuple(column.write(cell) for column, cell in zip(table.columns, row, strict=True))
        for row in table.rows
    ]


def test_every_number_stands_under_its_own_name():
    summary, sets = page().sections[0].tables[0], page().sections[2].tables[0]
    assert [column.heading for column in summary.columns] == [
        "head", "stage", "seeds", "mean rank",
        "i2t R@1", "i2t R@5", "i2t R@10", "t2i R@1", "t2i R@5", "t2i R@10",
    ]  # fmt: skip
    shown = written(summary)
    assert shown[0] == (
        "CLIP", "before", "1", "3.00", "0.0", "10.0", "20.0", "30.0", "40.0", "50.0",
    )  # fmt: skip
    # Recalls of the seeds 0 and 1 are one apart, ranks 0.2.
    assert shown[2] == (
        "linear", "hard-negatives", "2", "1.60 ± 0.14",
        *(f"{10 * number}.5 ± 0.7" for number in range(6)),
    )  # fmt: skip
    headings = [column.heading for column in sets.columns]
    assert headings == ["head", "stage", "Easy", "Hard", "way to 1 gone, Hard"]
    shown = written(sets)
    assert shown[0] == ("CLIP", "before", "2.50", "3.50", "n/a")
    assert shown[1][:4] == ("linear", "warm-up", "3.10 ± 0.14", "4.10 ± 0.14")
    assert shown[2][:4] == ("linear", "hard-negatives", "1.10 ± 0.14", "2.10 ± 0.14")
    assert sets.rows[1][4] == pytest.approx(-0.6 / 2.5)
    assert sets.rows[2][4] == pytest.approx(1.4 / 2.5)


def test_the_table_of_heads_has_a_mean_and_a_deviation_of_everything():
    third = heads_table(ROWS).to_pylist()[2]
    expected = {"head": "linear", "stage": "hard-negatives", "seeds": 2}
    means = {"mean_rank": 1.6, "Easy": 1.1, "Hard": 2.1}
    means |= {name: 10.0 * number + 0.5 for number, name in enumerate(RECALLS)}
    for name, mean in means.items():
        spread = np.sqrt(0.02) if mean < 3 and name not in RECALLS else np.sqrt(0.5)
        expected |= {name: pytest.approx(mean), f"{name}_deviation": pytest.approx(spread)}
    assert third == expected


def test_the_way_to_one_is_that_of_the_first_set_without_hard():
    rows = [{**row, "Medium": row["Hard"] + 1} for row in ROWS]
    made = heads_page(heads_table(rows), ("Medium", "Easy"))
    table = made.sections[2].tables[0]
    assert table.columns[-1].heading == "way to 1 gone, Medium"
    assert table.rows[2][-1] == pytest.approx((4.5 - 3.1) / 3.5)


def test_the_figure_is_ranks_against_recall():
    image, text = trade_off_figure(heads_table(ROWS).to_pylist()).axes
    for panel, recalls in ((image, [0, 0.5, 0.5]), (text, [30, 30.5, 30.5])):
        path = panel.lines[0]
        np.testing.assert_allclose(path.get_xdata(), recalls)
        np.testing.assert_allclose(path.get_ydata(), [3.0, 3.6, 1.6])
    assert "image to text" in image.get_xlabel() and "text to image" in text.get_xlabel()


@pytest.mark.parametrize(
    ("before", "after", "gain"), [(3.0, 1.0, 1.0), (3.0, 3.0, 0.0), (3.0, 2.0, 0.5), (3, 5, -1.0)]
)
def test_gain_is_the_share_of_the_way_to_one(before, after, gain):
    assert rank_gain(float(before), float(after)) == pytest.approx(gain)


def test_the_page_says_what_was_found(tmp_path):
    write_page(tmp_path / "page.html", page())
    text = (tmp_path / "page.html").read_text()
    assert "A linear head (after hard-negatives) ranks the right caption at 1.60" in text
    assert "1.60 ± 0.14" in text and "3.00" in text
    # Hard goes from 3.5 to a mean of 2.1.
    assert "56%" in text
    (figure,) = page().figures()
    assert figure.png.startswith(b"\x89PNG")


def test_nothing_to_compare_with():
    with pytest.raises(ValueError, match="no row is of stage 'before'"):
        page(ROWS[1:])
