"""Paired tests of right and wrong answers against their definitions."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jclip.statistics.clusters import cluster_sign_flip
from jclip.statistics.mcnemar import mcnemar


def enumerated(differences, clusters):
    pairs = list(zip(differences, clusters, strict=True))
    sums = [sum(d for d, c in pairs if c == own) for own in set(clusters)]
    totals = [
        abs(sum(s * x for s, x in zip(signs, sums, strict=True)))
        for signs in itertools.product((-1, 1), repeat=len(sums))
    ]
    return np.mean([total >= abs(sum(sums)) for total in totals])


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from((-1, 0, 1)), st.integers(0, 7)), min_size=1, max_size=30))
def test_flips_are_those_of_the_clusters(records):
    differences, clusters = zip(*records, strict=True)
    found = cluster_sign_flip(np.array(differences, float), np.array(clusters))
    assert found == pytest.approx(enumerated(differences, clusters), abs=1e-12)


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_clusters_of_one_record_are_mcnemars(records):
    first, second = np.array(records).T
    differences = first.astype(float) - second
    found = cluster_sign_flip(differences, np.arange(len(records)))
    assert found == pytest.approx(mcnemar(first, second).p_exact, abs=1e-12)


def test_dependent_records_weigh_less():
    """Ten records of one picture are not ten pictures."""
    ones = np.ones(20)
    assert cluster_sign_flip(ones, np.repeat([0, 1], 10)) == 0.5
    assert cluster_sign_flip(ones, np.arange(20)) == pytest.approx(2 * 0.5**20)


def test_mid_p_halves_the_chance_of_what_was_seen():
    first, second = np.array([1, 1, 1, 0], bool), np.array([0, 0, 0, 1], bool)
    found = mcnemar(first, second)
    assert (found.only_first, found.only_second, found.difference) == (3, 1, 0.5)
    assert found.p_exact == pytest.approx(2 * 5 / 16)
    assert found.p_mid == pytest.approx(2 * 5 / 16 - 4 / 16)


def test_no_difference_has_p_one():
    same = np.array([True, False])
    assert (mcnemar(same, same).p_exact, mcnemar(same, same).p_mid) == (1, 1)


def test_differences_may_be_even():
    even = mcnemar(np.array([True, False]), np.array([False, True]))
    assert (even.p_exact, even.p_mid) == pytest.approx((1, 0.75))


def test_without_records_nothing_is_told():
    with pytest.raises(ValueError, match="as many of both"):
        mcnemar(np.empty(0, bool), np.empty(0, bool))
