"""The keyword probe as a person runs it."""

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import scipy.stats
from noise_panoramas import LARGE, damaged
from plain_holm import plain_holm

from experiments import keyword_probe
from jclip.checkpoints import load_checkpoint
from jclip.data.image_sets import open_image_set
from jclip.data.images import decode
from jclip.images import preprocess
from jclip.models.unit_norm import normalised

MODEL = str(Path(__file__).parents[1] / "golden" / "hf_full")

WORDS = ["--identifiers", "a 360 photo of,a panorama of", "--generics", "a photo of"]


@pytest.fixture
def probe(run_experiment):
    """Run the command; returns how it ended."""

    def run(*arguments, out="run"):
        return run_experiment(keyword_probe, "--model", MODEL, *arguments, out=out)

    return run


@pytest.fixture
def folders(panorama_folder):
    """Panoramas, and square photos for the control."""
    names = [f"{i}.png" for i in range(8)]
    panoramas = panorama_folder(names, name="panoramas")
    return str(panoramas), str(panorama_folder(names, size=(40, 40), name="photos"))


def rows(folder):
    return pyarrow.parquet.read_table(folder / "scores.parquet").to_pylist()


def test_scores_are_cosines_of_the_prompts(probe, folders):
    images, control = folders
    status, out, *_ = probe("--images", images, "--control", control, *WORDS)
    assert status == 0
    found = rows(out)
    assert len(found) == 2 * 8 * 3
    checkpoint = load_checkpoint(MODEL)
    opened = open_image_set(images)
    pixels = preprocess(decode(opened.images[5])[None], checkpoint.image_config.size)
    tokens = checkpoint.tokenizer(["This is a panorama of a room number 5"])
    seen = normalised(checkpoint.clip.encode_image(pixels))
    text = normalised(checkpoint.clip.encode_text(tokens.ids))
    (row,) = [
        r
        for r in found
        if (r["image_set"], r["image"], r["words"]) == ("panoramas", "5.png", "a panorama of")
    ]
    assert row["kind"] == "identifier" and row["control"] is False
    assert row["score"] == pytest.approx(float(100 * np.sum(seen * text)), abs=1e-3)
    statistics = list(csv.DictReader((out / "statistics.csv").read_text().splitlines()))
    assert len(statistics) == 2 * 2
    assert [s["control"] for s in statistics] == ["false"] * 2 + ["true"] * 2
    for control in ("false", "true"):
        # The control is a family of its own.
        family = [s for s in statistics if s["control"] == control]
        adjusted = plain_holm([float(s["wilcoxon_p"]) for s in family])
        assert [float(s["holm_p"]) for s in family] == pytest.approx(adjusted)
    for s in statistics:
        own = [r for r in found if r["image_set"] == s["image_set"]]
        higher = [r["score"] for r in own if r["words"] == s["identifier"]]
        lower = [r["score"] for r in own if r["words"] == s["generic"]]
        difference = np.subtract(higher, lower)
        assert float(s["median_difference"]) == pytest.approx(np.median(difference), abs=1e-4)
        assert float(s["share_of_wins"]) == pytest.approx((difference > 0).mean())
        won = scipy.stats.binomtest(int((difference > 0).sum()), 8)
        limits = won.proportion_ci(0.95, "exact")
        assert float(s["wins_low"]) == pytest.approx(limits.low)
        assert float(s["wins_high"]) == pytest.approx(limits.high)
        walsh = [(a + b) / 2 for i, a in enumerate(difference) for b in difference[i:]]
        # P(T+ <= 3) <= 0.025 < P(T+ <= 4) of eight images.
        low, high = np.sort(walsh)[[3, -4]]
        assert float(s["hodges_lehmann"]) == pytest.approx(np.median(walsh), abs=1e-4)
        assert float(s["hodges_lehmann_low"]) == pytest.approx(low, abs=1e-4)
        assert float(s["hodges_lehmann_high"]) == pytest.approx(high, abs=1e-4)
        test = scipy.stats.wilcoxon(difference, alternative="greater")
        assert float(s["wilcoxon_p"]) == pytest.approx(test.pvalue)
    assert (out / "report.html").stat().st_size > 10_000


def test_holms_method_takes_the_pairs_of_all_fits_together(probe, folders):
    images, _ = folders
    arguments = ("--images", images, "--control", "none", "--fits", "crop,squash", *WORDS)
    status, out, *_ = probe(*arguments)
    assert status == 0
    statistics = list(csv.DictReader((out / "statistics.csv").read_text().splitlines()))
    assert [s["fit"] for s in statistics] == ["crop"] * 2 + ["squash"] * 2
    adjusted = plain_holm([float(s["wilcoxon_p"]) for s in statistics])
    assert [float(s["holm_p"]) for s in statistics] == pytest.approx(adjusted)


def test_prompts_have_their_format_word_replaced(probe, panorama_folder):
    folder = panorama_folder([f"{i}.png" for i in range(7)])
    lines = "\n".join(f"a 360 photo of room {i}" for i in range(7))
    (folder / "prompts.txt").write_text(lines + "\n")
    (folder / "captions.csv").unlink()
    arguments = ("--images", str(folder), "--control", "none", "--captions-hold", "prompts", *WORDS)
    status, out, *_ = probe(*arguments)
    assert status == 0
    assert {r["content"] for r in rows(out)} == {f"room {i}" for i in range(7)}
    (folder / "prompts.txt").write_text(lines.replace("a 360 photo of room 2", "room 2") + "\n")
    status, _, _, error = probe(*arguments, out="other")
    assert status == 2
    assert "prompts.txt, line 3: 'room 2' begins with none of the format words" in error


