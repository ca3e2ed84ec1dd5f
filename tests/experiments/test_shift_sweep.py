"""The sweep as a person runs it: the PyTorch stack's scores, resuming, and clear errors."""

import csv
import itertools
import json
import re
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image

from experiments import shift_sweep
from jclip.probes.shift import score_shifts
from jclip.runs.command import run_command

GOLDEN = Path(__file__).parents[1] / "golden"
MODEL = str(GOLDEN / "hf_full")


@pytest.fixture
def sweep(monkeypatch, tmp_path, capsys):
    """Run the command, without tests unless asked; returns (exit status, folder, stderr)."""

    def run(*arguments, model=MODEL, out="run"):
        if "--beta" not in arguments:
            arguments = (*arguments, "--beta", "None")
        command = ["shift_sweep", "--model", model, "--out", str(tmp_path / out), *arguments]
        monkeypatch.setattr("sys.argv", command)
        with pytest.raises(SystemExit) as end:
            run_command(shift_sweep.Options, shift_sweep.main)
        return end.value.code, tmp_path / out, capsys.readouterr().err

    return run


def scores(folder):
    table = pyarrow.parquet.read_table(folder / "scores.parquet")
    shifts = int(max(table["shift_index"].to_pylist())) + 1
    return table, np.array(table["score"]).reshape(-1, shifts)


def test_scores_equal_the_pytorch_stack(sweep, tmp_path):
    expected = np.load(GOLDEN / "hf_full" / "shift_sweep_expected.npz")
    prompts = [str(p).removeprefix("This is ") for p in expected["prompts"]]
    captions = tmp_path / "prompts.txt"
    captions.write_text("\n".join(prompts) + "\n")
    status, folder, _ = sweep("--images", "samples", "--captions", str(captions))
    assert status == 0
    table, found = scores(folder)
    assert table["image"].to_pylist()[::8] == list(expected["files"])
    assert table["shift"].to_pylist()[:8] == list(expected["shifts"])
    assert table["yaw"].to_pylist()[:3] == [0.0, 45.0, 90.0]
    np.testing.assert_allclose(found, expected["scores"], atol=1e-3)


def test_a_run_writes_everything_and_says_what_it_used(sweep, panorama_folder):
    folder = str(panorama_folder([f"{i}.png" for i in range(8)]))
    arguments = ("--images", folder, "--fits", "crop,squash,tiles", "--beta", "1.5")
    status, out, _ = sweep(*arguments, "--activation", "gelu")
    assert status == 0
    record = json.loads((out / "run.json").read_text())
    assert record["status"] == "done"
    assert record["identity"]["models"] == {"hf_full": "gelu"}
    assert any("although its weights were trained with quick_gelu" in n for n in record["notices"])
    choices = {f["fault"]: f["choice"] for f in record["faults"]}
    assert choices["activation other than the checkpoint's own"] == "reference"
    assert choices["images and prompts paired by lexicographic order"] == "corrected"
    rows = (out / "statistics.csv").read_text().splitlines()
    assert len(rows) == 1 + 3 * 7
    header = rows[0].replace('"', "").split(",")
    half_turn = next(r for r in rows if '"tiles",4,' in r).split(",")
    cells = dict(zip(header, half_turn, strict=True))
    assert cells["beta"] == "1.5" and cells["wilcoxon_p"] in ("nan", "") and cells["stable"] == ""
    assert (out / "report.html").stat().st_size > 10_000
    assert {"score-change.png", "score-against-yaw.png"} <= {
        f.name for f in (out / "figures").iterdir()
    }
    assert not (out / "parts").exists()


