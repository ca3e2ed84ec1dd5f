"""Distances between sets of embeddings against goldens, closed forms and their own samples."""

import json
from pathlib import Path

import numpy as np
import pytest

from jclip.statistics.set_distances import (
    frechet_distance,
    frechet_interval,
    mean_interval,
    mmd,
    mmd_interval,
    unit_rows,
)

GOLDEN = Path(__file__).parents[1] / "golden" / "panorama_scores"
SETS = dict(np.load(GOLDEN / "distances.npz"))
EXPECTED = json.loads((GOLDEN / "expected.json").read_text())["distances"]


@pytest.mark.parametrize("pair", list(EXPECTED))
def test_golden_distances(pair):
    first, second = (SETS[name] for name in pair.split(","))
    expected = EXPECTED[pair]
    ours, theirs = unit_rows(first), unit_rows(second)
    assert mmd(ours, theirs) == pytest.approx(expected["cmmd"], abs=1e-6)
    unbiased = mmd(ours, theirs, biased=False)
    assert unbiased == pytest.approx(expected["cmmd_unbiased"], abs=1e-6)
    assert mmd(first, second) == pytest.approx(expected["mmd_not_normalised"], abs=1e-6)
    # The golden scaled rows in float32, and takes eigenvalues of nearly singular covariances.
    close = 1e-6 if pair.startswith("gauss") else 1e-4
    assert frechet_distance(first, second) == pytest.approx(expected["frechet"], rel=close)
    assert frechet_distance(ours, theirs) == pytest.approx(expected["frechet_unit"], rel=close)


def test_small_distances_keep_their_digits():
    rng = np.random.default_rng(0)
    first = unit_rows(rng.normal(size=(400, 16)) * 1e-3 + 1)
    second = unit_rows(rng.normal(size=(300, 16)) * 1e-3 + 1)
    linear = 10 * np.sum((first.mean(0) - second.mean(0)) ** 2)
    assert mmd(first, second) == pytest.approx(linear, rel=1e-4)


def test_intervals_hold_the_distance_of_large_samples():
    rng = np.random.default_rng(1)
    held = {"mmd": 0, "frechet": 0}
    shift = np.array([0.5, 0, 0, 0])
    sample = lambda n: rng.normal(size=(n, 4))  # noqa: E731
    truth = mmd(sample(3000), sample(3000) + shift, biased=False)
    for seed in range(40):
        pair = sample(60), sample(60) + shift
        one = mmd_interval(*pair, biased=False, resamples=300, seed=seed)
        held["mmd"] += one.low <= truth <= one.high
        other = frechet_interval(*pair, resamples=60, seed=seed)
        held["frechet"] += other.low <= 0.25 <= other.high
        assert one.value == mmd(*pair, biased=False)
    # Of 95 % intervals, 40 times; below 33 with a chance under one in ten thousand.
    assert held["mmd"] >= 33 and held["frechet"] >= 30


def test_too_small_sets_are_refused():
    with pytest.raises(ValueError, match="too small"):
        mmd(np.ones((1, 3)), np.ones((4, 3)), biased=False)
    with pytest.raises(ValueError, match="two vectors"):
        frechet_distance(np.ones((1, 3)), np.ones((4, 3)))


def test_mean_interval_leaves_out_what_is_missing():
    found = mean_interval(np.array([1.0, np.nan, 3.0]))
    assert found.value == 2 and 1 <= found.low <= 2 <= found.high <= 3
    assert np.isnan(mean_interval(np.array([np.nan])).value)


@pytest.mark.parametrize("interval", [mmd_interval, frechet_interval])
def test_vectors_of_a_group_are_drawn_together(interval):
    generator = np.random.default_rng(0)
    first, second = generator.normal(size=(2, 12, 3))
    # Copies: four of every vector know no more than the vector itself.
    one = interval(first, second)
    copies = interval(np.repeat(first, 4, axis=0), np.repeat(second, 4, axis=0), group=4)
    apart = interval(np.repeat(first, 4, axis=0), np.repeat(second, 4, axis=0))
    widths = [found.high - found.low for found in (one, copies, apart)]
    assert widths[1] == pytest.approx(widths[0], rel=0.15)
    assert widths[2] < 0.75 * widths[1]


@pytest.mark.parametrize(
    ("interval", "distance"), [(mmd_interval, mmd), (frechet_interval, frechet_distance)]
)
def test_few_panoramas_have_a_distance_and_no_interval(interval, distance):
    first, second = np.random.default_rng(0).normal(size=(2, 48, 3))
    for count, group in ((5, 1), (40, 8)):
        found = interval(first[:count], second, group=group)
        assert found.value == distance(first[:count], second)
        assert np.isnan(found.low) and np.isnan(found.high)
    assert np.isfinite(interval(first[:6], second).low)
