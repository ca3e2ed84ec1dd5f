"""Metrics of hard-negative benchmarks against what their definitions give, exactly."""

import dataclasses
import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jclip.data.foil_files import (
    read_aro,
    read_aro_order,
    read_sugar_crepe,
    read_sugar_crepe_pp,
)
from jclip.data.foils import FoilFile, FoilRecord, Picture, foil_set
from jclip.data.paired_files import read_colorswap, read_winoground
from jclip.heads import HeadConfig, create_head
from jclip.probes.foil_tables import comparison_table, right_records, summary_table
from jclip.probes.foils import (
    FoilScores,
    class_shares,
    metrics_of,
    ordered,
    other_pictures,
    outcomes,
    score_foils,
)

GOLDEN = Path(__file__).parents[1] / "golden" / "foils"
METRICS = json.loads((GOLDEN / "metrics.json").read_text())
SCORES = np.load(GOLDEN / "scores.npz")


def as_set(file):
    """A set whose records show a picture of their own, whatever files they name."""
    n, i = len(file.records), len(file.records[0].pictures)
    return foil_set(file, np.arange(n * i).reshape(n, i).tolist(), range(n), {})


def results(file, swapped=False):
    """What two models scored in the golden file."""
    foils, found = as_set(file), []
    for model in "ab":
        values = SCORES[f"{file.name.replace('winoground', 'winoground/examples')}/{model}"]
        pairs = None
        if foils.benchmark == "sugar_crepe_pp":
            values, pairs = values[:, :3], values[:, 3:]
        values = values[:, ::-1] if swapped else values
        found.append(FoilScores(model, foils, values.reshape(foils.right.shape), pairs))
    return found


def rows(found, **kwargs):
    table = summary_table(found, {}, **kwargs).to_pylist()
    return {(row["model"], row["metric"]): row for row in table}


def compared(found):
    return {row["metric"]: row for row in comparison_table(found).to_pylist()}


def same(found, expected):
    """A paired test as the golden file has it."""
    assert found["only_first"] == expected["only_first"]
    assert found["only_second"] == expected["only_second"]
    assert found["difference"] == pytest.approx(100 * expected["difference"], abs=1e-12)
    assert found["p"] == pytest.approx(expected["p_exact"], rel=1e-12)
    assert found["mid_p"] == pytest.approx(expected["p_mid"], rel=1e-12)


@pytest.mark.parametrize("name", ["add_att", "replace_rel", "swap_obj"])
def test_sugar_crepe(name):
    found = results(read_sugar_crepe(GOLDEN / f"layouts/sugar_crepe/{name}.json"))
    expected = METRICS["sugar_crepe"][name]
    for model in "ab":
        row = rows(found)[model, "accuracy"]
        assert row["records"] == expected[model]["n"]
        for ours, theirs in (
            ("accuracy", "accuracy_own_code_ties_against"),
            ("ties_against", "accuracy_own_code_ties_against"),
            ("ties_for", "accuracy_argmax_ties_for"),
            ("ties_half", "accuracy_ties_half"),
        ):
            assert row[ours] == pytest.approx(expected[model][theirs], rel=1e-12)
        assert row["low"] <= row["ties_against"] <= row["high"]
        assert row["chance"] == 50
    same(compared(found)["accuracy"], expected["paired"])


def test_sugar_crepe_pp():
    found = results(read_sugar_crepe_pp(GOLDEN / "layouts/sugar_crepe_pp/swap_obj.json"))
    expected = METRICS["sugar_crepe_pp/swap_obj"]
    for model, scored in zip("ab", found, strict=True):
        own = rows(found)
        for metric in ("image-text", "first", "second", "text-only"):
            theirs = expected[model][metric.replace("-", "_")]
            assert own[model, metric]["accuracy"] == pytest.approx(theirs, rel=1e-12)
        assert right_records(scored, "image-text").tolist() == expected[model]["records"]
        assert own[model, "image-text"]["chance"] == pytest.approx(100 / 3)
    same(compared(found)["image-text"], expected["paired"])


