"""The sweep as a person runs it: the PyTorch stack's scores, resuming, and clear errors."""

import csv
import itertools
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from noise_panoramas import LARGE, damaged
from PIL import Image
from safetensors.numpy import load_file, save_file

from experiments import shift_sweep
from jclip.probes.embed import embed_views
from jclip.runs.run import Run

GOLDEN = Path(__file__).parents[1] / "golden"
MODEL = str(GOLDEN / "hf_full")


@pytest.fixture
def sweep(run_experiment):
    """Run the command, without tests unless asked; returns how it ended."""

    def run(*arguments, model=MODEL, out="run"):
        if "--beta" not in arguments:
            arguments = (*arguments, "--beta", "None")
        return run_experiment(shift_sweep, "--model", model, *arguments, out=out)

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
    ended = sweep("--images", "samples", "--captions", captions)
    assert ended.status == 0
    table, found = scores(ended.folder)
    assert table["image"].to_pylist()[::8] == list(expected["files"])
    assert table["shift"].to_pylist()[:8] == list(expected["shifts"])
    assert table["yaw"].to_pylist()[:3] == [0.0, 45.0, 90.0]
    np.testing.assert_allclose(found, expected["scores"], atol=1e-3)


def test_a_run_writes_everything_and_says_what_it_used(sweep, panorama_folder):
    folder = panorama_folder([f"{i}.png" for i in range(8)])
    arguments = ("--images", folder, "--fits", "crop,squash,tiles", "--beta", "1.5")
    status, out, said, _ = sweep(*arguments, "--activation", "gelu")
    assert status == 0
    assert f"report: {out}/report.html" in said
    record = json.loads((out / "run.json").read_text())
    assert record["status"] == "done"
    assert record["identity"]["models"] == {"hf_full": "gelu"}
    assert record["environment"]["command"] == (
        f"python -m experiments.shift_sweep --model {MODEL} {' '.join(map(str, arguments))} "
        f"--activation gelu --out {out}"
    )
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


def test_captions_that_were_mended_and_pairs_are_told_before_anything_is_computed(
    sweep, panorama_folder
):
    folder = panorama_folder(captions=False)
    texts = ["Tom &amp; Jerry", "a dog\u2019s ball", "a lake"]
    (folder / "prompts.txt").write_text("\n".join(texts))
    status, out, said, _ = sweep("--images", folder)
    assert status == 0
    captions = zip(("first a", "second b", "last c"), texts, strict=True)
    pairs = ", ".join(f"{which}.png = {text!r}" for which, text in captions)
    assert said.index(pairs) < said.index("loading hf_full")
    assert "note: hf_full: 2 of 3 texts have other tokens than their letters give" in said
    assert "2 of 3 texts have other tokens" in (out / "report.html").read_text()


def test_an_interrupted_sweep_goes_on_where_it_was(sweep, panorama_folder, monkeypatch):
    folder = panorama_folder([f"{i}.png" for i in range(8)], size=LARGE)
    arguments = ("--images", folder, "--shifts", "4", "--batch-size", "8")
    assert sweep(*arguments, out="whole").status == 0
    monkeypatch.setattr(Run, "seconds_between_parts", 0)
    with damaged(folder / "6.png"):
        status, out, _, error = sweep(*arguments)
    assert status == 1 and "4 of 8 images of" in error and error.count("stopped:") == 1
    parts = [pyarrow.parquet.read_table(file) for file in sorted((out / "parts").iterdir())]
    assert [list(dict.fromkeys(part["image"].to_pylist())) for part in parts] == [
        ["0.png", "1.png"],
        ["2.png", "3.png"],
    ]
    status, _, _, error = sweep(*arguments)
    assert status == 0 and "4/8" in error and "0/8" not in error, "only four are left to do"
    np.testing.assert_array_equal(scores(out)[1], scores(out.parent / "whole")[1])
    status, _, _, error = sweep(*arguments)
    assert status == 0, "a finished run only writes its report again"
    assert "8/8" in error and "4/8" not in error and "0/8" not in error
    status, _, _, error = sweep(*arguments, "--prompt-prefix", "")
    assert status == 2 and "prompt_prefix was 'This is ', is ''" in error


