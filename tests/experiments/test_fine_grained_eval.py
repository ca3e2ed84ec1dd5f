"""The fine-grained probe as a person runs it, on features made up here."""

import csv
import dataclasses
import json

import numpy as np
import pyarrow.parquet
import pytest
import scipy.stats
from flax import nnx
from plain_holm import plain_holm
from small_features import box_features

from experiments import fine_grained_eval
from jclip.data.features import Features, Origin, write_features
from jclip.heads import HeadConfig, create_head, save_head
from jclip.runs.command import run_command

ORIGIN = Origin(
    model={
        "name": "small",
        "source": "here",
        "activation": "gelu",
        "own_activation": "gelu",
        "weights": {"model.safetensors": "ab"},
    },
    preprocessing={"size": 32},
    fit="crop",
    box_scale=1.0,
    data={"1_attributes": "ab", "transparency": "cd"},
)
SIZE, BOXES = 16, 40


def make(seed, origin=ORIGIN):
    """Boxes near their right captions, and negatives not much further away."""
    rng = np.random.default_rng(seed)
    captions = rng.standard_normal((BOXES * 12, SIZE), np.float32)
    images = captions[:BOXES] + 2 * rng.standard_normal((BOXES, SIZE), np.float32)
    rows = np.arange(BOXES)
    own = np.column_stack([rows, BOXES + np.arange(BOXES * 11).reshape(BOXES, 11)]).tolist()
    sets = {
        "1_attributes": (rows, rows, [row[:11] for row in own]),
        "transparency": (rows, rows, [row[: 2 + i % 3] for i, row in enumerate(own)]),
    }
    return box_features(images, captions, sets, origin)


@pytest.fixture
def evaluate(monkeypatch, tmp_path, capsys):
    """Run the command; returns (exit status, folder, standard output and error)."""

    def run(features, *arguments, out="run"):
        folders = []
        for number, one in enumerate(features):
            folders.append(str(tmp_path / f"features-{number}"))
            write_features(tmp_path / folders[-1], one)
        command = ["fine_grained_eval", "--features", ",".join(folders)]
        command += ["--out", str(tmp_path / out), *arguments]
        monkeypatch.setattr("sys.argv", command)
        with pytest.raises(SystemExit) as end:
            run_command(fine_grained_eval.Options, fine_grained_eval.main)
        said = capsys.readouterr()
        return end.value.code, tmp_path / out, said.out + said.err

    return run


def rows(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def expected_ranks(features, negatives):
    """By definition, box by box."""
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in
            (features.images, features.captions)]  # fmt: skip
    captions = features.boxes.caption_rows[features.boxes.sets == "1_attributes"]
    ranks = []
    for box in range(BOXES):
        own = captions[box, : 1 + negatives]
        scores = unit[1][own] @ unit[0][box]
        ranks.append(np.sum(scores >= scores[0]))
    return np.array(ranks)


