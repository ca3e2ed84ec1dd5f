"""Detectors against CLIP as a person runs it."""

import html
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

from experiments import detector_ranks
from jclip.data.features import Features, Origin, write_features
from jclip.data.fg_ovd import read_fg_ovd
from jclip.demo.model import train_tokenizer
from jclip.runs.command import run_command

GOLDEN = Path(__file__).parents[1] / "golden"
COLOURS = ["red", "blue", "green", "grey"]
LONG = " made of old wood and a bit of metal that stands alone near a wall in the sun"
RNG = np.random.default_rng(0)
BELOW = ["chance", "negatives", "boxes"]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder with images, two annotation files, a detector with a tokenizer, and features."""
    folder = tmp_path_factory.mktemp("world")
    for number in range(3):
        pixels = RNG.integers(0, 256, (40, 40 + 16 * number, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    write_set(folder / "1_attributes.json", 3, lambda box: LONG if box % 3 == 0 else "")
    write_set(folder / "transparency.json", 2, lambda box: "")
    make_detector(folder / "detector")
    make_features(folder)
    return folder


def write_set(path, negatives, ending):
    """Six boxes, two an image, whose captions name a colour; `ending` lengthens some."""
    annotations, categories = [], []
    for box in range(6):
        ids = [100 * box + i for i in range(1 + negatives)]
        words = np.roll(COLOURS, box)[: 1 + negatives]
        # Beyond the context, so that there the captions differ in nothing that is read.
        names = [f"a cup{ending(box)} {w}" if ending(box) else f"a {w} cup {box}" for w in words]
        categories += [{"id": i, "name": name} for i, name in zip(ids, names, strict=True)]
        annotations.append({
            "id": box, "image_id": box // 2, "bbox": [2 + 3 * (box % 2), 1, 20, 25 + box],
            "category_id": ids[0], "neg_category_ids": ids[1:],
        })  # fmt: skip
    images = [
        {"id": i, "file_name": f"{i}.png", "width": 40 + 16 * i, "height": 40} for i in range(3)
    ]
    content = {"images": images, "annotations": annotations, "categories": categories}
    path.write_text(json.dumps(content))


def make_detector(folder):
    shutil.copytree(GOLDEN / "owlvit", folder)
    tokenizer = train_tokenizer([f"a cup{LONG}", *COLOURS, "0 1 2 3 4 5"])
    tokenizer.save_pretrained(folder)
    tensors = load_file(folder / "model.safetensors")
    name = "owlvit.text_model.embeddings.token_embedding.weight"
    tensors[name] = RNG.standard_normal((len(tokenizer), 32)).astype(np.float32)
    save_file(tensors, folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["vocab_size"] = len(tokenizer)
    (folder / "config.json").write_text(json.dumps(config))


def make_features(folder, name="features", **data):
    table = read_fg_ovd(*(folder / f"{stem}.json" for stem in ("1_attributes", "transparency")))
    rows = np.arange(len(table.sets))
    origin = Origin({"name": "some CLIP"}, {}, "crop", 1.0, {**table.digests, **data})
    features = Features(
        images=RNG.standard_normal((len(rows), 8)).astype(np.float32),
        captions=RNG.standard_normal((len(table.texts), 8)).astype(np.float32),
        image_names=tuple(map(table.name, rows.tolist())),
        texts=table.texts,
        origin=origin,
        boxes=table,
        box_images=rows,
    )
    write_features(folder / name, features)


@pytest.fixture
def ranks(monkeypatch, tmp_path, capsys, world):
    """Run the command; returns (exit status, folder, standard error)."""

    def run(*arguments, out="run", annotations=("1_attributes", "transparency")):
        files = ",".join(str(world / f"{name}.json") for name in annotations)
        command = ["detector_ranks", "--model", str(world / "detector"), "--out"]
        command += [str(tmp_path / out), "--annotations", files, "--images", str(world)]
        monkeypatch.setattr("sys.argv", [*command, *arguments])
        with pytest.raises(SystemExit) as end:
            run_command(detector_ranks.Options, detector_ranks.main)
        return end.value.code, tmp_path / out, capsys.readouterr().err

    return run


def rows(folder):
    return pyarrow.parquet.read_table(folder / "scores.parquet").to_pylist()


def table_rows(folder, caption):
    """Cells of the report's table with this caption, row by row."""
    page = (folder / "report.html").read_text()
    (table,) = [t for t in re.findall(r"<table.*?</table>", page, re.S) if caption in t]
    found = re.findall(r"<tr.*?</tr>", table, re.S)
    cells = [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.S) for row in found]
    return [[html.unescape(re.sub("<.*?>", "", cell)).strip() for cell in row] for row in cells]