def test_undecodable_images_stop_or_are_recorded_whole(sweep, panorama_folder):
    folder = panorama_folder(["a.png", "b.png", "c.png"])
    (folder / "b.png").write_bytes((folder / "b.png").read_bytes()[:3000])
    status, _, _, error = sweep("--images", folder, out="stopped")
    assert status == 1 and "b.png: cannot be decoded" in error
    status, out, said, _ = sweep("--images", folder, "--on-error", "record")
    assert status == 3
    assert "note: 1 images could not be decoded" in said
    assert "b.png" in (out / "failures.csv").read_text()
    table, found = scores(out)
    assert found.shape == (2, 8) and set(table["image"].to_pylist()) == {"a.png", "c.png"}


def test_beta_is_calibrated_by_flips_of_each_set(sweep, panorama_folder):
    one, other = (panorama_folder([f"{i}.png" for i in range(7)], name=name) for name in ("a", "b"))
    arguments = ("--images", f"{one},{other}", "--fits", "crop,squash", "--beta", "flip")
    status, out, *_ = sweep(*arguments)
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
    one = sweep("--images", folder, "--beta", "flip", out="one")
    other = sweep("--images", mirrored, out="other")
    flips = scores(one.folder)[0]["mirrored_score"].to_pylist()[::8]
    np.testing.assert_allclose(flips, scores(other.folder)[1][:, 0], atol=1e-4)


def test_widths_are_grouped_and_each_is_compiled_once(sweep, panorama_folder):
    folder = panorama_folder(["a.png", "b.png", "c.png", "d.png"], captions=False)
    panorama_folder(["wide.png"], size=(96, 48), captions=False)
    (folder / "prompts.txt").write_text("a\nb\nc\nd\ne\n")
    before = embed_views._cache_size()
    arguments = ("--images", folder, "--batch-size", "16")
    assert sweep(*arguments, "--shift-pixels", "8,31").status == 0
    assert embed_views._cache_size() - before == 2
    table, _ = scores(sweep(*arguments, "--shift-pixels", "9,40", out="again").folder)
    assert embed_views._cache_size() - before == 2, "other shifts do not recompile"
    assert set(table["shift"].to_pylist()) == {0, 9, 40}


def test_many_shifts_go_in_chunks_of_one_program(sweep, panorama_folder):
    folder = panorama_folder(["a.png"], size=(128, 64))
    before = embed_views._cache_size()
    status, many, *_ = sweep("--images", folder, "--shifts", "128", "--batch-size", "24")
    assert status == 0 and embed_views._cache_size() - before == 1
    few = sweep("--images", folder, "--shifts", "4", out="few").folder
    np.testing.assert_allclose(scores(many)[1][:, ::32], scores(few)[1], atol=1e-4)


def test_text_files_for_the_papers_scripts(sweep, panorama_folder):
    arguments = ("--shifts", "2", "--reference-text-files", "--clamp")
    out = sweep("--images", panorama_folder(), *arguments).folder
    lines = (out / "shift_32_imgs_scores" / "mixed_scores_hf_full.txt").read_text().split("\n")
    assert lines[:3] == [f"{score:.4f}" for score in scores(out)[1][:, 1]]
    lines = (out / "imgs_scores" / "mixed_scores_hf_full.txt").read_text().split("\n")
    assert lines[:3] == [f"{score:.4f}" for score in scores(out)[1][:, 0]]
    assert scores(out)[1].min() >= 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_while_writing_the_report_loses_no_score(sweep, panorama_folder):
    folder = panorama_folder(["a.png", "b.png"], size=LARGE)
    with damaged(folder / "b.png"):
        out = sweep("--images", folder).folder
    (out / "report.html").symlink_to("/dev/full")
    status, _, _, error = sweep("--images", folder)
    assert status == 1 and "No space left" in error and "kept in" in error
    before = scores(out)[1]
    (out / "report.html").unlink()
    assert sweep("--images", folder).status == 0
    np.testing.assert_array_equal(scores(out)[1], before)


