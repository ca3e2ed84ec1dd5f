"""Boxes by crops and by regions as a person runs it, on pictures made up here."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from flax import nnx
from PIL import Image

import jclip
from experiments import fine_grained_eval
from jclip.heads import HeadConfig, create_head, save_head
from jclip.report.faults import BOX_CROP
from jclip.runs.command import run_command

GOLDEN = Path(__file__).parents[1] / "golden"
LINES = (GOLDEN / "fine_grained" / "h_attributes_llava.jsonl").read_text().splitlines()
WIDTH, HEIGHT = 96, 64


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Six pictures with two boxes each; a box has its right caption among the wrong ones."""
    folder = tmp_path_factory.mktemp("world")
    rng = np.random.default_rng(0)
    entries = []
    for row, line in enumerate(map(json.loads, LINES)):
        name = f"{row // 2}.png"
        pixels = rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)
        low = rng.uniform(0, 0.6, 2) * (WIDTH, HEIGHT)
        box = [*low, *(rng.uniform(0.1, 0.4, 2) * (WIDTH, HEIGHT))]
        changed = {"img_path": name, "bbox": box, "width": WIDTH, "height": HEIGHT}
        entries.append(line | changed)
    (folder / "h_attributes_llava.jsonl").write_text("\n".join(map(json.dumps, entries)))
    return folder, entries


@pytest.fixture
def judge(monkeypatch, world, tmp_path, capsys):
    """Run the command; returns (exit status, folder, standard output and error)."""

    def run(*arguments, out="run", boxes=True):
        folder, _ = world
        command = ["fine_grained_eval", "--out", str(tmp_path / out), *arguments]
        if boxes:
            command += ["--annotations", str(folder / "h_attributes_llava.jsonl")]
            command += ["--images", str(folder)]
        monkeypatch.setattr("sys.argv", command)
        with pytest.raises(SystemExit) as end:
            run_command(fine_grained_eval.Options, fine_grained_eval.main)
        said = capsys.readouterr()
        return end.value.code, tmp_path / out, said.out + said.err

    return run