def test_tables_hold_the_ranks(evaluate):
    features = make(0)
    status, out, said = evaluate([features])
    assert status == 0 and "small: mean rank" in said
    ranks = expected_ranks(features, 10)
    table = rows(out / "table.csv")
    assert [row["ties"] for row in table] == ["reference", "averaged"]
    assert float(table[0]["Hard"]) == pytest.approx(ranks.mean())
    mean = np.mean([float(table[0][name]) for name in ("Hard", "Transparency")])
    assert float(table[0]["mean of sets"]) == pytest.approx(mean)
    found = pyarrow.parquet.read_table(out / "ranks.parquet").to_pylist()
    assert [r["rank"] for r in found if r["set"] == "1_attributes"] == ranks.tolist()
    by_negatives = rows(out / "ranks_by_negatives.csv")
    assert len(by_negatives) == 10 + 3
    for row in by_negatives[:10]:
        own = expected_ranks(features, int(row["negatives"]))
        assert float(row["mean_rank"]) == pytest.approx(own.mean())
        assert float(row["mean_rank_low"]) <= own.mean() <= float(row["mean_rank_high"])
        assert float(row["median_rank_reference"]) == np.sort(own)[BOXES // 2 + 1]
        assert float(row["chance"]) == (int(row["negatives"]) + 2) / 2
    assert [int(row["boxes"]) for row in by_negatives[10:]] == [40, 26, 13]
    assert (out / "report.html").stat().st_size > 10_000
    assert (out / "figures" / "mean-rank.png").exists()
    assert not rows(out / "comparisons.csv")


def test_models_are_compared_on_the_same_boxes(evaluate):
    other = dataclasses.replace(ORIGIN, model={**ORIGIN.model, "name": "other"})
    status, out, _ = evaluate([make(0), make(1, other)])
    assert status == 0
    compared = rows(out / "comparisons.csv")
    assert [(c["first"], c["second"], c["set"], c["boxes"]) for c in compared] == [
        ("small", "other", "Hard", "40"),
        ("small", "other", "Transparency", "26"),
    ]
    difference = expected_ranks(make(0), 10) - expected_ranks(make(1), 10)
    assert float(compared[0]["mean_difference"]) == pytest.approx(difference.mean())
    found = pyarrow.parquet.read_table(out / "ranks.parquet").to_pylist()
    p = []
    for row, name in zip(compared, ("1_attributes", "transparency"), strict=True):
        first, second = (
            {r["annotation"]: r["rank"] for r in found if (r["model"], r["set"]) == (model, name)}
            for model in ("small", "other")
        )
        difference = np.array([first[box] - second[box] for box in first])
        difference = difference[np.isfinite(difference)]
        test = scipy.stats.wilcoxon(difference)
        p.append(test.pvalue)
        kept = difference[difference != 0]
        signed = np.sign(kept) * scipy.stats.rankdata(np.abs(kept))
        expected = {
            "mean_difference": difference.mean(),
            "rank_biserial": signed.sum() / np.abs(signed).sum(),
            "statistic": test.statistic,
            "p": test.pvalue,
        }
        assert {name: float(row[name]) for name in expected} == pytest.approx(expected)
    assert [float(row["holm_p"]) for row in compared] == pytest.approx(plain_holm(p))


def test_a_head_stands_beside_its_model(evaluate, tmp_path):
    features = make(0)
    path = tmp_path / "warm.safetensors"
    head = create_head(HeadConfig(kind="linear", size=SIZE), nnx.Rngs(0), "identity")
    save_head(head, path, base=features.base)
    status, out, _ = evaluate([features], "--head", str(path))
    assert status == 0
    table = {row["model"]: row for row in rows(out / "table.csv") if row["ties"] == "reference"}
    assert list(table) == ["small", "small + warm"]
    # An identity changes no rank, unless the sigmoid makes two scores equal.
    assert float(table["small + warm"]["Hard"]) == pytest.approx(float(table["small"]["Hard"]))
    foreign = dataclasses.replace(ORIGIN, model={**ORIGIN.model, "weights": {"x": "y"}})
    status, _, said = evaluate([make(0, foreign)], "--head", str(path), out="other")
    assert status == 2 and "was trained on features of small" in said


def test_fits_tell_features_of_one_model_apart(evaluate):
    squashed = dataclasses.replace(ORIGIN, fit="squash", box_scale=1.5)
    status, out, said = evaluate([make(0), make(1, squashed)])
    assert status == 0
    models = [row["model"] for row in rows(out / "table.csv")]
    assert models == ["small", "small", *["small · squash · scale 1.5"] * 2]
    assert "the paper's eight sets" in said


def test_features_that_do_not_belong_together_are_refused(evaluate, tmp_path):
    status, out, said = evaluate([make(0), make(1)])
    assert status == 2 and "small is in two folders" in said
    data = {"1_attributes": "ab", "transparency": "ef"}
    status, _, said = evaluate([make(0), make(1, dataclasses.replace(ORIGIN, data=data))])
    assert status == 2 and "of different annotation files" in said
    assert not out.exists()
    whole = Features(
        images=make(0).images,
        captions=make(0).images,
        image_names=make(0).image_names,
        texts=make(0).image_names,
        origin=ORIGIN,
        caption_images=np.arange(BOXES),
        splits=("test",) * BOXES,
    )
    status, _, said = evaluate([whole])
    assert status == 2 and "boxes with negatives are needed" in said


def test_a_right_caption_among_the_wrong_ones_is_dropped_or_stays(evaluate):
    features = make(0)
    captions = features.boxes.caption_rows
    hard = features.boxes.sets == "1_attributes"
    captions[np.flatnonzero(hard)[:3], 4] = captions[np.flatnonzero(hard)[:3], 0]
    for choice, counted, fault in (
        ("corrected", 37, "it is dropped"),
        ("reference", 40, "it stays"),
    ):
        status, out, said = evaluate([features], "--repeated-positives", choice, out=choice)
        assert status == 0, said
        ranks = pyarrow.parquet.read_table(out / "ranks.parquet").to_pylist()
        last = [row for row in ranks if row["set"] == "1_attributes" and row["negatives"] == 10]
        last = [row for row in last if row["rank"] is not None and row["rank"] == row["rank"]]
        assert len(last) == counted
        (made,) = (one for one in json.loads((out / "run.json").read_text())["faults"]
                   if one["meaning"] == fault)  # fmt: skip
        assert made["choice"] == choice
    # Ties are against it, so with itself beside it a right caption is second at best.
    first = [row["rank"] for row in last if row["annotation"] < 3]
    assert min(first) >= 2
