"""Training of heads as a person runs it."""

import csv
import json

import numpy as np
import pytest
from small_features import SIZE, boxed, captioned, origin

from experiments import train_heads
from jclip.data.features import write_features
from jclip.heads import head_base, load_head
from jclip.runs.command import run_command

FAST = ("--epochs", "2", "--batch-size", "16")


@pytest.fixture
def features(tmp_path):
    """Folders of images with captions, and of boxes."""
    folders = tmp_path / "captioned", tmp_path / "boxed"
    for folder, made in zip(folders, (captioned(), boxed()), strict=True):
        write_features(folder, made)
    return folders


@pytest.fixture
def train(monkeypatch, tmp_path, capsys):
    """Run the command; returns (exit status, folder, standard error)."""

    def run(*arguments, out="run"):
        command = ["train_heads", *FAST, "--out", str(tmp_path / out), *map(str, arguments)]
        monkeypatch.setattr("sys.argv", command)
        with pytest.raises(SystemExit) as end:
            run_command(train_heads.Options, train_heads.main)
        return end.value.code, tmp_path / out, capsys.readouterr().err

    return run


def rows(folder, name):
    return list(csv.DictReader((folder / f"{name}.csv").read_text().splitlines()))


def test_both_stages(train, features):
    warm_up, hard = features
    several = ("--seeds", "0,1", "--learning-rates", "0.01,0.001")
    status, first, _ = train("--features", warm_up, *several, out="first")
    assert status == 0
    runs = rows(first, "runs")
    assert [run["seed"] for run in runs] == ["0", "0", "1", "1"]
    for run in runs:
        path = first / "heads" / f"{run['run']}.safetensors"
        head = load_head(path)
        assert (head.config.kind, head.config.size) == ("linear", SIZE)
        assert head.config.score_function == "cosine"
        assert head_base(path)["model"]["name"] == "small"
        own = [row for row in rows(first, "learning_curves") if row["run"] == run["run"]]
        assert [row["epoch"] for row in own] == ["0", "1", "2"]
        best = own[int(run["best_epoch"])]["validation_loss"]
        assert float(best) == pytest.approx(float(run["validation_loss"]))
        assert float(own[0]["validation_loss"]) > float(best)
    for setting in rows(first, "settings"):
        own = [
            float(run["validation_loss"])
            for run in runs
            if run["learning_rate"] == setting["learning_rate"]
        ]
        assert float(setting["validation_loss"]) == pytest.approx(np.mean(own))
        assert float(setting["validation_loss_deviation"]) == pytest.approx(np.std(own, ddof=1))
    assert (first / "report.html").stat().st_size > 10_000
    assert (first / "figures" / "learning-curves.png").exists()
    record = json.loads((first / "run.json").read_text())
    assert {fault["choice"] for fault in record["faults"]} == {"corrected"}
    late = sum(run["best_epoch"] == "2" for run in runs)
    said = f"In {late} of 4 runs the last epoch was the best: more might be better."
    assert late and record["notices"] == [said]

    options = ("--stage", "hard-negatives", "--features", hard, "--seeds", "1", "--from", first)
    status, second, _ = train(*options, "--learning-rates", "1e-9", out="second")
    assert status == 0
    best = min(runs[2:], key=lambda run: float(run["validation_loss"]))
    start = load_head(first / "heads" / f"{best['run']}.safetensors")
    (end,) = (load_head(path) for path in (second / "heads").iterdir())
    np.testing.assert_allclose(start.visual.kernel[...], end.visual.kernel[...], atol=1e-6)


def test_the_reference_choices_are_recorded(train, features):
    arguments = ("--features", features[0], "--validation-features", features[0])
    reference = ("--same-image", "negatives", "--score-function", "sigmoid_cosine")
    status, folder, _ = train(*arguments, *reference)
    assert status == 0
    faults = json.loads((folder / "run.json").read_text())["faults"]
    assert [fault["choice"] for fault in faults] == ["reference"] * 3


def test_dropped_boxes_are_counted(train, features, monkeypatch):
    monkeypatch.setattr(train_heads, "PAPERS_NEGATIVES", 3)
    own = ("--features", features[1], "--validation-features", features[1])
    arguments = ("--stage", "hard-negatives", *own)
    for choice, said in (
        ("reference", "12 of 48 boxes have fewer than 3 negatives and are dropped"),
        ("corrected", "they are kept, what is missing is masked"),
    ):
        status, folder, error = train(*arguments, "--few-negatives", choice, out=choice)
        assert status == 0, error
        record = json.loads((folder / "run.json").read_text())
        (fault,) = [f for f in record["faults"] if f["fault"].startswith("training drops boxes")]
        assert (fault["choice"], fault["meaning"]) == (choice, said)
        assert (said in record["notices"]) == (choice == "reference")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--seeds", "1,1"), "--seeds: none is given, or one twice"),
        (("--learning-rates", "0"), "learning rate 0: more than 0"),
        (("--few-negatives", "reference"), "only of --stage hard-negatives"),
        (("--stage", "hard-negatives"), "needs features of kind fg_ovd"),
        (("--loss", "bce_random"), "bce_random needs scores between 0 and 1, not cosine"),
        (("--head", "attention"), "64 attention heads do not divide embeddings of 8"),
        (("--from", "absent", "--head", "mlp"), "leave out --head"),
        (("--from", "absent"), "absent is no file"),
        (("--validation-features", "absent"), "absent: no features.json"),
    ],
)
def test_bad_input_is_one_line(train, features, arguments, message):
    status, folder, error = train("--features", features[0], *arguments)
    assert status == 2 and error.count("\n") == 1
    assert message in error
    assert not folder.exists()


def test_a_head_of_another_model_is_refused(train, features, tmp_path):
    _, first, _ = train("--features", features[0], out="first")
    (path,) = (first / "heads").iterdir()
    other = boxed()
    object.__setattr__(other, "origin", origin("other", "def"))
    write_features(tmp_path / "other", other)
    arguments = ("--stage", "hard-negatives", "--features", tmp_path / "other", "--from", path)
    status, _, error = train(*arguments)
    assert status == 2
    assert "was trained on features of small, and these are other" in error
    (first / "runs.csv").unlink()
    status, _, error = train("--features", features[0], "--from", first)
    assert status == 2 and "no runs.csv" in error