@pytest.mark.parametrize(("images", "beta"), [(1, "flip"), (2, "1.5"), (3, "flip"), (6, "flip")])
def test_too_few_images_for_a_test_are_scored_and_described(sweep, panorama_folder, images, beta):
    folder = panorama_folder([f"{i}.png" for i in range(images)])
    shifts = 2 if images == 3 else 8
    arguments = ("--images", folder, "--shifts", shifts, "--fits", "crop,tiles", "--beta", beta)
    status, out, said, _ = sweep(*arguments)
    assert status == 0
    (notice,) = re.findall("note: (panoramas: .*)", said)
    assert notice == (
        "panoramas: no test against beta, which cannot reach p < 0.01 with fewer than 7 images; "
        f"there are {images}."
    )
    assert notice in json.loads((out / "run.json").read_text())["notices"]
    page = (out / "report.html").read_text()
    assert notice.replace("<", "&lt;") in page and "stability was not tested" in page
    _, found = scores(out)
    assert found.shape == (2 * images, shifts)
    rows = list(csv.DictReader((out / "statistics.csv").read_text().splitlines()))
    change = np.abs(found[:, 1:] - found[:, :1])
    expected = [*np.median(change[:images], axis=0), *np.median(change[images:], axis=0)]
    np.testing.assert_allclose([float(r["median_abs_d"]) for r in rows], expected, atol=1e-5)
    assert "stable" not in rows[0] and {r["n"] for r in rows} == {str(images)}
    assert {r["shapiro_p"] for r in rows} <= {"", "nan"} or images > 2
    summary = list(csv.DictReader((out / "summary.csv").read_text().splitlines()))
    assert [(r["n"], r["beta"]) for r in summary] == [(str(images), "")] * 2


def test_images_that_fail_can_leave_too_few_for_a_test(sweep, panorama_folder):
    folder = panorama_folder([f"{i}.png" for i in range(7)])
    for name in ("3.png", "4.png"):
        (folder / name).write_bytes((folder / name).read_bytes()[:3000])
    status, out, said, _ = sweep("--images", folder, "--beta", "flip", "--on-error", "record")
    assert status == 3 and "fewer than 7 images; there are 5." in said
    assert scores(out)[1].shape == (5, 8)


def test_without_one_good_image_there_is_nothing_to_tell(sweep, panorama_folder):
    folder = panorama_folder(["a.png", "b.png"])
    for file in folder.glob("*.png"):
        file.write_bytes(file.read_bytes()[:3000])
    status, _, _, error = sweep("--images", folder, "--on-error", "record")
    assert status == 1 and error.count("stopped:") == 1
    assert "a.png" in error and "none of the images" in error


@pytest.fixture
def squashing(tmp_path):
    """A checkpoint whose own preprocessing squashes."""
    folder = shutil.copytree(GOLDEN / "hf_full", tmp_path / "squashing")
    path = folder / "preprocessor_config.json"
    config = json.loads(path.read_text())
    config["size"] = {"height": 64, "width": 64}
    path.write_text(json.dumps(config | {"do_center_crop": False}))
    return folder


def test_the_own_fit_is_the_checkpoints_and_is_named(sweep, panorama_folder, squashing):
    folder = panorama_folder()
    status, out, *_ = sweep("--images", folder, model=f"{MODEL},{squashing}")
    assert status == 0
    table, found = scores(out)
    labels = zip(table["model"].to_pylist(), table["fit"].to_pylist(), strict=True)
    assert list(dict.fromkeys(labels)) == [("hf_full", "crop"), ("squashing", "squash")]
    page = (out / "report.html").read_text()
    assert "fits crop, squash" in page and "fits: crop, squash; at half a turn" in page
    named = sweep("--images", folder, "--fits", "crop,squash", out="named").folder
    np.testing.assert_array_equal(found, scores(named)[1])
    assert json.loads((out / "run.json").read_text())["identity"]["fits"] == ["own"]


def test_a_fit_that_is_the_checkpoints_own_is_scored_once(sweep, panorama_folder):
    folder = panorama_folder()
    status, out, *_ = sweep("--images", folder, "--fits", "own,crop")
    assert status == 0
    table, found = scores(out)
    assert found.shape == (3, 8) and set(table["fit"].to_pylist()) == {"crop"}
    assert "fit crop." in (out / "report.html").read_text()


