"""The page of detectors against CLIP."""

import numpy as np
import pytest

from jclip.probes.detector_ranks import Scope, Truncation
from jclip.probes.fine_grained import RankedSet
from jclip.probes.fine_grained_table import compare_models, summarise_sets
from jclip.report.detector_page import detector_page


def scope(*models):
    ranks = np.array([[1.0, 1.0], [2.0, 3.0], [1.0, np.nan]])
    ranked = [RankedSet(model, "transparency", np.arange(3), ranks, ranks, 2) for model in models]
    return Scope("all boxes", "Every box.", summarise_sets(ranked), compare_models(ranked))


def page(*scopes):
    truncated = [Truncation("transparency", 4, 1, 1, np.arange(3))]
    return detector_page(scopes, truncated, context=16, settings={}, faults=(), notices=("So.",))


def test_tables_of_a_scope():
    made = page(scope("owl, corrected", "some CLIP"))
    assert made.title == "Detector ranks: owl"
    assert made.notices == ("So.",)
    mean, details, tests = made.sections[0].tables
    assert mean.rows[0] == ("owl, corrected", "reference", 2.0, 2.0)
    assert mean.rows[-2:] == (("chance", "", 2.0, 2.0), ("boxes", "", "2", ""))
    assert [row[0] for row in details.rows] == ["owl, corrected", "some CLIP"]
    assert len(tests.rows) == 1 and tests.rows[0][:2] == ("owl, corrected", "some CLIP")
    (cut,) = made.sections[1].tables
    assert cut.rows == (("transparency", 4, 1, 0.25, 1),)


def test_a_detector_alone_is_compared_with_nothing():
    assert len(page(scope("owl, corrected")).sections[0].tables) == 2


def test_no_results_are_a_mistake():
    with pytest.raises(ValueError, match="no results"):
        page()