def test_an_interrupted_probe_goes_on(probe, panorama_folder):
    images = panorama_folder([f"{i}.png" for i in range(8)], size=LARGE)
    arguments = ("--images", images, "--control", "none", "--batch-size", "2", *WORDS)
    whole = rows(probe(*arguments, out="whole").folder)
    with damaged(images / "6.png"):
        status, out, _, error = probe(*arguments)
    assert status == 1 and "4 of 8 images" in error
    status, _, _, error = probe(*arguments)
    assert status == 0 and "4/8" in error and "0/8" not in error
    assert rows(out) == whole
    assert json.loads((out / "run.json").read_text())["status"] == "done"


@pytest.mark.parametrize(
    ("images", "alpha", "needed"), [(1, 0.01, 7), (2, 0.01, 7), (3, 0.001, 10), (6, 0.01, 7)]
)
def test_too_few_images_for_a_test_are_scored_and_described(
    probe, panorama_folder, images, alpha, needed
):
    names = [f"{i}.png" for i in range(10)]
    folder = panorama_folder(names[:images])
    photos = panorama_folder(names, size=(40, 40), name="photos")
    arguments = ("--images", folder, "--control", photos, "--alpha", alpha)
    status, out, said, _ = probe(*arguments, *WORDS)
    assert status == 0
    notices = [line for line in said.splitlines() if line.startswith("note:")]
    notice = (
        f"panoramas: no pair of words can reach p < {alpha:g} with fewer than {needed} images; "
        f"there are {images}."
    )
    assert notices == [f"note: {notice}"]
    assert notice in json.loads((out / "run.json").read_text())["notices"]
    assert notice.replace("<", "&lt;") in (out / "report.html").read_text()
    found = [row for row in rows(out) if row["image_set"] == "panoramas"]
    assert len(found) == 3 * images
    statistics = list(csv.DictReader((out / "statistics.csv").read_text().splitlines()))
    assert [s["n"] for s in statistics] == [str(images)] * 2 + ["10"] * 2
    for s in statistics[:2]:
        higher = [r["score"] for r in found if r["words"] == s["identifier"]]
        lower = [r["score"] for r in found if r["words"] == s["generic"]]
        difference = np.subtract(higher, lower)
        assert float(s["median_difference"]) == pytest.approx(np.median(difference), abs=1e-4)
        assert float(s["share_of_wins"]) == pytest.approx((difference > 0).mean())
    summary = list(csv.DictReader((out / "summary.csv").read_text().splitlines()))
    assert (summary[0]["image_set"], summary[0]["pairs_found"]) == ("panoramas", "0")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--generics", "a photo of,a photo of"], "format word a photo of: given twice"),
        (["--identifiers", "a view of"], "a view of: given twice"),
        (["--alpha", "1"], "alpha must lie between 0 and 1"),
        (["--identifiers", " "], "empty"),
        (["--fits", "crop,crop"], "fit crop: given twice"),
        (["--orbit", "1000"], "columns of a panorama (see --orbit)"),
    ],
)
def test_bad_input_is_one_line(probe, folders, arguments, message):
    status, out, _, error = probe("--images", folders[0], "--control", "none", *arguments)
    assert status == 2 and error.count("\n") == 1
    assert message in error
    assert not out.exists()


def test_only_the_demo_world_has_a_control_that_nobody_asked_for(probe, folders, monkeypatch):
    monkeypatch.setattr("jclip.data.image_sources.DEMO_IMAGES", 3)
    monkeypatch.setattr("jclip.data.image_sources.DEMO_HEIGHT", 32)
    for images, expected in (
        (folders[0], {("panoramas", False)}),
        ("demo", {("demo", False), ("demo-photos", True)}),
        # Photos of that world are none of its panoramas, and are there already.
        ("demo-photos", {("demo-photos", False)}),
        ("demo,demo-photos", {("demo", False), ("demo-photos", False)}),
        (f"demo,{folders[0]}", {("demo", False), ("panoramas", False)}),
    ):
        ended = probe("--images", images, *WORDS, out=images.replace("/", "-"))
        assert ended.status == 0, ended.err
        assert {(r["image_set"], r["control"]) for r in rows(ended.folder)} == expected


def test_text_files_for_the_papers_script(probe, folders):
    images, control = folders
    arguments = ("--images", images, "--control", control, "--reference-text-files")
    out = probe(*arguments, *WORDS).folder
    for folder, word in (
        ("first_identifier", "a 360 photo of"),
        ("second_identifier", "a panorama of"),
        ("first_generic", "a photo of"),
    ):
        file = out / f"laion400m_imgs_scores_{folder}" / "mixed_scores_hf_full.txt"
        own = [r for r in rows(out) if r["words"] == word and not r["control"]]
        assert file.read_text().splitlines() == [f"{r['score']:.4f}" for r in own]
    assert len(list(out.glob("laion400m_*"))) == 3
    refused = probe(*arguments, *WORDS, "--fits", "crop,pad", out="other")
    assert refused.status == 2 and "--reference-text-files" in refused.err