def rows(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def expected(world):
    """Wrong captions that score at least as high as the right one, by the face, box by box."""
    folder, entries = world
    model, found = jclip.load("demo"), {"crop": [], "roi": []}
    for entry in entries:
        right, path = entry["pos_expression"], folder / entry["img_path"]
        wrong = [caption for caption in entry["neg_expression"] if caption not in right]
        ranks = jclip.caption_ranks(model, path, [entry["bbox"]], [right + wrong], "reference")
        found["crop"].append(ranks[0] - 1)
        (region,) = model.embed_regions(path, [entry["bbox"]])
        scores = model.embed_texts(right + wrong) @ region
        found["roi"].append(np.sum(scores[1:] >= scores[0]))
    return found


def test_both_protocols_stand_side_by_side(judge, world):
    status, out, said = judge("--regions", "crop,roi")
    assert status == 0, said
    assert "demo puts the right caption of a box first" in said and "points" in said
    boxes = rows(out / "boxes.csv")
    for protocol, wanted in expected(world).items():
        own = [row for row in boxes if row["protocol"] == protocol]
        assert [int(row["above"]) + int(row["tied"]) for row in own] == wanted
        assert [int(row["captions"]) for row in own] == [11] * 3 + [10] + [11] * 5 + [3, 5, 10]
    results = rows(out / "results.csv")
    assert [(r["model"], r["protocol"], r["name"]) for r in results] == [
        ("demo", "crop", "Hard"),
        ("demo", "roi", "Hard"),
    ]
    assert {row["boxes"] for row in results} == {"8"} and results[0]["short_lists"] == "4"
    (test,) = rows(out / "comparisons.csv")
    assert (test["first"], test["second"], test["boxes"]) == ("demo · crop", "demo · roi", "8")
    difference = float(results[0]["top1"]) - float(results[1]["top1"])
    assert float(test["difference"]) == pytest.approx(difference)
    choices = json.loads((out / "run.json").read_text())["faults"]
    repeated = [one["fault"] for one in choices if one["choice"] == "reference"]
    # The demo model's own fit is the crop.
    assert len(choices) == 9 and repeated == [BOX_CROP.what]
    assert (out / "figures" / "first-places.png").exists()
    page = (out / "report.html").read_text()
    assert "By the size of boxes" in page and "Boxes with fewer wrong captions" in page
    # Again into the folder: embeddings are read, and nothing is another.
    before = (out / "results.csv").read_bytes()
    status, _, said = judge("--regions", "crop,roi")
    assert status == 0 and (out / "results.csv").read_bytes() == before


def test_captions_that_were_cut_are_named_of_embeddings_that_are_there_too(judge, world, tmp_path):
    folder, (entry, *_) = world
    path = tmp_path / "long.jsonl"
    path.write_text(json.dumps(entry | {"pos_expression": ["a red cup" + " and a red cup" * 30]}))
    arguments = ("--regions", "crop,roi", "--annotations", str(path), "--images", str(folder))
    for _ in range(2):
        status, out, said = judge(*arguments, boxes=False)
        assert status == 0, said
        notices = json.loads((out / "run.json").read_text())["notices"]
        assert notices.count("1 captions are longer than 40 tokens and were truncated.") == 1


def test_faults_are_repeated_where_they_are_asked_for(judge):
    every = ("--grid", "--softmax", "--repeated-positives", "--short-lists")
    chosen = [word for flag in every for word in (flag, "reference")]
    status, out, said = judge("--regions", "roi", *chosen)
    assert status == 0, said
    record = json.loads((out / "run.json").read_text())
    assert [one["choice"] for one in record["faults"]].count("reference") == 5
    (result,) = rows(out / "results.csv")
    assert result["boxes"] == "12" and int(result["decided_by_ties"]) > 0
    assert float(result["top1_ties_for"]) > float(result["top1_ties_against"])
    fourth = rows(out / "boxes.csv")[3]
    assert (fourth["captions"], int(fourth["tied"]) > 0) == ("11", True)


def test_a_head_judges_crops_and_regions(judge, tmp_path):
    path = tmp_path / "same.safetensors"
    head = create_head(HeadConfig(kind="linear", size=128), nnx.Rngs(0), "identity")
    save_head(head, path)
    status, out, said = judge("--regions", "crop,roi", "--head", str(path))
    assert status == 0, said
    results = {(r["model"], r["protocol"]): r for r in rows(out / "results.csv")}
    assert list(results) == [
        *(("demo", p) for p in ("crop", "roi")),
        *(("demo + same", p) for p in ("crop", "roi")),
    ]
    for protocol in ("crop", "roi"):
        one, other = (results[model, protocol]["mean_rank"] for model in ("demo", "demo + same"))
        assert float(one) == pytest.approx(float(other), abs=0.2)
    assert len(rows(out / "comparisons.csv")) == 4
    save_head(head, path, base={"model": {"name": "other", "weights": {"a": "b"}}})
    status, _, said = judge("--regions", "roi", "--head", str(path), out="other")
    assert status == 2 and "was trained on features of other, and these are demo" in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            [],
            "name what is embedded by --features or --embeddings, or how",
        ),
        (["--regions", "roi", "--features", "runs/x"], "one of both"),
        (["--regions", "roi,roi"], "protocol roi: given twice"),
        (["--regions", "roi", "--model", str(GOLDEN / "siglip")], "siglip: its patches have no"),
        (["--regions", "boxes"], "is not one of crop, roi"),
    ],
)
def test_what_cannot_be_judged_is_refused(judge, arguments, words):
    status, out, said = judge(*arguments)
    assert status == 2 and words in said
    assert not out.exists()


def test_fgclip_2_reads_captions_of_regions_by_its_head_for_boxes(judge, world):
    folder, entries = world
    status, out, said = judge("--regions", "roi", "--model", str(GOLDEN / "fgclip2"))
    assert status == 0, said
    model = jclip.load(GOLDEN / "fgclip2")
    found = rows(out / "boxes.csv")
    for entry, row in zip(entries[:3], found, strict=False):
        tokens = model.checkpoint.tokenizer([*entry["pos_expression"], *entry["neg_expression"]])
        texts = np.asarray(model.checkpoint.clip.encode_text(tokens.ids, kind="box"))
        texts = texts / np.linalg.norm(texts, axis=1, keepdims=True)
        (region,) = model.embed_regions(folder / entry["img_path"], [entry["bbox"]])
        scores = texts @ region
        assert np.abs(scores[1:] - scores[0]).min() > 1e-6
        assert int(row["above"]) == np.sum(scores[1:] > scores[0])
