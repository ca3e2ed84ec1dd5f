"""First places under three rules for ties, against what follows by definition."""

import json
from pathlib import Path

import numpy as np
import pytest

from jclip.statistics.first_place import first_place
from jclip.statistics.mcnemar import mcnemar
from jclip.statistics.ranks import positive_ranks

GOLDEN = Path(__file__).parents[1] / "golden" / "fine_grained"
METRICS = json.loads((GOLDEN / "metrics.json").read_text())
SCORES = np.load(GOLDEN / "scores.npz")
PUBLISHED = json.loads((GOLDEN / "published_ranks.json").read_text())
TOP = np.load(GOLDEN / "published_ranks.npz")


@pytest.mark.parametrize("model", ["a", "b"])
def test_lists_with_ties_and_lists_that_are_short(model):
    scores, wanted = SCORES[model], METRICS[model]
    places = first_place(scores)
    shares = {
        "top1_ties_for": places.ties_for,
        "top1_ties_against": places.ties_against,
        "top1_ties_half": places.ties_shared,
        "chance_top1": places.chance,
    }
    for name, values in shares.items():
        assert 100 * values.mean() == pytest.approx(wanted[name], rel=1e-12)
    assert places.decided.sum() == wanted["decided_by_ties"]
    assert (places.tied > 0).sum() == wanted["with_ties"]
    assert np.flatnonzero(places.captions < 11).tolist() == METRICS["few_negatives"]
    against, averaged = (np.nanmean(positive_ranks(scores, t)[:, 9])
                         for t in ("reference", "averaged"))  # fmt: skip
    assert against == pytest.approx(wanted["mean_rank_against"], rel=1e-12)
    assert averaged == pytest.approx(wanted["mean_rank_averaged"], rel=1e-12)


def test_two_models_on_the_same_lists():
    first, second = (first_place(SCORES[model]).ties_for for model in "ab")
    wanted, found = METRICS["paired_top1"], mcnemar(first > 0, second > 0)
    assert (first - second).mean() == pytest.approx(wanted["difference"])
    for name in ("only_first", "only_second", "p_exact", "p_mid"):
        assert getattr(found, name) == pytest.approx(wanted[name])


@pytest.mark.parametrize("name", PUBLISHED)
def test_first_places_of_published_annotations(name):
    """Scores made from the two verdicts of every box: what ties decide is one tie."""
    wins, strict = (TOP[f"{name}/top1_ties_{rule}"].astype(float) for rule in ("for", "against"))
    wanted = PUBLISHED[name]
    places = first_place(np.column_stack([wins, np.where(strict, 0, 1)]))
    assert len(wins) == wanted["n"]
    assert 100 * places.ties_for.mean() == pytest.approx(wanted["top1_ties_for"], rel=1e-12)
    assert 100 * places.ties_against.mean() == pytest.approx(wanted["top1_ties_against"], rel=1e-12)
    assert 100 * places.ties_shared.mean() == pytest.approx(wanted["top1_ties_half"], rel=1e-12)
    assert places.decided.sum() == wanted["decided_by_ties"]


def test_a_right_caption_without_a_score_is_refused():
    with pytest.raises(ValueError, match="is NaN"):
        first_place(np.array([[np.nan, 1.0]]))
