"""Scores of generated panoramas as a person asks for them."""

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from experiments import panorama_score
from jclip.report.panorama_tables import MAIN

GOLDEN = Path(__file__).parents[1] / "golden"
SCORES = GOLDEN / "panorama_scores"
EXPECTED = json.loads((SCORES / "expected.json").read_text())
ARRAYS = np.load(SCORES / "expected.npz")
WHOLE = {"plain.squash", "orbit.squash", "mv_whole.corrected", "seam_views.corrected"}


def rows(path):
    return list(csv.DictReader(path.read_text().splitlines()))


@pytest.fixture
def panfusion(tmp_path):
    """The golden panoramas in the layout of PanFusion's data set."""
    root = tmp_path / "mp3d_skybox"
    for name, whole, own in zip(
        EXPECTED["files"], EXPECTED["captions"], EXPECTED["view_captions"], strict=True
    ):
        scene = root / "scene"
        texts = {f"blip3_stitched/{name}.txt": whole}
        texts |= {f"blip3/{name}_{45 * k}.txt": text for k, text in enumerate(own)}
        for path, text in texts.items():
            (scene / path).parent.mkdir(parents=True, exist_ok=True)
            (scene / path).write_text(text)
        (scene / "matterport_stitched_images").mkdir(exist_ok=True)
        shutil.copy(
            SCORES / "panoramas" / f"{name}.png",
            scene / "matterport_stitched_images" / f"{name}.png",
        )
    return root


def test_every_published_score_by_its_name(run_experiment, panfusion):
    arguments = ["--images", panfusion, "--model", GOLDEN / "hf_full", "--clamp", "reference"]
    arguments += ["--protocols", "jclip,panfusion,survey,mvdiffusion"]
    arguments += ["--rescaling", "corrected,reference", "--discontinuity", "reference"]
    ended = run_experiment(panorama_score, *arguments)
    assert ended.status == 0, ended.err
    table = pq.read_table(ended.folder / "scores.parquet")
    assert table.column_names == ["image_set", "model", "image", "name", "score"]
    found: dict[str, list[float]] = {}
    for row in table.sort_by("image").to_pylist():
        found.setdefault(row["name"], []).append(row["score"])
    for name in EXPECTED["scores"]:
        golden = ARRAYS[name].reshape(4, -1).astype(float)
        if name.startswith(("survey", "mvdiffusion")):
            golden = np.maximum(golden, 0)
        close = 0.05 if name.endswith("pinned") else 0.01
        np.testing.assert_allclose(found[name], golden.mean(axis=1), atol=close, err_msg=name)
    published = {row["name"]: float(row["mean"]) for row in rows(ended.folder / "sets.csv")}
    for name, own in EXPECTED["scores"].items():
        if name.startswith("panfusion"):
            assert published[name] == pytest.approx(own["clamp_of_mean"], abs=0.02)
        if name.startswith(("survey", "mvdiffusion")):
            assert published[name] == pytest.approx(own["mean_of_clamped"], abs=0.02)
    seams = [EXPECTED["discontinuity"][name] for name in EXPECTED["files"]]
    np.testing.assert_allclose(
        found["DS"], [own["survey_rolled_by_eighths"][0] for own in seams], atol=1e-5
    )
    np.testing.assert_allclose(found["DS.panoeval"], [s["panoeval"] for s in seams], atol=1e-5)
    chosen = {f["fault"]: f["choice"] for f in json.loads(_record(ended))["faults"]}
    assert chosen["pictures as floats in 0 .. 1 are divided by 255 twice"] == "reference"
    pictures = pq.read_table(ended.folder / "picture_scores.parquet").to_pylist()
    seam = [r for r in pictures if r["name"] == "seam_views.corrected" and r["yaw"] == 180]
    assert [row["pitch"] for row in seam[:5]] == [-60, -30, 0, 30, 60]
    tex = (ended.folder / "table.tex").read_text()
    assert r"mp3d\_skybox & hf\_full & 4 & " in tex and r"\bottomrule" in tex


def _record(ended):
    return (ended.folder / "run.json").read_text()


def test_each_fault_of_the_demo_generators_moves_its_own_columns(run_experiment):
    generators = "demo:40,demo-seam:40,demo-shuffled:40,demo-captions:40"
    ended = run_experiment(panorama_score, "--images", generators)
    assert ended.status == 0, ended.err
    moved = {"demo-seam": set(), "demo-shuffled": set(), "demo-captions": set()}
    for row in rows(ended.folder / "comparisons.csv"):
        if row["first"] == "demo" and row["name"] in MAIN and float(row["holm_p"]) < 0.01:
            moved[row["second"]].add(row["name"])
    assert moved == {
        "demo-seam": {"DS.excess"},
        "demo-shuffled": {"panfusion.mv_CS.corrected"},
        "demo-captions": WHOLE,
    }
    page = (ended.folder / "report.html").read_text()
    assert "demo-seam differs from demo in DS excess (+" in page
    assert not re.search(r"\bnan\b", page)
    # Once more: nothing is measured again.
    again = run_experiment(panorama_score, "--images", generators)
    assert again.status == 0 and "40/40 [00:00<?, ? images/s]" in again.err
    scored = [line for line in ended.out.splitlines() if line.startswith("demo")]
    assert len(scored) == 4 and all(line in again.out for line in scored)


