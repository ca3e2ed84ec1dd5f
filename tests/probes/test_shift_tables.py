"""Scores and statistics of the shift probe as tables, column by column."""

import dataclasses
import math

import numpy as np
import pytest
import scipy.stats
from made_scores import shift_scores, with_scores
from plain_holm import plain_holm

from jclip.probes.scores import Sigmoid, fill_scores, score_table
from jclip.probes.shift_tables import statistics_table, summary_table
from jclip.statistics.calibration import calibrate_flip_bound
from jclip.statistics.stability import shift_statistics

IMAGES, SHIFTS = 40, 6


@pytest.fixture
def result():
    """Changes that grow with the shift, around beta, so that no two columns agree."""
    rng = np.random.default_rng(32)
    change = np.abs(rng.normal(0, 1, (IMAGES, SHIFTS))) * [0, 0.3, 0.7, 1.0, 1.6, 2.4]
    unshifted = rng.normal(25, 2, (IMAGES, 1))
    return shift_scores(
        unshifted + change,
        unshifted[:, 0] + rng.normal(0, 0.4, IMAGES),
        image_set="rooms",
        model="ViT-B-32/openai",
        fit="squash",
        images=tuple(f"{i}.png" for i in range(IMAGES)),
        captions=tuple(f"room {i}" for i in range(IMAGES)),
        heights=np.full(IMAGES, 30),
        widths=np.full(IMAGES, 60),
        shifts=np.tile([0, 7, 15, 30, 40, 55], (IMAGES, 1)),
    )


def small(**changes):
    """Two panoramas of different widths at three shifts."""
    values = {
        "image_set": "rooms",
        "model": "a/b",
        "fit": "pad",
        "images": ("y.png", "x.png"),
        "captions": ("why", "ex"),
        "heights": np.array([30, 50]),
        "widths": np.array([60, 100]),
        "shifts": np.array([[0, 15, 45], [0, 25, 75]]),
        "scores": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]],
        "mirrored": [7.0, 8.0],
    }
    return shift_scores(**(values | changes))


def test_scores_have_a_row_per_image_and_shift():
    assert score_table([small()]).to_pydict() == {
        "image_set": ["rooms"] * 6,
        "model": ["a/b"] * 6,
        "fit": ["pad"] * 6,
        "image": ["y.png"] * 3 + ["x.png"] * 3,
        "caption": ["why"] * 3 + ["ex"] * 3,
        "shift_index": [0, 1, 2, 0, 1, 2],
        "shift": [0, 15, 45, 0, 25, 75],
        "yaw": [0.0, 90.0, 270.0, 0.0, 90.0, 270.0],
        "score": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
        "mirrored_score": [7.0, None, None, 8.0, None, None],
    }
    # A model that a sigmoid loss trained has probabilities; those of another are empty.
    likely, both = small(), [small(), dataclasses.replace(small(), sigmoid=Sigmoid(5.0, -0.1))]
    assert likely.sigmoid is None and "probability" not in score_table([likely]).column_names
    probabilities = score_table(both)["probability"].to_pylist()
    assert probabilities[:6] == [None] * 6
    wanted = [1 / (1 + math.exp(0.1 - 5 * score / 100)) for score in range(1, 7)]
    assert probabilities[6:] == pytest.approx(wanted, rel=1e-6)
    unflipped = score_table([small(mirrored=None)])
    assert unflipped["mirrored_score"].to_pylist() == [None] * 6


def test_scores_of_a_table_are_filled_in_by_name():
    whole = small(), small(fit="crop", scores=small().scores + 10, mirrored=[1.0, 2.0])
    some = whole[0].select([1]), whole[1].select([1])
    assert (some[0].images, some[0].captions) == (("x.png",), ("ex",))
    assert (some[0].widths.tolist(), some[0].heights.tolist()) == ([100], [50])
    empty = [dataclasses.replace(r, values=np.full((2, 4), np.nan)) for r in whole]
    fill_scores(empty, [score_table(some)])
    assert [r.done.tolist() for r in empty] == [[False, True]] * 2
    np.testing.assert_array_equal(empty[0].scores, [[np.nan] * 3, [4, 5, 6]])
    np.testing.assert_array_equal(empty[1].scores, [[np.nan] * 3, [14, 15, 16]])
    np.testing.assert_array_equal(empty[0].mirrored, [np.nan, 8])
    np.testing.assert_array_equal(empty[1].mirrored, [np.nan, 2])