@pytest.mark.parametrize("name", ["visual_genome_relation", "visual_genome_attribution"])
def test_aro_visual_genome(name):
    """Its code puts the false caption first; the golden scores do too."""
    found = results(read_aro(GOLDEN / f"layouts/aro/{name}.json"), swapped=True)
    expected = METRICS[f"aro/{name}"]
    for model, scored in zip("ab", found, strict=True):
        row = rows(found, left_out=expected["left_out"])[model, "accuracy"]
        assert row["accuracy"] == pytest.approx(expected[model]["micro"], rel=1e-12)
        assert row["macro"] == pytest.approx(expected[model]["macro"], rel=1e-12)
        right = right_records(scored, "accuracy").astype(float)
        groups = scored.foils.groups
        shares = class_shares(groups, right, expected["smallest_class"], expected["left_out"])
        assert {k: 100 * v for k, (_, v) in shares.items()} == pytest.approx(
            expected[model]["classes"], rel=1e-12
        )
        counts = {k: n for k, (n, _) in class_shares(groups, right, 1).items()}
        assert counts == expected[model]["counts"]
    same(compared(found)["accuracy"], expected["paired"])


def test_aro_order_counts_ties_for_the_right_caption():
    found = results(read_aro_order(GOLDEN / "layouts/aro/coco_order_frozen.jsonl"))
    expected = METRICS["aro/coco_order_frozen"]
    for model in "ab":
        row = rows(found)[model, "accuracy"]
        assert row["accuracy"] == pytest.approx(expected[model]["precision_at_1_ties_for"])
        assert row["ties_against"] == pytest.approx(expected[model]["ties_against"])


@pytest.mark.parametrize(
    ("read", "path", "name"),
    [
        (read_winoground, "winoground/examples.jsonl", "winoground/examples"),
        (read_colorswap, "colorswap/test.json", "colorswap/test"),
    ],
)
def test_two_by_two(read, path, name):
    found = results(read(GOLDEN / "layouts" / path))
    expected = METRICS[name]
    for model, scored in zip("ab", found, strict=True):
        for metric in ("text", "image", "group"):
            row = rows(found)[model, metric]
            assert row["accuracy"] == pytest.approx(expected[model][metric], rel=1e-12)
            assert row["chance"] == pytest.approx(expected["chance"][metric])
            # An argmax lets a tie win for one picture and lose for the other.
            argmax = expected[model][f"argmax_{metric}"]
            assert row["ties_against"] <= argmax + 1e-9 and argmax <= row["ties_for"] + 1e-9
        assert right_records(scored, "group").tolist() == expected[model]["records_group"]
    for metric, theirs in expected["paired"].items():
        same(compared(found)[metric], theirs)


@pytest.mark.parametrize("model", "ab")
def test_half_truths(model):
    scores = SCORES[f"half_truths/units/{model}"]
    right = np.broadcast_to([True, False], scores.shape)
    assert 100 * ordered(scores, right)[:, 1].mean() == METRICS["half_truths/units"][model]


def test_ties_of_two_right_texts_are_broken_at_random():
    right = np.array([[True, True, False]])
    assert ordered(np.array([[1.0, 2.0, 1.0]]), right)[0].tolist() == [1, 0, 0.5]
    assert ordered(np.array([[1.0, 1.0, 1.0]]), right)[0].tolist() == [1, 0, pytest.approx(1 / 3)]
    assert ordered(np.array([[0.0, 1.0, 1.0]]), right)[0].tolist() == [0, 0, 0]


def made(n=300, pictures=60, size=16, seed=0):
    """Records of random embeddings: right captions near their pictures."""
    rng = np.random.default_rng(seed)
    records = [
        FoilRecord(str(k), (Picture(str(k % pictures)),), (f"right {k}", f"wrong {k}"))
        for k in range(n)
    ]
    texts: dict[str, int] = {}
    rows = np.arange(n) % pictures
    foils = foil_set(
        FoilFile("sugar_crepe", "made", tuple(records)),
        rows[:, None].tolist(),
        rows.tolist(),
        texts,
    )
    images = rng.standard_normal((pictures, size), np.float32)
    said = rng.standard_normal((len(texts), size), np.float32)
    said[::2] += images[rows]
    return foils, images, said


