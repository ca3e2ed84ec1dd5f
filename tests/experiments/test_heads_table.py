"""The table of heads as a person makes it."""

import csv

import numpy as np
import pytest
from small_features import boxed, captioned

from experiments import heads_table
from jclip.data.embedded import Embedded, write_embedded, write_foil_sets
from jclip.data.features import write_features
from jclip.data.foils import FoilFile, FoilRecord, Picture, foil_set
from jclip.heads import load_head
from jclip.probes.heads import measure_cosine, measure_head
from jclip.runs.command import run_command
from jclip.training.head_data import retrieval_pairs


@pytest.fixture
def table(monkeypatch, tmp_path, capsys):
    """Run the command on small features; returns (exit status, folder, standard error)."""
    made = {"warm-up-features": captioned(), "hard-features": boxed(), "test-features": boxed(9)}
    folders = []
    for name, features in made.items():
        write_features(tmp_path / name, features)
        folders += [f"--{name}", str(tmp_path / name)]

    def run(*arguments, given=folders):
        command = ["heads_table", *given, "--out", str(tmp_path / "run"), *arguments]
        monkeypatch.setattr("sys.argv", command)
        with pytest.raises(SystemExit) as end:
            run_command(heads_table.Options, heads_table.main)
        return end.value.code, tmp_path / "run", capsys.readouterr().err

    return run


def rows(folder, name):
    return list(csv.DictReader((folder / f"{name}.csv").read_text().splitlines()))


def test_heads_before_between_and_after(table):
    rates = ("--warm-up-rate", "0.01", "--hard-rate", "0.01")
    fast = ("--heads", "linear_visual", "--seeds", "0,1", "--epochs", "3", "--batch-size", "16")
    status, folder, _ = table(*fast, *rates)
    assert status == 0
    results = rows(folder, "results")
    stages = [(row["head"], row["stage"]) for row in results]
    assert stages == [
        ("CLIP", "before"),
        *[("linear_visual", "warm-up")] * 2,
        *[("linear_visual", "hard-negatives")] * 2,
    ]
    before = measure_cosine(boxed(9), retrieval_pairs(captioned()))
    path = folder / "heads" / "linear_visual_hard-negatives_seed-1.safetensors"
    after = measure_head(load_head(path), boxed(9), retrieval_pairs(captioned()))
    for row, expected in ((results[0], before), (results[-1], after)):
        assert {name: float(row[name]) for name in expected} == pytest.approx(expected, abs=1e-4)
    assert float(results[1]["i2t_r1"]) > float(results[0]["i2t_r1"])
    summary = rows(folder, "table")
    ranks = [float(row["mean_rank"]) for row in results[3:]]
    assert float(summary[2]["mean_rank"]) == pytest.approx(np.mean(ranks))
    assert float(summary[2]["mean_rank_deviation"]) == pytest.approx(np.std(ranks, ddof=1))
    assert (folder / "report.html").stat().st_size > 10_000
    assert (folder / "figures" / "trade-off.png").exists()


def write_foils(folder, base=None, size=8, n=40):
    """A run of hard negatives by the features' model: random pictures, right texts near them."""
    rng = np.random.default_rng(0)
    records = tuple(
        FoilRecord(str(k), (Picture(str(k)),), (f"right {k}", f"wrong {k}")) for k in range(n)
    )
    file = FoilFile("sugar_crepe", "sugar_crepe/made", records)
    foils = foil_set(file, [[k] for k in range(n)], list(range(n)), {})
    pictures, texts = (rng.standard_normal((m, size), np.float32) for m in (n, 2 * n))
    texts[::2] += pictures
    folder.mkdir()
    write_foil_sets(folder, [foils])
    write_embedded(folder, Embedded("small", pictures, texts, base or captioned().base))
    return folder


def test_heads_meet_foils_that_they_never_saw(table, tmp_path):
    fast = ("--heads", "linear_visual", "--seeds", "0,1", "--epochs", "2", "--batch-size", "16")
    given = ("--also", "hard_negatives", "--foils", str(write_foils(tmp_path / "foils")))
    status, folder, _ = table(*fast, *given, "--warm-up-rate", "0.01", "--hard-rate", "0.01")
    assert status == 0
    found = [float(row["sugar_crepe/made"]) for row in rows(folder, "results")]
    assert len(found) == 5 and found[0] > 70
    (test,) = rows(folder, "foils")
    assert test["first"] == "CLIP" and test["second"].startswith("linear_visual ")
    assert 0 < float(test["picture_p"]) <= 1
    page = (folder / "report.html").read_text()
    assert "Foils that no head saw" in page and "Against CLIP, linear_visual" in page


def test_foils_of_another_model_are_refused(table, tmp_path):
    base = captioned().base
    other = {**base, "model": {**base["model"], "weights": {"a": "b"}}}
    given = ("--also", "hard_negatives", "--foils", str(write_foils(tmp_path / "foils", other)))
    status, _, error = table(*given, "--heads", "linear")
    assert status == 2 and "embedded by small" in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--heads", "linear,cubic"), "head cubic: none of linear, linear_visual"),
        (("--epochs", "0"), "epochs 0"),
        (("--also", "hard_negatives"), "by the same model (see --foils)"),
        (("--foils", "x"), "only where `also` asks for it (see --foils)"),
        (("--heads", "linear", "--hard-rate", "-1"), "learning rate -1: more than 0"),
        (("--heads", "linear", "--warm-up-rate", "0"), "learning rate 0: more than 0"),
        (("--heads", "attention"), "64 attention heads do not divide embeddings of 8"),
    ],
)
def test_bad_input_is_one_line(table, arguments, message):
    status, folder, error = table(*arguments)
    assert status == 2 and error.count("\n") == 1
    assert message in error
    assert not folder.exists()


def test_folders_that_are_missing_are_named(table):
    status, _, error = table(given=("--test-features", "somewhere"))
    assert status == 2 and "--warm-up-features is missing" in error
