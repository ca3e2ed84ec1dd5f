"""Tables of crops against regions, on made-up scores of FG-CLIP's lines."""

import json
from pathlib import Path

import numpy as np
import pytest

from jclip.data.fg_ovd import read_fg_ovd
from jclip.probes.fine_grained import rank_boxes
from jclip.probes.region_ranks import SIZES, JudgedSet
from jclip.probes.region_tables import (
    place_table,
    region_comparison_table,
    result_table,
    size_table,
)
from jclip.statistics.first_place import first_place
from jclip.statistics.mcnemar import mcnemar

GOLDEN = Path(__file__).parents[1] / "golden" / "fine_grained"
METRICS = json.loads((GOLDEN / "metrics.json").read_text())
SCORES = np.load(GOLDEN / "scores.npz")
TABLE = read_fg_ovd(GOLDEN / "h_attributes_llava.jsonl")
CELLS = np.array([196.0, 0.4, 0.3, 30, 0.4, 0.3, 1, 3.9, 4, 15, 16, 20])


def judged(short_lists=True, table=TABLE):
    sets = []
    for model, protocol, scores in (("m", "crop", "a"), ("m", "roi", "b"), ("n", "roi", "a")):
        scores = SCORES[scores].astype(np.float64)
        (ranked,) = rank_boxes(table, scores, f"{model} · {protocol}")
        places = first_place(scores)
        counted = short_lists | (places.captions == 11)
        pictures = table.image_rows // 2
        sets.append(JudgedSet(model, protocol, ranked, places, pictures, CELLS, counted))
    return sets


def test_results_are_what_follows_by_definition():
    found = result_table(judged()).to_pylist()
    for row, wanted in zip(found, (METRICS["a"], METRICS["b"], METRICS["a"]), strict=True):
        assert (row["set"], row["name"]) == ("h_attributes_llava", "Hard")
        shares = {
            "boxes": "n",
            "top1": "top1_ties_half",
            "top1_ties_for": "top1_ties_for",
            "top1_ties_against": "top1_ties_against",
            "decided_by_ties": "decided_by_ties",
            "chance_top1": "chance_top1",
            "short_lists": "few_negatives",
            "mean_rank": "mean_rank_against",
            "mean_rank_ties_averaged": "mean_rank_averaged",
        }
        expected = {ours: wanted[theirs] for ours, theirs in shares.items()}
        assert {name: row[name] for name in expected} == pytest.approx(expected, rel=1e-12)
        assert row["top1_low"] <= row["top1"] <= row["top1_high"]
        assert row["mean_rank_low"] <= row["mean_rank"] <= row["mean_rank_high"]


def test_short_lists_are_counted_apart():
    whole, short = first_place(SCORES["a"][:9]), first_place(SCORES["a"][9:])
    row = result_table(judged(short_lists=False)).to_pylist()[0]
    assert row["boxes"] == 9
    assert row["top1"] == pytest.approx(100 * whole.ties_shared.mean())
    assert row["chance_top1"] == pytest.approx(100 / 11)
    assert row["top1_short_lists"] == pytest.approx(100 * short.ties_shared.mean())
    tested = region_comparison_table(judged(short_lists=False)).to_pylist()
    assert [one["boxes"] for one in tested] == [9, 9]


def test_a_right_caption_among_the_wrong_ones_is_found_and_dropped():
    assert np.argwhere(TABLE.repeated).tolist() == [[3, 6]]
    assert METRICS["positive_among_negatives"] == [3]
    without = TABLE.without_repeated()
    assert not without.repeated.any()
    kept = np.delete(TABLE.caption_rows[3], 6)
    assert without.caption_rows[3].tolist() == [*kept, -1]
    others = np.arange(12) != 3
    assert (without.caption_rows[others] == TABLE.caption_rows[others]).all()


def test_boxes_of_every_size_are_there_once():
    rows = [row for row in size_table(judged()).to_pylist() if row["protocol"] == "crop"]
    assert {row["size"]: row["boxes"] for row in rows} == dict(
        zip(SIZES, (4, 2, 2, 4), strict=True)
    )
    places = first_place(SCORES["a"])
    assert rows[0]["top1"] == pytest.approx(100 * places.ties_shared[[1, 2, 4, 5]].mean())
    total = sum(row["top1"] * row["boxes"] for row in rows)
    assert total / 12 == pytest.approx(METRICS["a"]["top1_ties_half"])


def test_protocols_and_models_are_compared_one_at_a_time():
    found = region_comparison_table(judged()).to_pylist()
    # Not another protocol by another model.
    pairs = [(row["first"], row["second"]) for row in found]
    assert pairs == [("m · crop", "m · roi"), ("m · roi", "n · roi")]
    first, second = (first_place(SCORES[model]) for model in "ab")
    row, tested = found[0], mcnemar(first.ties_against > 0, second.ties_against > 0)
    difference = 100 * (first.ties_shared - second.ties_shared).mean()
    assert row["difference"] == pytest.approx(difference)
    assert row["difference_low"] <= difference <= row["difference_high"]
    assert (row["only_first"], row["only_second"]) == (tested.only_first, tested.only_second)
    assert (row["mcnemar_p"], row["mcnemar_mid_p"]) == pytest.approx((tested.p_exact, tested.p_mid))
    ranks = METRICS["a"]["mean_rank_against"] - METRICS["b"]["mean_rank_against"]
    assert row["rank_difference"] == pytest.approx(ranks)
    assert 0 < row["p"] <= row["holm_p"] <= 1 and 0 < row["rank_p"] <= row["rank_holm_p"] <= 1
    assert found[1]["difference"] == pytest.approx(-difference)


def test_one_subject_is_compared_with_none():
    table = region_comparison_table(judged()[:1])
    assert len(table) == 0 and "holm_p" in table.column_names


def test_every_box_is_a_row():
    rows = place_table(judged()).to_pylist()
    assert len(rows) == 36
    assert [row["annotation"] for row in rows[:12]] == list(range(1, 13))
    assert [row["cells"] for row in rows[:12]] == CELLS.tolist()
    assert (
        rows[0]["above"] + rows[0]["tied"]
        == first_place(SCORES["a"])[:2][0][0] + first_place(SCORES["a"]).tied[0]
    )
