"""The keyword page shows what was found, and what the control says."""

import dataclasses

import numpy as np
import pytest
import scipy.stats
from made_scores import keyword_scores

from jclip.report.faults import FaultChoice
from jclip.report.keyword_page import keyword_page
from jclip.report.page import write_page
from jclip.report.provenance import with_provenance
from jclip.statistics.keyword import keyword_statistics

IDENTIFIERS, GENERICS = (
    ("a 360 photo of", "a panorama of"),
    ("a photo of", "an image of", "a view of"),
)


def scores(difference, control=False, model="demo", images=30):
    rng = np.random.default_rng([images, control, len(model)])
    generic = rng.normal(25, 1, (images, len(GENERICS)))
    return keyword_scores(
        generic[:, :2] + difference + rng.normal(0, 0.1, (images, 2)),
        generic,
        image_set="photos" if control else "rooms",
        model=model,
        fit="crop",
        control=control,
        images=tuple(f"{i}.png" for i in range(images)),
        contents=("x",) * images,
        identifiers=IDENTIFIERS,
        generics=GENERICS,
    )


def page_of(results):
    statistics = [keyword_statistics(r.identifier_scores, r.generic_scores) for r in results]
    return keyword_page(results, statistics, [s.p for s in statistics], 0.01)


def test_the_summary_counts_pairs_and_marks_the_control():
    page = page_of([scores(4.0), scores(-4.0, control=True)])
    (table,) = page.sections[0].tables
    assert [row[0] for row in table.rows] == ["rooms", "photos (control)"]
    assert [row[4] for row in table.rows] == ["6 of 6", "0 of 6"]
    assert table.rows[0][5] > 3 and table.rows[1][5] < -3
    assert [row[6:] for row in table.rows] == [(1.0, 1.0), (0.0, 0.0)]


def test_the_summary_has_the_fewest_and_the_most_images_won():
    generic = np.full((10, 3), 20.0) + np.arange(10)[:, None]
    identifier = generic[:, :2] + 1
    # The first identifier wins 9 of 10 images, the second 7, by more.
    identifier[:1, 0] -= 2
    identifier[:3, 1] -= 3
    identifier[3:, 1] += 4
    result = dataclasses.replace(scores(0.0, images=10), values=np.hstack([identifier, generic]))
    statistics = keyword_statistics(identifier, generic)
    adjusted = np.array([[0.001, 0.009, 0.01], [0.02, 0.5, 1.0]])
    page = keyword_page([result], [statistics], [adjusted], 0.01)
    (row,) = page.sections[0].tables[0].rows
    # Walsh averages: of nine 1 and one -1 the median is 1; of seven 5 and three -2 it is 5.
    assert row == ("rooms", "demo", "crop", 10, "2 of 6", 3.0, 0.7, 0.9)


def test_every_pair_is_listed_with_its_numbers():
    result = scores(1.0)
    page = page_of([result])
    (pairs,) = [s for s in page.sections if s.heading == "All pairs"]
    (table,) = pairs.parts[0].tables
    assert [row[:2] for row in table.rows] == [(v, u) for v in IDENTIFIERS for u in GENERICS]
    difference = result.identifier_scores[:, 1] - result.generic_scores[:, 2]
    row = table.rows[-1]
    assert row[2] == pytest.approx(np.median(difference))
    assert row[4] < row[3] < row[5] and row[8] <= row[7] <= row[9]
    assert row[7] == pytest.approx(np.mean(difference > 0))


def test_the_numbers_of_a_pair_stand_under_their_headings():
    result = scores(0.02)
    own = keyword_statistics(result.identifier_scores, result.generic_scores)
    adjusted = np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.0]])
    page = keyword_page([result], [own], [adjusted], 0.01)
    (table,) = next(s for s in page.sections if s.heading == "All pairs").parts[0].tables
    assert table.caption == "rooms, fit crop, 30 images"
    assert [column.heading for column in table.columns] == [
        "identifier", "generic", "median difference", "Hodges-Lehmann", "from", "to", "effect",
        "images won", "from", "to", "Wilcoxon statistic", "p", "Holm p",
    ]  # fmt: skip
    for row, (v, u), holm_p in zip(table.rows, np.ndindex(2, 3), adjusted.ravel(), strict=True):
        difference = result.identifier_scores[:, v] - result.generic_scores[:, u]
        test = scipy.stats.wilcoxon(difference, alternative="greater")
        won = int((difference > 0).sum())
        share = scipy.stats.binomtest(won, 30).proportion_ci(0.95, "exact")
        walsh = [(a + b) / 2 for i, a in enumerate(difference) for b in difference[i:]]
        ranks = scipy.stats.rankdata(np.abs(difference))
        assert row[:2] == (IDENTIFIERS[v], GENERICS[u])
        # P(T+ <= 137) <= 0.025 < P(T+ <= 138) of 30 images.
        low, high = np.sort(walsh)[[137, -138]]
        expected = [np.median(difference), np.median(walsh), low, high]
        expected += [np.sum(np.sign(difference) * ranks) / 465, won / 30, *share]
        assert row[2:12] == pytest.approx((*expected, test.statistic, test.pvalue), rel=1e-9)
        assert row[12] == (holm_p or "< 1e-300")


def test_models_are_folded_and_figures_drawn(tmp_path):
    page = page_of([scores(1.0, model=m, control=c) for c in (False, True) for m in ("a", "bb")])
    assert page.title == "Keyword probe: 2 models"
    (pairs,) = [s for s in page.sections if s.heading == "All pairs"]
    assert [(p.heading, p.folded, len(p.tables)) for p in pairs.parts] == [
        ("a", True, 2),
        ("bb", True, 2),
    ]
    assert [figure.name for figure in page.figures()] == ["differences", "distributions"]
    assert all(figure.png.startswith(b"\x89PNG") for figure in page.figures())
    faults = [FaultChoice("no correction", "corrected", "Holm")]
    page = with_provenance(page, ["untrained"], faults, {"identity": {"models": "demo"}})
    write_page(tmp_path / "page.html", page)
    assert "untrained" in (tmp_path / "page.html").read_text()


def test_results_and_statistics_go_together():
    with pytest.raises(ValueError, match="0 results"):
        keyword_page([], [], [], 0.01)