def test_statistics_have_their_values_under_their_names(result):
    bound = calibrate_flip_bound(result.scores[:, 0], result.mirrored)
    statistics = shift_statistics(result.scores, bound, 0.02)
    rows = statistics_table([result], [statistics]).to_pylist()
    change = np.abs(result.scores[:, 1:] - result.scores[:, :1])
    first, third = np.quantile(np.abs(result.scores[:, 0] - result.mirrored), (0.25, 0.75))
    beta = third + 1.5 * (third - first)
    below, above = np.sum(change < beta, axis=0), np.sum(change > beta, axis=0)
    sign_p = [scipy.stats.binomtest(int(k), IMAGES, alternative="greater").pvalue for k in below]
    holm_p = plain_holm(sign_p)
    wilcoxon = [scipy.stats.wilcoxon(c - beta, alternative="less") for c in change.T]
    draws = np.random.default_rng(0).integers(IMAGES, size=(2000, IMAGES), dtype=np.int32)
    flips = np.abs(result.scores[:, 0] - result.mirrored)[draws]
    quartiles = np.quantile(flips, (0.25, 0.75), axis=1)
    excess = np.median(change[draws], axis=1)
    excess -= (quartiles[1] + 1.5 * (quartiles[1] - quartiles[0]))[:, None]
    excess_limits = np.quantile(excess, (0.025, 0.975), axis=0)
    stable = [p < 0.02 for p in holm_p]
    stable_by_wilcoxon = [test.pvalue < 0.02 for test in wilcoxon]
    assert 1 <= sum(stable) < sum(stable_by_wilcoxon) < 5
    assert max(np.abs(np.subtract(holm_p, sign_p))) > 0.001
    assert [row["shift_index"] for row in rows] == [1, 2, 3, 4, 5]
    for t, row in enumerate(rows):
        own = change[:, t]
        # P(Bin(40, 1/2) < 14) <= 0.025 < P(< 15).
        low, high = np.sort(own)[[13, -14]]
        shapiro = scipy.stats.shapiro(own)
        share = scipy.stats.binomtest(int(above[t]), IMAGES).proportion_ci(0.95, "exact")
        expected = {
            "image_set": "rooms",
            "model": "ViT-B-32/openai",
            "fit": "squash",
            "shift_index": t + 1,
            "shift": [7, 15, 30, 40, 55][t],
            "shift_least": [7, 15, 30, 40, 55][t],
            "shift_most": [7, 15, 30, 40, 55][t],
            "yaw": [42.0, 90.0, 180.0, 240.0, 330.0][t],
            "n": 40,
            "median_abs_d": np.median(own),
            "median_low": low,
            "median_high": high,
            "mean_abs_d": own.mean(),
            "shapiro_statistic": shapiro.statistic,
            "shapiro_p": shapiro.pvalue,
            "beta": beta,
            "alpha": 0.02,
            "wilcoxon_statistic": wilcoxon[t].statistic,
            "wilcoxon_p": wilcoxon[t].pvalue,
            "stable_by_wilcoxon": bool(stable_by_wilcoxon[t]),
            "sign_test_p": sign_p[t],
            "sign_test_holm_p": holm_p[t],
            "stable": stable[t],
            "all_shifts_p": max(sign_p),
            "share_above_beta": above[t] / IMAGES,
            "share_above_low": share.low,
            "share_above_high": share.high,
            "median_excess": np.median(own) - beta,
            "median_excess_low": excess_limits[0, t],
            "median_excess_high": excess_limits[1, t],
            "median_excess_share_below": np.mean(excess[:, t] < 0),
        }
        assert list(row) == list(expected)
        for name, value in expected.items():
            exact = isinstance(value, str | bool)
            assert row[name] == (value if exact else pytest.approx(value, rel=1e-6)), name


