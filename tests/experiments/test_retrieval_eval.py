"""Retrieval as a person runs it, on features made up here."""

import csv
import json

import numpy as np
import pytest
from flax import nnx
from small_features import box_features

from experiments import retrieval_eval
from jclip.data.features import Features, Origin, write_features
from jclip.heads import HeadConfig, create_head, save_head
from jclip.probes.retrieval import cosine_retrieval
from jclip.runs.command import run_command

MODEL = {"name": "small", "activation": "gelu", "own_activation": "gelu", "weights": {}}
ORIGIN = Origin(MODEL, {"size": 32}, "crop", 1.0, {"coco": "ab"})
IMAGES, SIZE = 20, 8
OWN = np.repeat(np.arange(IMAGES), 3)


def make():
    """Captions near their images; the first 12 images are for testing."""
    rng = np.random.default_rng(0)
    images = rng.standard_normal((IMAGES, SIZE), np.float32)
    captions = images[OWN] + rng.standard_normal((len(OWN), SIZE), np.float32)
    return Features(
        images=images,
        captions=captions,
        image_names=tuple(f"{i}.png" for i in range(IMAGES)),
        texts=tuple(map(str, OWN)),
        origin=ORIGIN,
        caption_images=OWN,
        splits=("test",) * 12 + ("val",) * 8,
    )


@pytest.fixture
def evaluate(monkeypatch, tmp_path, capsys):
    """Run the command; returns (exit status, folder, standard output and error)."""

    def run(features, *arguments):
        write_features(tmp_path / "features", features)
        command = ["retrieval_eval", "--features", str(tmp_path / "features")]
        monkeypatch.setattr("sys.argv", [*command, "--out", str(tmp_path / "run"), *arguments])
        with pytest.raises(SystemExit) as end:
            run_command(retrieval_eval.Options, retrieval_eval.main)
        said = capsys.readouterr()
        return end.value.code, tmp_path / "run", said.out + said.err

    return run


def rows(path):
    return list(csv.DictReader(path.read_text().splitlines()))


@pytest.mark.parametrize("normalisation", ["corrected", "reference"])
def test_a_split_is_retrieved_among_itself(evaluate, normalisation):
    features = make()
    status, out, said = evaluate(features, "--normalisation", normalisation)
    assert status == 0 and "small, image to text: R@1" in said
    pairs = features.images[:12], features.captions[:36], OWN[:36]
    expected = cosine_retrieval(*pairs, normalisation)
    table = rows(out / "retrieval.csv")
    assert [(row["queries"], row["among"]) for row in table] == [("12", "36"), ("36", "12")]
    for row, ranks in zip(table, expected, strict=True):
        for k in (1, 5, 10):
            assert float(row[f"recall_at_{k}"]) == pytest.approx(100 * np.mean(ranks <= k))
        assert float(row["median_rank"]) == np.median(ranks)
        assert float(row["mean_rank"]) == pytest.approx(ranks.mean())
    fault = json.loads((out / "run.json").read_text())["faults"][0]
    assert fault["choice"] == normalisation
    assert (out / "figures" / "recall.png").exists()


def test_other_splits_and_all(evaluate):
    _, out, _ = evaluate(make(), "--split", "all")
    assert [row["queries"] for row in rows(out / "retrieval.csv")] == ["20", "60"]
    status, _, said = evaluate(make(), "--split", "train")
    assert status == 2 and "no image of it; there are test, val" in said


def test_the_first_image_can_count_twice_as_in_the_papers_code(evaluate):
    status, out, _ = evaluate(make(), "--first-image", "reference")
    assert status == 0
    found = rows(out / "retrieval.csv")
    assert [(row["queries"], row["among"]) for row in found] == [("13", "39"), ("39", "13")]
    choices = {
        f["fault"]: f["choice"] for f in json.loads((out / "run.json").read_text())["faults"]
    }
    assert choices["retrieval counts the first image and its captions twice"] == "reference"
    once = cosine_retrieval(make().images[:12], make().captions[:36], OWN[:36])[0]
    # What the first image finds counts at most once more.
    assert float(found[0]["recall_at_1"]) * 13 / 100 - (once <= 1).sum() in (0, 1)


def test_a_head_stands_beside_its_model(evaluate, tmp_path):
    path = tmp_path / "warm.safetensors"
    head = create_head(HeadConfig("linear", SIZE, "cosine"), nnx.Rngs(0), "identity")
    save_head(head, path)
    status, out, _ = evaluate(make(), "--head", str(path))
    assert status == 0
    table = rows(out / "retrieval.csv")
    assert [row["model"] for row in table] == ["small", "small", "small + warm", "small + warm"]
    for plain, headed in zip(table[:2], table[2:], strict=True):
        assert headed["mean_rank"] == plain["mean_rank"]


def test_boxes_are_refused(evaluate):
    own = np.eye(2, SIZE, dtype=np.float32)
    sets = {"color": ([0, 1], [0, 1], [[0, 1], [1, 0]])}
    status, out, said = evaluate(box_features(own, own, sets, ORIGIN))
    assert status == 2 and "holds boxes" in said
    assert not out.exists()