def test_generators_with_other_panoramas_are_compared_on_what_they_share(
    run_experiment, panorama_folder
):
    first = panorama_folder(("a.png", "b.png", "c.png"), name="first")
    second = panorama_folder(("b.png", "c.png"), name="second", size=(128, 64))
    real = panorama_folder(("r.png", "s.png"), captions=False, name="real")
    images = ["--images", f"{first},{second}", "--reference", real]
    ended = run_experiment(panorama_score, *images)
    assert ended.status == 3, ended.err
    unpaired = rows(ended.folder / "unpaired.csv")
    assert unpaired == [{"panorama": "a", "in_set": "first", "missing_in": "second"}]
    compared = rows(ended.folder / "comparisons.csv")
    assert {row["n"] for row in compared} == {"2"}
    # Seams are not compared between sizes.
    assert "DS" not in {row["name"] for row in compared}
    for said in (
        "compared on 2 common panoramas; 1 are in one only, as a",
        "no test reaches p < 0.01 on 2 panoramas; it takes 8",
        "a Discontinuity Score depends on the size and is not compared",
        "first 3, second 2): 2 of each generator are taken",
        "2 panoramas of second give no covariance of",
        "no captions of views, so no panfusion.mv_CS",
    ):
        assert said in ended.out, said
    distances = rows(ended.folder / "distances.csv")
    assert {row["name"] for row in distances} == {"CMMD", "CMMD.unbiased"}
    assert {row["n"] for row in distances} == {"2"}
    assert {row["image_set"] for row in rows(ended.folder / "sets.csv")} == {"first", "second"}


def test_panoramas_that_a_folder_promises_are_listed(run_experiment, tmp_path):
    logs = tmp_path / "logs"
    shutil.copytree(SCORES / "layouts" / "panfusion" / "logs" / "abcd1234", logs)
    lost = sorted((logs / "test").iterdir())[0]
    (lost / "pano.png").unlink()
    ended = run_experiment(panorama_score, "--images", logs)
    assert ended.status == 3, ended.err
    assert "1 results have no pano.png and are left out" in ended.out
    unpaired = rows(ended.folder / "unpaired.csv")
    assert unpaired == [{"panorama": lost.name, "in_set": "", "missing_in": "logs"}]


def test_pictures_of_mvdiffusion_alone(run_experiment, tmp_path):
    layout = SCORES / "layouts" / "mvdiffusion" / "images"
    ended = run_experiment(panorama_score, "--images", layout, out="refused")
    assert ended.status == 2 and "--protocols" in ended.err
    real = SCORES / "layouts" / "panoeval" / "real.jsonl"
    options = ["--images", layout, "--protocols", "mvdiffusion", "--reference", real]
    ended = run_experiment(panorama_score, *options)
    assert ended.status == 0, ended.err
    said = "mvdiffusion: views and no panoramas; real: panoramas; so no distances."
    assert said in ended.out
    assert {row["name"] for row in rows(ended.folder / "sets.csv")} == {"mvdiffusion.CS"}


def test_distances_of_mvdiffusion_to_its_real_pictures(run_experiment):
    layout = SCORES / "layouts" / "mvdiffusion" / "images"
    options = ["--images", layout, "--protocols", "mvdiffusion", "--reference", layout]
    ended = run_experiment(panorama_score, *options)
    assert ended.status == 0, ended.err
    found = {row["name"]: row for row in rows(ended.folder / "distances.csv")}
    assert list(found) == ["CMMD", "CMMD.unbiased"]
    assert found["CMMD"]["reference"] == "mvdiffusion_natural" and found["CMMD"]["n"] == "2"
    assert (
        found["CMMD"]["low"] == found["CMMD"]["high"] == "" and float(found["CMMD"]["distance"]) > 0
    )
    assert "no interval of distances; 2 panoramas of mvdiffusion are too few" in ended.out
    assert "16 pictures of mvdiffusion give no covariance of" in ended.out
    for name in ("mvdiffusion", "mvdiffusion_natural"):
        assert f"{name}, demo, 2 panoramas: mvdiffusion.CS 4" in ended.out
    sets = {row["image_set"] for row in rows(ended.folder / "sets.csv")}
    assert sets == {"mvdiffusion", "mvdiffusion_natural"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--seam-pitches", "0,x"], "seam-pitches"),
        (["--seam-pitches", "0,100"], "100 degrees: a view at the seam looks between -90 and 90"),
        (["--samples", "0"], "0: one sample or more for each side of a pixel (see --samples)"),
        (["--samples", "17"], "17 samples per pixel and side: at most 16"),
        (["--protocols", "jclip,fid"], "'fid' is not one of"),
        (["--orbit", "3"], "orbit"),
    ],
)
def test_options_are_checked_first(run_experiment, panorama_folder, options, said):
    ended = run_experiment(panorama_score, "--images", panorama_folder(), *options)
    assert ended.status == 2 and said in ended.err
    assert not ended.folder.exists()


def test_panoramas_have_to_be_two_to_one(run_experiment, panorama_folder):
    folder = panorama_folder(size=(60, 32))
    ended = run_experiment(panorama_score, "--images", folder)
    assert ended.status == 2 and "twice as wide as high" in ended.err


def test_long_captions_have_one_embedding_in_published_code(run_experiment, panorama_folder):
    folder = panorama_folder(("a.png", "b.png"), captions=False)
    long = [f"{word} " * 100 for word in ("red", "blue")]
    (folder / "captions.csv").write_text(f"file,caption\na.png,{long[0]}\nb.png,{long[1]}\n")
    shutil.copy(folder / "a.png", folder / "b.png")
    for choice, equal in (("corrected", False), ("reference", True)):
        options = ["--images", folder, "--long-captions", choice]
        ended = run_experiment(panorama_score, *options, out=choice)
        assert ended.status == 0 and "2 prompts are longer than" in ended.out
        table = pq.read_table(ended.folder / "scores.parquet").to_pylist()
        one, other = (row["score"] for row in table if row["name"] == "plain.squash")
        assert (one == pytest.approx(other, abs=1e-4)) is equal