def test_what_was_not_tested_is_empty(result):
    identity = np.arange(SHIFTS) == 3
    statistics = shift_statistics(result.scores, 1.0, identity=identity)
    rows = statistics_table([result], [statistics]).to_pylist()
    assert [row["stable"] is None for row in rows] == [False, False, True, False, False]
    assert [row["stable_by_wilcoxon"] is None for row in rows] == [False, False, True, False, False]
    tested = [row for row in rows if row["stable"] is not None]
    assert [row["sign_test_holm_p"] for row in tested] == pytest.approx(
        plain_holm([row["sign_test_p"] for row in tested])
    )
    assert all(np.isnan(rows[2][f"share_above_{limit}"]) for limit in ("beta", "low", "high"))
    assert "median_excess_low" not in rows[0]
    untested = statistics_table([result], [shift_statistics(result.scores, None)])
    assert "beta" not in untested.schema.names


def test_the_summary_has_the_median_probability_where_there_is_one(result):
    likely = dataclasses.replace(result, model="b", sigmoid=Sigmoid(100.0, -10.0))
    statistics = [shift_statistics(r.scores, None) for r in (result, likely)]
    without, row = summary_table([result, likely], statistics).to_pylist()
    assert without["median_unshifted_probability"] is None
    median = float(np.median(1 / (1 + np.exp(10 - likely.scores[:, 0]))))
    assert row["median_unshifted_probability"] == pytest.approx(median, rel=1e-6)


def test_the_summary_has_its_values_under_its_names(result):
    bound = calibrate_flip_bound(result.scores[:, 0], result.mirrored)
    statistics = shift_statistics(result.scores, bound, 0.02)
    (row,) = summary_table([result], [statistics]).to_pylist()
    medians = np.median(np.abs(result.scores[:, 1:] - result.scores[:, :1]), axis=0)
    first, third = np.quantile(np.abs(result.scores[:, 0] - result.mirrored), (0.25, 0.75))
    beta = third + 1.5 * (third - first)
    change = np.abs(result.scores[:, 1:] - result.scores[:, :1])
    below = [int(k) for k in np.sum(change < beta, axis=0)]
    sign_p = [scipy.stats.binomtest(k, IMAGES, alternative="greater").pvalue for k in below]
    wilcoxon = [scipy.stats.wilcoxon(c - beta, alternative="less").pvalue for c in change.T]
    assert np.argmax(medians) == 4
    expected = {
        "image_set": "rooms",
        "model": "ViT-B-32/openai",
        "fit": "squash",
        "n": 40,
        "median_unshifted_score": np.median(result.scores[:, 0]),
        "half_turn_yaw": 180.0,
        "half_turn_median_abs_d": medians[2],
        "largest_median_abs_d": medians[4],
        "largest_at_yaw": 330.0,
        "largest_at_shift_index": 5,
        "beta": beta,
        "beta_from": "flip calibration",
        "stable_shifts": sum(p < 0.02 for p in plain_holm(sign_p)),
        "tested_shifts": 5,
        "all_shifts_p": max(sign_p),
        "stable_shifts_by_wilcoxon": sum(p < 0.02 for p in wilcoxon),
    }
    assert list(row) == list(expected)
    for name, value in expected.items():
        assert row[name] == (value if isinstance(value, str) else pytest.approx(value)), name


def test_a_summary_without_tests_is_empty_there_and_a_given_beta_is_called_so(result):
    identity = np.arange(SHIFTS) == 3
    given = with_scores(result, result.scores)
    untested, tested = summary_table(
        [result, given],
        [
            shift_statistics(result.scores, None),
            shift_statistics(result.scores, 1.0, identity=identity),
        ],
    ).to_pylist()
    names = ("beta", "beta_from", "stable_shifts", "tested_shifts", "all_shifts_p")
    assert [untested[name] for name in (*names, "stable_shifts_by_wilcoxon")] == [None] * 6
    assert (tested["beta"], tested["beta_from"], tested["tested_shifts"]) == (
        1.0,
        "given by value",
        4,
    )


def test_pixels_are_empty_where_widths_differ():
    one = small()
    (first, second) = statistics_table([one], [shift_statistics(one.scores, None)]).to_pylist()
    assert (first["shift"], first["yaw"], first["n"]) == (None, 90.0, 2)
    assert (second["shift"], second["yaw"]) == (None, 270.0)
    assert [(row["shift_least"], row["shift_most"]) for row in (first, second)] == [
        (15, 25),
        (45, 75),
    ]
    assert (first["mean_abs_d"], second["mean_abs_d"]) == (1.0, 2.0)
