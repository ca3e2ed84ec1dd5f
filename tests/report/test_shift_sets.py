import numpy as np
import scipy.stats
from plain_holm import plain_holm

from jclip.report.shift_tables import set_section


def _columns(table):
    cells = zip(*table.rows, strict=True)
    return {
        column.heading: list(values) for column, values in zip(table.columns, cells, strict=True)
    }


def test_sets_are_compared_per_model_and_fit(make_scores):
    results = [
        make_scores("demo", fit, image_set=name, seed=seed, images=10 + seed)
        for fit in ("crop", "squash")
        for seed, name in enumerate(("samples", "synthetic", "laval"))
    ]
    medians, tests = set_section(results).tables
    moves = [np.mean(np.abs(r.scores[:, 1:] - r.scores[:, :1]), axis=1) for r in results]
    columns = _columns(medians)
    assert columns["fit"] == ["crop"] * 3 + ["squash"] * 3
    assert columns["image set"] == ["samples", "synthetic", "laval"] * 2
    assert columns["panoramas"] == [10, 11, 12] * 2
    np.testing.assert_allclose(columns["median of mean |d|"], [np.median(m) for m in moves])
    assert columns["median unshifted score"] == [np.median(r.scores[:, 0]) for r in results]
    columns = _columns(tests)
    assert (
        list(zip(columns["first set"], columns["second set"], strict=True))
        == [
            ("samples", "synthetic"),
            ("samples", "laval"),
            ("synthetic", "laval"),
        ]
        * 2
    )
    pairs = [(0, 1), (0, 2), (1, 2), (3, 4), (3, 5), (4, 5)]
    found = [scipy.stats.mannwhitneyu(moves[a], moves[b]) for a, b in pairs]
    assert columns["U"] == [test.statistic for test in found]
    assert columns["p"] == [test.pvalue for test in found]
    # The share of pairs of panoramas of which the first set's moves more.
    more = [np.mean(moves[a][:, None] > moves[b]) for a, b in pairs]
    np.testing.assert_allclose(columns["probability of superiority"], more)
    # All models and fits are one family.
    adjusted = plain_holm(columns["p"])
    assert adjusted != plain_holm(columns["p"][:3]) + plain_holm(columns["p"][3:])
    np.testing.assert_allclose(columns["Holm p"], adjusted)


def test_shifts_without_new_views_do_not_dilute_the_mean(make_scores):
    results = [make_scores(fit="tiles", image_set=name, seed=len(name)) for name in ("a", "bc")]
    moved = [1, 2, 3, 5, 6, 7]
    expected = [
        np.median(np.mean(np.abs(r.scores[:, moved] - r.scores[:, :1]), axis=1)) for r in results
    ]
    columns = _columns(set_section(results).tables[0])
    np.testing.assert_allclose(columns["median of mean |d|"], expected)