def test_an_interrupted_sweep_goes_on_where_it_was(sweep, panorama_folder, monkeypatch):
    folder = str(panorama_folder([f"{i}.png" for i in range(6)]))
    arguments = ("--images", folder, "--shifts", "4", "--batch-size", "8")
    assert sweep(*arguments, out="whole")[0] == 0
    monkeypatch.setattr("jclip.runs.parts.SECONDS_BETWEEN_PARTS", 0)
    real, calls = shift_sweep.stream_scores, []

    def failing(*rest, **keywords):
        for number, item in enumerate(real(*rest, **keywords)):
            if number == 2 and "failed" not in calls:
                calls.append("failed")
                raise OSError(28, "No space left on device")
            calls.append(item[0].indices)
            yield item

    monkeypatch.setattr(shift_sweep, "stream_scores", failing)
    status, out, error = sweep(*arguments)
    assert status == 1 and "4 of 6 images of" in error and error.count("stopped:") == 1
    assert len(list((out / "parts").iterdir())) == 2
    calls.append("resumed")
    assert sweep(*arguments)[0] == 0
    assert calls == [(0, 1), (2, 3), "failed", "resumed", (4, 5)]
    np.testing.assert_array_equal(scores(out)[1], scores(out.parent / "whole")[1])
    assert sweep(*arguments)[0] == 0, "a finished run only writes its report again"
    assert len(calls) == 5
    status, _, error = sweep(*arguments, "--prompt-prefix", "")
    assert status == 2 and "prompt_prefix was 'This is ', is ''" in error


def test_undecodable_images_stop_or_are_recorded_whole(sweep, panorama_folder):
    folder = panorama_folder(["a.png", "b.png", "c.png"])
    (folder / "b.png").write_bytes((folder / "b.png").read_bytes()[:3000])
    status, _, error = sweep("--images", str(folder), out="stopped")
    assert status == 1 and "b.png: cannot be decoded" in error
    status, out, _ = sweep("--images", str(folder), "--on-error", "record")
    assert status == 3
    assert "b.png" in (out / "failures.csv").read_text()
    table, found = scores(out)
    assert found.shape == (2, 8) and set(table["image"].to_pylist()) == {"a.png", "c.png"}


def test_beta_is_calibrated_by_flips_of_each_set(sweep, panorama_folder):
    one, other = (panorama_folder([f"{i}.png" for i in range(7)], name=name) for name in ("a", "b"))
    status, out, _ = sweep("--images", f"{one},{other}", "--fits", "crop,squash", "--beta", "flip")
    assert status == 0
    table = pyarrow.parquet.read_table(out / "scores.parquet").to_pylist()
    statistics = list(csv.DictReader((out / "statistics.csv").read_text().splitlines()))
    assert len(statistics) == 2 * 2 * 7
    for image_set, fit in itertools.product(("a", "b"), ("crop", "squash")):
        own = [r for r in table if (r["image_set"], r["fit"]) == (image_set, fit)]
        unshifted = [r for r in own if r["shift_index"] == 0]
        assert all(r["mirrored_score"] is None for r in own if r["shift_index"] > 0)
        change = np.abs([r["score"] - r["mirrored_score"] for r in unshifted])
        first, third = np.quantile(change, (0.25, 0.75))
        betas = [
            float(r["beta"]) for r in statistics if (r["image_set"], r["fit"]) == (image_set, fit)
        ]
        np.testing.assert_allclose(betas, third + 1.5 * (third - first), rtol=1e-5)
    choices = {
        f["fault"]: f["choice"] for f in json.loads((out / "run.json").read_text())["faults"]
    }
    assert choices["one beta for every model"] == "corrected"


def test_mirrored_scores_are_those_of_mirrored_files(sweep, panorama_folder):
    folder = panorama_folder([f"{i}.png" for i in range(7)], name="plain")
    mirrored = panorama_folder([f"{i}.png" for i in range(7)], name="turned")
    for file in mirrored.glob("*.png"):
        Image.open(file).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(file)
    _, one, _ = sweep("--images", str(folder), "--beta", "flip", out="one")
    _, other, _ = sweep("--images", str(mirrored), out="other")
    flips = scores(one)[0]["mirrored_score"].to_pylist()[::8]
    np.testing.assert_allclose(flips, scores(other)[1][:, 0], atol=1e-4)


