"""Fine-tuning as a person runs it: adapters come out, a killed run goes on, before and after."""

import csv
import dataclasses
import html
import json
from pathlib import Path

import jax
import pytest
import tyro
from safetensors.numpy import load_file

from experiments import lora_finetune, shift_sweep
from jclip.training import loop
from jclip.training.lora import LORA_RECIPES

MODEL = str(Path(__file__).parents[1] / "golden" / "hf_full")
QUICK = ("--epochs", "2", "--batch-size-train", "8", "--split", "0.6,0.1,0.3")


@pytest.fixture
def tune(run_experiment):
    """Run the command; returns (exit status, folder, standard error)."""

    def run(*arguments, out="run"):
        ended = run_experiment(lora_finetune, "--model", MODEL, *arguments, out=out)
        return ended.status, ended.folder, ended.err

    return run


@pytest.fixture
def panoramas(panorama_folder):
    return panorama_folder([f"{i}.png" for i in range(60)])


def table(folder):
    return list(csv.DictReader((folder / "trade_off.csv").read_text().splitlines()))


def test_an_orbit_is_measured_beside_every_network(tune, panoramas):
    arguments = ("--images", str(panoramas), "--lambdas", "0.5", "--orbit", "2", *QUICK)
    status, out, error = tune(*arguments)
    assert status == 0, error
    rows = table(out)
    assert [(r["lambda"], r["seed"], r["orbit"]) for r in rows] == [
        ("", "", "2"),
        ("0.5", "0", "1"),
        ("0.5", "0", "2"),
    ]
    assert len({r["median_change"] for r in rows}) == 3
    assert "not tuned, orbit 2" in (out / "report.html").read_text()


def test_lambdas_and_seeds_are_swept_and_measured(tune, panoramas, run_experiment, caplog):
    arguments = ("--images", str(panoramas), "--lambdas", "0,1", "--seeds", "0,1", *QUICK)
    with jax.log_compiles():
        status, out, error = tune(*arguments, "--learning-rate", "1e-2")
    assert status == 0, error
    assert caplog.text.count("Finished XLA compilation of jit(train_step)") == 1
    rows = table(out)
    assert [(r["lambda"], r["seed"]) for r in rows] == [
        ("0", "0"),
        ("0", "1"),
        ("1", "0"),
        ("1", "1"),
    ]
    assert len({r["median_change"] for r in rows}) == 4, "lambda and seed matter"
    # q, k, v, out and both MLP products of three layers of width 64, rank 8.
    assert {int(r["trainable"]) for r in rows} == {3 * 8 * (4 * 128 + 2 * 320)}
    assert all(-1 <= float(r["spearman"]) <= 1 for r in rows)
    choices = {
        f["fault"]: f["choice"] for f in json.loads((out / "run.json").read_text())["faults"]
    }
    memory = json.loads((out / "run.json").read_text())["memory"]
    # Adam keeps two numbers for each trained one, and none for the rest.
    trained, kept = (float(memory[k].split()[0]) for k in ("trained factors", "optimiser state"))
    assert kept == pytest.approx(2 * trained, abs=0.02)
    assert choices["lambda = 1 has no anchor: a constant score minimises it"] == "reference"
    assert choices["dropout masks differ between a panorama and its shifted copy"] == "corrected"
    assert (out / "report.html").stat().st_size > 10_000

    adapter = out / "lambda-1-seed-0" / "adapter"
    options = ("--model", MODEL, "--images", panoramas, "--adapter", adapter)
    ended = run_experiment(shift_sweep, *options, out="sweep")
    assert ended.status == 0
    record = json.loads((ended.folder / "run.json").read_text())
    assert list(record["identity"]["models"]) == ["hf_full+adapter"]
    assert "adapter" in record["confirmed"]["weights of hf_full+adapter"]


