import numpy as np
import pytest

from jclip.probes.retrieval import RankedQueries
from jclip.report.page import write_page
from jclip.report.retrieval_page import recall_figure, retrieval_page

RESULTS = [
    RankedQueries("small", "image to text", 20, np.array([1, 3, 12, 1])),
    RankedQueries("small", "text to image", 4, np.array([1, 2, 2, 4])),
]


def test_the_page_says_what_the_ranks_say(tmp_path):
    made = retrieval_page(RESULTS)
    write_page(tmp_path / "report.html", made)
    assert "small" in (tmp_path / "report.html").read_text()
    assert made.lead == (
        "By small, 50.0 % of 4 images find a caption first among 20, and 25.0 % of 4 captions find "
        "their image first among 4."
    )
    table = made.sections[0].tables[0]
    assert [column.heading for column in table.columns] == [
        "model", "direction", "queries", "among", "R@1 (%)", "R@5 (%)", "R@10 (%)",
        "median rank", "mean rank",
    ]  # fmt: skip
    first, second = table.rows
    assert first == ("small", "image to text", 4, 20, 50.0, 75.0, 75.0, 2.0, 4.25)
    assert second == ("small", "text to image", 4, 4, 25.0, 100.0, 100.0, 2.0, 2.25)
    ranks = np.array([1, 1, 5, 5, 5, 10, 11, 12])
    uneven = [RankedQueries("m", "text to image", 30, ranks)]
    made = retrieval_page(uneven)
    # At most k: the ranks 5 and 10 count.
    (row,) = made.sections[0].tables[0].rows
    assert row == ("m", "text to image", 8, 30, 25.0, 62.5, 75.0, 5.0, 6.25)
    with pytest.raises(ValueError, match="no results"):
        retrieval_page([])


def test_the_figure_is_recall_at_every_k():
    captions, images = recall_figure(RESULTS).axes
    (line,) = captions.lines
    assert len(line.get_xdata()) == 20
    np.testing.assert_allclose(line.get_ydata()[[0, 1, 2, 10, 11]], [50, 50, 75, 75, 100])
    np.testing.assert_allclose(images.lines[0].get_ydata(), [25, 75, 75, 100])