def test_an_adapter_is_merged_into_the_network(sweep, panorama_folder, tmp_path):
    base, folder = GOLDEN / "hf_full", panorama_folder()
    factors = load_file(base / "peft_adapter" / "adapter_model.safetensors")
    tensors = {name: np.array(t) for name, t in load_file(base / "model.safetensors").items()}
    pairs = [name for name in factors if name.endswith(".lora_A.weight")]
    assert len(pairs) == 3 * 6
    for name in pairs:
        module = name.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
        up = factors[name.replace("lora_A", "lora_B")]
        # Alpha 8 over rank 4.
        tensors[f"vision_model.{module}.weight"] += 8 / 4 * up @ factors[name]
    merged = shutil.copytree(base, tmp_path / "merged")
    save_file(tensors, merged / "model.safetensors")
    adapter = ("--adapter", base / "peft_adapter")
    status, out, *_ = sweep("--images", folder, *adapter, "--reference-text-files", model=str(base))
    assert status == 0
    lines = (
        out / "lora_finetuned_scores" / "lora_finetuned_shift_8_filtered_scores.txt"
    ).read_text()
    assert lines.splitlines() == [f"{score:.4f}" for score in scores(out)[1][:, 1]]
    table, found = scores(out)
    assert set(table["model"].to_pylist()) == {"hf_full+peft_adapter"}
    expected = scores(sweep("--images", folder, model=str(merged), out="merged-run").folder)[1]
    np.testing.assert_allclose(found, expected, atol=1e-4)
    plain = scores(sweep("--images", folder, model=str(base), out="plain").folder)[1]
    assert np.abs(found - plain).max() > 0.1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--images", "absent"], "absent: no such folder"),
        (["--shift-pixels", "64"], "shift of 64 pixels: outside a panorama of width 64"),
        (["--shift-pixels", "-1"], "shift of -1 pixels"),
        (["--shifts", "65"], "65 shifts: more than the 64 columns"),
        (["--shifts", "1"], "at least 2"),
        (["--fits", "crop,stretch"], "--fits: .stretch. is not one of own, crop, squash"),
        (["--fits", "crop,crop"], "given twice"),
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
    images = [] if "--images" in arguments else ["--images", folder]
    status, out, _, error = sweep(*images, *arguments)
    assert status == 2 and error.count("\n") == 1
    assert re.search(message, error), error
    assert not out.exists()


def test_probabilities_stand_beside_the_scores_of_a_sigmoid_loss(sweep, panorama_folder):
    folder = panorama_folder(["a.png", "b.png"])
    ended = sweep("--images", folder, "--shifts", "2", model=str(GOLDEN / "siglip"))
    assert ended.status == 0
    table, _ = scores(ended.folder)
    expected = np.load(GOLDEN / "siglip" / "expected.npz")
    scale, bias = (float(np.squeeze(expected[name])) for name in ("logit_scale", "logit_bias"))
    logits = np.exp(scale) * np.array(table["score"], np.float64) / 100 + bias
    np.testing.assert_allclose(table["probability"], 1 / (1 + np.exp(-logits)), rtol=1e-5)
    page = (ended.folder / "report.html").read_text()
    assert "median unshifted probability" in page
    assert "the sigmoid of scale x cosine + bias" in page
    clamped = sweep(
        "--images", folder, "--shifts", "2", "--clamp", model=str(GOLDEN / "siglip"), out="clamped"
    )
    assert "probability" not in scores(clamped.folder)[0].column_names


def test_kinds_of_texts_make_other_runs(sweep, panorama_folder):
    folder = panorama_folder(["a.png", "b.png"])
    found = {}
    for kind in ("short", "box", "long"):
        ended = sweep("--images", folder, "--shifts", "2", "--fits", "squash", "--text-kind", kind,
                      model=str(GOLDEN / "fgclip2"), out=kind)  # fmt: skip
        assert ended.status == 0
        found[kind] = scores(ended.folder)[1]
    assert np.abs(found["short"] - found["box"]).max() > 0.1
    assert np.abs(found["short"] - found["long"]).max() > 0.1
    ended = sweep("--images", folder, "--text-kind", "long", out="other")
    assert ended.status == 2
    assert "hf_full: texts of kind 'long', but the tower knows one kind" in ended.err
