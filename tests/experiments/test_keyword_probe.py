"""The keyword probe as a person runs it."""

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import scipy.stats
from plain_holm import plain_holm

from experiments import keyword_probe
from jclip.checkpoints import load_checkpoint
from jclip.data.image_sets import open_image_set
from jclip.data.images import decode
from jclip.images import preprocess
from jclip.models.unit_norm import normalised
from jclip.runs.command import run_command

MODEL = str(Path(__file__).parents[1] / "golden" / "hf_full")

WORDS = ["--identifiers", "a 360 photo of,a panorama of", "--generics", "a photo of"]


@pytest.fixture
def probe(monkeypatch, tmp_path, capsys):
    """Run the command; returns (exit status, folder, standard error)."""

    def run(*arguments, out="run"):
        command = ["keyword_probe", "--model", MODEL, "--out", str(tmp_path / out), *arguments]
        monkeypatch.setattr("sys.argv", command)
        with pytest.raises(SystemExit) as end:
            run_command(keyword_probe.Options, keyword_probe.main)
        return end.value.code, tmp_path / out, capsys.readouterr().err

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
    status, out, _ = probe("--images", images, "--control", control, *WORDS)
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


def test_each_distinct_text_is_embedded_once(probe, folders, monkeypatch):
    images, _ = folders
    embedded = []
    real = keyword_probe.make_subjects

    def counting(checkpoint, fits, prompts, rows):
        embedded.append(len(prompts))
        return real(checkpoint, fits, prompts, rows)

    monkeypatch.setattr(keyword_probe, "make_subjects", counting)
    arguments = ("--images", images, "--control", "none", "--fits", "crop,squash", *WORDS)
    status, out, _ = probe(*arguments)
    assert status == 0
    assert embedded == [8 * 3]
    # Holm's method takes the pairs of all fits together.
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
    status, out, _ = probe(*arguments)
    assert status == 0
    assert {r["content"] for r in rows(out)} == {f"room {i}" for i in range(7)}
    (folder / "prompts.txt").write_text(lines.replace("a 360 photo of room 2", "room 2") + "\n")
    status, _, error = probe(*arguments, out="other")
    assert status == 2
    assert "prompts.txt, line 3: 'room 2' begins with none of the format words" in error


def test_an_interrupted_probe_goes_on(probe, folders, monkeypatch):
    images, _ = folders
    arguments = ("--images", images, "--control", "none", "--batch-size", "2", *WORDS)
    whole = rows(probe(*arguments, out="whole")[1])
    real, calls = keyword_probe.stream_keyword_scores, []

    def failing(*rest):
        for number, item in enumerate(real(*rest)):
            if number == 2 and not calls:
                calls.append("failed")
                raise OSError(28, "No space left on device")
            yield item

    monkeypatch.setattr(keyword_probe, "stream_keyword_scores", failing)
    status, out, error = probe(*arguments)
    assert status == 1 and "4 of 8 images" in error
    assert probe(*arguments)[0] == 0
    assert rows(out) == whole
    assert json.loads((out / "run.json").read_text())["status"] == "done"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--generics", "a photo of,a photo of"], "format word a photo of: given twice"),
        (["--identifiers", "a view of"], "a view of: given twice"),
        (["--alpha", "0.001"], "fewer than 10 images"),
        (["--identifiers", " "], "empty"),
        (["--fits", "crop,crop"], "fit crop: given twice"),
    ],
)
def test_bad_input_is_one_line(probe, folders, arguments, message):
    status, out, error = probe("--images", folders[0], "--control", "none", *arguments)
    assert status == 2 and error.count("\n") == 1
    assert message in error
    assert not out.exists()