def test_a_killed_run_ends_with_the_same_adapter(tune, panoramas, monkeypatch):
    arguments = ("--images", str(panoramas), *QUICK)
    whole = table(tune(*arguments, out="whole")[1])
    real, made = loop.Checkpoints.save, []

    def stop_after_the_first(self, step, *rest, **keywords):
        if made:
            raise OSError(28, "No space left on device")
        made.append(step)
        return real(self, step, *rest, **keywords)

    monkeypatch.setattr(lora_finetune, "EPOCHS_BETWEEN_CHECKPOINTS", 1)
    with monkeypatch.context() as patched:
        patched.setattr(loop.Checkpoints, "save", stop_after_the_first)
        status, _, error = tune(*arguments)
    assert status == 1 and "No space left on device" in error
    assert made == [4]
    status, out, error = tune(*arguments)
    assert status == 0, error
    assert table(out) == whole
    written = (
        (out / "lambda-0.5-seed-0" / "adapter" / "adapter_model.safetensors").stat().st_mtime_ns
    )
    assert tune(*arguments)[0] == 0 and table(out) == whole
    again = (out / "lambda-0.5-seed-0" / "adapter" / "adapter_model.safetensors").stat().st_mtime_ns
    assert again == written, "a finished adapter is only measured again"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--lambdas", "0.5,1.5"], "lambda 1.5: from 0 to 1"),
        (["--rank", "0"], "rank 0"),
        (["--orbit", "0"], "an orbit of 0 yaws: 1 is the panorama as it is (see --orbit)"),
        (["--orbit", "1000"], "columns of a panorama"),
        (["--seeds", "0,-1"], "-1: seeds are not negative (see --seeds)"),
        (["--adapter-layout", "open_clip"], "attention.query cannot be written in the open_clip"),
        (["--train-images", "demo"], "--train-images and --test-images come together"),
        (
            ["--train-images", "demo", "--test-images", "samples", "--images", "samples"],
            "come together, instead of --images",
        ),
        (
            ["--train-images", "demo", "--test-images", "demo", "--images", "demo"],
            "demo is the name of two sets of images",
        ),
        (["--split", "0.7,0.3,0"], "too few for 3 parts"),
        (["--split", "0.7,0.3"], "--split: three shares of 0 or more"),
        (["--learning-rate", "0"], "learning_rate 0: more than 0"),
        (["--seeds", "1,1"], "--seeds: one is given twice"),
        (["--lambdas", "0.5,0.5"], "--lambdas: one is given twice"),
        (["--recipe", "own"], "invalid choice 'own' for argument '--recipe'"),
        (["--images", "demo,samples"], "one model, without an adapter, is tuned on one set"),
        (["--targets", "nothing"], "'nothing' matches no dense layer"),
    ],
)
def test_bad_input_is_one_line_before_training(tune, panoramas, arguments, message, monkeypatch):
    monkeypatch.setattr("jclip.data.image_sources.DEMO_IMAGES", 2)
    monkeypatch.setattr("jclip.data.image_sources.DEMO_HEIGHT", 16)
    images = [] if "--images" in arguments else ["--images", str(panoramas)]
    status, out, error = tune(*images, *arguments)
    assert status == 2 and error.count("\n") == 1
    assert message in error
    assert not out.exists()


def test_few_test_panoramas_are_measured_as_far_as_they_allow(tune, panoramas):
    arguments = ("--images", str(panoramas), "--epochs", "1", "--batch-size-train", "8")
    status, out, error = tune(*arguments, "--split", "0.9,0.05,0.05")
    assert status == 0, error
    (row,) = table(out)
    assert float(row["median_change"]) > 0 and row["tested_shifts"] == "7"
    assert (row["stable_shifts"], row["right_caption"]) == ("", "")
    notices = json.loads((out / "run.json").read_text())["notices"]
    assert [n.split(":")[0] for n in notices] == [
        "3 test panoramas",
        "3 different captions of test panoramas",
    ]
    assert all(notice in (out / "report.html").read_text() for notice in map(html.escape, notices))


def test_sets_of_training_and_test_and_an_adapter_for_open_clip(tune, panorama_folder):
    training = panorama_folder([f"{i}.png" for i in range(5)], name="training")
    test = panorama_folder([f"{i}.png" for i in range(3, 9)], name="test")
    sets = ("--train-images", training, "--test-images", test, "--epochs", "1")
    layout = ("--adapter-layout", "open_clip", "--targets", "reference", "--learning-rate", "1e-2")
    status, out, error = tune(*map(str, sets), *layout)
    assert status == 0, error
    record = json.loads((out / "run.json").read_text())
    assert list(record["identity"]["image_sets"]) == ["training", "test"]
    told = [notice for notice in record["notices"] if "trained on" in notice or "batch" in notice]
    assert told[0] == "5 training panoramas fill no batch of 16: every step is of all of them."
    assert told[1].startswith("5 of 6 test panoramas were trained on (3.png, ...)")
    (row,) = table(out)
    assert float(row["median_change"]) > 0 and float(row["score_change"]) != 0
    adapter = out / "lambda-0.5-seed-0" / "adapter"
    names = load_file(adapter / "adapter_model.safetensors")
    assert len(names) == 2 * 3
    expected = "base_model.model.transformer.resblocks.{}.mlp.c_fc.lora_{}.weight"
    assert set(names) == {expected.format(block, f) for block in range(3) for f in "AB"}
    values = json.loads((adapter / "adapter_config.json").read_text())
    assert values["auto_mapping"]["parent_library"] == "open_clip.transformer"


def test_constants_come_from_the_recipe_unless_given(capsys):
    def recipe(*arguments):
        return tyro.cli(lora_finetune.Options, args=list(arguments)).recipe

    assert recipe() == LORA_RECIPES["corrected"]
    assert recipe("--recipe", "reference") == LORA_RECIPES["reference"]
    given = ("--lambdas", "0,1", "--rank", "4", "--use-rslora", "True", "--anchor", "both")
    expected = {"lambdas": (0.0, 1.0), "rank": 4, "use_rslora": True, "anchor": "both"}
    reference = dataclasses.replace(LORA_RECIPES["reference"], **expected)
    assert recipe("--recipe", "reference", *given) == reference
    with pytest.raises(SystemExit):
        recipe("--help")
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "(default: 0.0003; with --recipe reference: 1e-05)" in said
    assert "of the update of each kernel. (default: 8)" in said


def test_a_loss_that_is_not_a_number_stops(tune, panoramas):
    arguments = ("--images", str(panoramas), "--learning-rate", "1e30", "--epochs", "3", *QUICK[2:])
    status, out, error = tune(*arguments)
    assert status == 1 and "stopped: step " in error and "last good checkpoint" in error
    assert not (out / "trade_off.csv").exists()
