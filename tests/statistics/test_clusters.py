"""Intervals and tests that resample clusters."""

import itertools

import numpy as np
import pytest

from jclip.errors import InputError
from jclip.statistics.clusters import cluster_interval, cluster_sign_flip

RNG = np.random.default_rng(0)


def test_records_of_a_cluster_count_once():
    """Ten copies of every record tell nothing new: the interval stays as wide as of one."""
    single = RNG.random((60, 2))
    clusters = np.arange(60)
    own = cluster_interval(single, clusters)
    copies = cluster_interval(np.repeat(single, 10, axis=0), np.repeat(clusters, 10))
    apart = cluster_interval(np.repeat(single, 10, axis=0), np.arange(600))
    np.testing.assert_allclose(copies, own)
    width = np.subtract(own.high, own.low)
    normal = 2 * 1.96 * single.std(axis=0) / np.sqrt(60)
    np.testing.assert_allclose(width, normal, rtol=0.1)
    assert (np.subtract(apart.high, apart.low) < width / 2).all()


def test_what_is_missing_does_not_count():
    values = RNG.random((50, 1))
    gaps = np.concatenate([values, np.full((50, 1), np.nan)])
    clusters = np.concatenate([np.arange(50)] * 2) * 7 - 3
    np.testing.assert_allclose(
        cluster_interval(gaps, clusters), cluster_interval(values, np.arange(50))
    )


def test_signs_of_few_clusters_are_all_tried():
    differences, clusters = RNG.normal(0.4, 1, 21), np.arange(21) // 3
    sums = differences.reshape(7, 3).sum(axis=1)
    totals = [np.dot(signs, sums) for signs in itertools.product((1, -1), repeat=7)]
    wanted = np.mean(np.abs(totals) >= abs(sums.sum()) - 1e-9)
    assert cluster_sign_flip(differences, clusters) == pytest.approx(wanted)
    assert cluster_sign_flip(np.zeros(4), np.arange(4)) == 1
    # Within a cluster one up and one down cancel.
    assert cluster_sign_flip(np.array([1.0, -1, 1, -1]), np.array([0, 0, 1, 1])) == 1


def test_signs_of_many_clusters_are_drawn():
    clusters = np.repeat(np.arange(200), 2)
    noise = RNG.normal(0, 1, 400)
    assert cluster_sign_flip(noise + 0.5, clusters) == pytest.approx(1 / 20_001)
    p = [cluster_sign_flip(RNG.normal(0, 1, 60), np.arange(60) // 2) for _ in range(40)]
    assert 0.2 < np.mean(np.array(p) < 0.5) < 0.8


def test_what_cannot_be_resampled_is_refused():
    with pytest.raises(InputError, match="confidence"):
        cluster_interval(np.zeros((2, 1)), np.arange(2), 1.0)
    with pytest.raises(ValueError, match="no records"):
        cluster_interval(np.zeros((0, 1)), np.arange(0))