def test_ranks_on_all_boxes_and_on_those_that_are_read_in_full(ranks, world):
    status, out, _ = ranks("--clip-features", str(world / "features"))
    assert status == 0
    found = rows(out)
    assert len(found) == 6 * 4 + 6 * 3
    assert all(0 < row["corrected"] < 1 and 0 <= row["reference"] < 1 for row in found)
    means = table_rows(out, "Mean rank, as in the paper&#39;s table, all boxes")
    assert means[0] == ["model", "ties", "Hard", "Transparency", "mean of 2"]
    models = ["detector, corrected", "detector, reference", "some CLIP"]
    assert [row[0] for row in means[1:]] == [m for m in models for _ in "12"] + BELOW
    expected = []
    for box in range(6):
        own = [r for r in found if (r["set"], r["annotation"]) == ("1_attributes", box)]
        own = [row["corrected"] for row in sorted(own, key=lambda row: row["caption"])]
        expected.append(sum(score >= own[0] for score in own))
        # Cut after sixteen tokens, the captions of boxes 0 and 3 are all alike.
        assert (len(set(own)) == 1) == (box % 3 == 0)
    assert float(means[1][2]) == pytest.approx(np.mean(expected), abs=0.01)
    assert means[-3][2:4] == ["2.50", "2.00"] and means[-1][2:4] == ["6", "6"]
    short = table_rows(out, "Mean rank, as in the paper&#39;s table, boxes with short captions")
    assert float(short[1][2]) == pytest.approx(
        np.mean([expected[b] for b in (1, 2, 4, 5)]), abs=0.01
    )
    assert short[5][0] == "some CLIP" and short[-1][2:4] == ["4", "6"]
    cut = table_rows(out, "Captions over 16 tokens")
    assert cut[1] == ["1_attributes", "6", "2", "33.3%", "2"]
    assert cut[2] == ["transparency", "6", "0", "0.0%", "0"]
    tests = table_rows(out, "Rank of the first model minus rank of the second, all boxes")
    assert len(tests) == 1 + 2 * 3
    assert json.loads((out / "run.json").read_text())["status"] == "done"


def test_each_image_and_caption_is_encoded_once(ranks, monkeypatch):
    encoded, texts = [], []
    stream, embed = detector_ranks.stream_detector_scores, detector_ranks.embed_texts

    def counting(batches, *rest):
        for batch, scores in stream(batches, *rest):
            encoded.append(batch.indices)
            yield batch, scores

    def counting_texts(clip, tokens):
        texts.append(len(tokens.ids))
        return embed(clip, tokens)

    monkeypatch.setattr(detector_ranks, "stream_detector_scores", counting)
    monkeypatch.setattr(detector_ranks, "embed_texts", counting_texts)
    status, out, _ = ranks("--rule", "corrected")
    assert status == 0
    assert sorted(encoded) == [(0,), (1,), (2,)]
    distinct = {row["caption"] for row in rows(out)}
    assert distinct == {0, 1, 2, 3} and len(texts) == 1 and texts[0] < 6 * 4 + 6 * 3
    assert "reference" not in rows(out)[0]


def test_an_interrupted_run_goes_on(ranks, monkeypatch):
    whole = rows(ranks("--rules", "corrected", out="whole")[1])
    real, calls = detector_ranks.stream_detector_scores, []

    def failing(*rest):
        for number, item in enumerate(real(*rest)):
            if number == 1 and not calls:
                calls.append("failed")
                raise OSError(28, "No space left on device")
            yield item

    monkeypatch.setattr(detector_ranks, "stream_detector_scores", failing)
    status, out, error = ranks("--rules", "corrected")
    assert status == 1 and "1 of 3 images" in error
    assert ranks("--rules", "corrected")[0] == 0
    assert rows(out) == whole


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rules", "best"], "'best' is not one of corrected, reference"),
        (["--rules", "corrected,corrected"], "--rules: a rule is given twice"),
        (["--model", str(GOLDEN / "hf_gelu")], "model_type = 'clip'"),
        (["--annotations", "demo"], "takes no others and no --images"),
        (["--images", "nowhere"], "nowhere"),
        (["--clip-features", "nowhere"], "nowhere: no features.json"),
    ],
)
def test_bad_input_is_one_line(ranks, arguments, message):
    status, out, error = ranks(*arguments)
    assert status == 2 and error.count("\n") == 1
    assert message in error
    assert not out.exists()


def test_features_of_other_files_are_refused(ranks, world):
    make_features(world, "others", transparency="0" * 64)
    status, _, error = ranks("--clip-features", str(world / "others"))
    assert status == 2
    assert "some CLIP are not of transparency.json as it is here" in error