def test_widths_are_grouped_and_each_is_compiled_once(sweep, panorama_folder):
    folder = panorama_folder(["a.png", "b.png", "c.png", "d.png"], captions=False)
    panorama_folder(["wide.png"], size=(96, 48), captions=False)
    (folder / "prompts.txt").write_text("a\nb\nc\nd\ne\n")
    before = score_shifts._cache_size()
    arguments = ("--images", str(folder), "--batch-size", "16")
    assert sweep(*arguments, "--shift-pixels", "8,31")[0] == 0
    assert score_shifts._cache_size() - before == 2
    table, _ = scores(sweep(*arguments, "--shift-pixels", "9,40", out="again")[1])
    assert score_shifts._cache_size() - before == 2, "other shifts do not recompile"
    assert set(table["shift"].to_pylist()) == {0, 9, 40}


def test_many_shifts_go_in_chunks_of_one_program(sweep, panorama_folder):
    folder = str(panorama_folder(["a.png"], size=(128, 64)))
    before = score_shifts._cache_size()
    status, many, _ = sweep("--images", folder, "--shifts", "128", "--batch-size", "24")
    assert status == 0 and score_shifts._cache_size() - before == 1
    few = sweep("--images", folder, "--shifts", "4", out="few")[1]
    np.testing.assert_allclose(scores(many)[1][:, ::32], scores(few)[1], atol=1e-4)


def test_text_files_for_the_papers_scripts(sweep, panorama_folder):
    folder = str(panorama_folder())
    arguments = ("--images", folder, "--shifts", "2", "--reference-text-files", "--clamp")
    out = sweep(*arguments)[1]
    lines = (out / "shift_32_imgs_scores" / "mixed_scores_hf_full.txt").read_text().split("\n")
    assert lines[:3] == [f"{score:.4f}" for score in scores(out)[1][:, 1]]
    assert scores(out)[1].min() >= 0


def test_a_full_disk_while_writing_the_report_loses_no_score(sweep, panorama_folder, monkeypatch):
    folder = str(panorama_folder(["a.png", "b.png"]))

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("jclip.runs.publish.write_page", full)
        status, out, error = sweep("--images", folder)
    assert status == 1 and "No space left" in error and "kept in" in error
    before = scores(out)[1]
    assert sweep("--images", folder)[0] == 0
    np.testing.assert_array_equal(scores(out)[1], before)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--images", "absent"], "absent: no such folder"),
        (["--shift-pixels", "64"], "shift of 64 pixels: outside a panorama of width 64"),
        (["--shift-pixels", "-1"], "shift of -1 pixels"),
        (["--shifts", "65"], "65 shifts: more than the 64 columns"),
        (["--shifts", "1"], "at least 2"),
        (["--fits", "crop,stretch"], "--fits: .stretch. is not one of crop, squash"),
        (["--fits", "crop,crop"], "given twice"),
        (["--beta", "1"], "fewer than 7 images"),
        (["--beta", "flip"], "fewer than 7 images"),
        (["--beta", "None", "--flip-quantiles", "exact"], "none of numpy's"),
        (["--adapter", "absent"], "absent"),
        (["--beta", "-1", "--alpha", "0.3"], "--beta -1.0"),
        (["--pixel-limit", "100"], "a.png: .* limit 100"),
        (["--models", "no-such-model"], "no-such-model"),
        (["--modles", "x"], "--modles"),
        (["--reference-text-files", "--fits", "crop,pad"], "--reference-text-files"),
        (["--captions", "none.csv"], "none.csv"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_computed(sweep, panorama_folder, arguments, message):
    folder = panorama_folder()
    images = [] if "--images" in arguments else ["--images", str(folder)]
    status, out, error = sweep(*images, *arguments)
    assert status == 2 and error.count("\n") == 1
    assert re.search(message, error), error
    assert not out.exists()