def test_scores_are_cosines():
    foils, images, texts = made()
    (scored,) = score_foils([foils], images, texts, "m")
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (images, texts)]
    expected = np.einsum("nd,ntd->nt", unit[0][foils.pictures[:, 0]], unit[1][foils.texts])
    np.testing.assert_allclose(scored.values[:, 0], expected, atol=1e-6)


@pytest.mark.parametrize("kind", ["linear", "attention"])
def test_a_head_scores(kind):
    foils, images, texts = made(n=20)
    head = create_head(HeadConfig(kind, 16, "sigmoid_cosine", attention_heads=4), nnx.Rngs(0))
    (scored,) = score_foils([foils], images, texts, "m + head", head)
    similarity = np.asarray(head.similarity(jnp.asarray(images), jnp.asarray(texts)))
    expected = similarity[foils.pictures, foils.texts]
    np.testing.assert_allclose(scored.values[:, 0], expected, atol=1e-5)


def test_a_head_without_text_embeddings_compares_no_texts():
    file = read_sugar_crepe_pp(GOLDEN / "layouts/sugar_crepe_pp/swap_obj.json")
    foils, rng = as_set(file), np.random.default_rng(0)
    images = rng.standard_normal((14, 16), np.float32)
    texts = rng.standard_normal((foils.texts.max() + 1, 16), np.float32)
    heads = [
        create_head(HeadConfig(kind, 16, "sigmoid_cosine", attention_heads=4), nnx.Rngs(0))
        for kind in ("linear", "attention")
    ]
    pairs = [score_foils([foils], images, texts, "m", h)[0].text_pairs for h in (None, *heads)]
    assert pairs[0] is not None and pairs[1] is not None and pairs[2] is None
    assert not np.allclose(pairs[0], pairs[1])


def test_other_pictures_are_never_ones_own():
    foils, images, texts = made()
    shuffled = other_pictures(foils, seed=0)
    assert shuffled is not None and other_pictures(made(n=4, pictures=1)[0], seed=0) is None
    assert not (shuffled.pictures == foils.pictures).any()
    # Each picture still stands for as many records as another did: nothing is drawn twice.
    assert sorted(np.unique(shuffled.pictures)) == list(range(60))
    own, other = (score_foils([s], images, texts, "m")[0] for s in (foils, shuffled))
    table = summary_table([own], {("m", "made"): other}).to_pylist()[0]
    assert table["ties_against"] > 90 and 35 < table["shuffled"] < 65


def test_a_model_that_tells_nothing_apart_is_at_chance_only_with_half_of_the_ties():
    file = read_winoground(GOLDEN / "layouts/winoground/examples.jsonl")
    foils = as_set(file)
    flat = FoilScores("flat", foils, np.zeros(foils.right.shape, np.float32))
    row = rows([flat])["flat", "text"]
    assert (row["ties_for"], row["ties_against"], row["ties_half"]) == (100, 0, 25)
    assert row["decided_by_ties"] == 12


def test_holm_counts_all_sets():
    foils, images, texts = made()
    others = dataclasses.replace(foils, name="made again")
    found = score_foils([foils, others], images, texts, "one")
    found += score_foils([foils, others], images, texts[::-1].copy(), "two")
    first = comparison_table(found).to_pylist()
    assert len(first) == 2
    assert all(row["holm_p"] == pytest.approx(min(1, 2 * row["p"])) for row in first)
    assert all(row["picture_p"] > row["p"] for row in first)


def test_metrics_of_every_set_are_measured():
    for file in (
        read_winoground(GOLDEN / "layouts/winoground/examples.jsonl"),
        read_sugar_crepe_pp(GOLDEN / "layouts/sugar_crepe_pp/swap_obj.json"),
    ):
        for scored in results(file):
            assert set(metrics_of(scored.foils)) == set(outcomes(scored))
