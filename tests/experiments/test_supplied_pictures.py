"""Any encoder meets hard negatives and classes, by an exported folder and in Python."""

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from histogram_encoder import Histogram, columns, cosine, embed
from PIL import Image

import jclip
from experiments import export_views, hard_negatives, zero_shot
from jclip.text.templates import SIMPLE

LAYOUTS = Path(__file__).parents[1] / "golden" / "foils" / "layouts"
ENCODER = Histogram()


def rows(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def paint(path, rng, size=(200, 260)):
    path.parent.mkdir(exist_ok=True, parents=True)
    pixels = rng.integers(0, 40, (*size, 3)) + rng.integers(0, 200, 3)
    Image.fromarray(pixels.astype(np.uint8)).save(path)


@pytest.fixture
def foils(tmp_path):
    """Whole pictures, boxes of them, and two pictures with two captions; options, and the pairs."""
    rng, pairs = np.random.default_rng(5), {}

    def read(kind, name):
        (tmp_path / kind).mkdir(exist_ok=True)
        text = (LAYOUTS / kind / name).read_text()
        (tmp_path / kind / name).write_text(text)
        return json.loads(text)

    def show(kind, file):
        if not (path := tmp_path / kind / file).exists():
            paint(path, rng)
        return Image.open(path).convert("RGB")

    for key, record in read("sugar_crepe", "swap_obj.json").items():
        picture = show("sugar_crepe", record["filename"])
        texts = record["caption"], record["negative_caption"]
        pairs["sugar_crepe/swap_obj", key] = [picture], texts
    for key, record in enumerate(read("aro", "visual_genome_relation.json")):
        x, y, w, h = (record[f"bbox_{side}"] for side in "xywh")
        picture = show("aro", record["image_path"]).crop((x, y, x + w, y + h))
        texts = record["true_caption"], record["false_caption"]
        pairs["aro/visual_genome_relation", str(key)] = [picture], texts
    for record in read("colorswap", "test.json"):
        own = [show("colorswap", record[f"image_{n}"]) for n in (1, 2)]
        texts = record["caption_1"], record["caption_2"]
        pairs["colorswap/test", str(record["id"])] = own, texts
    sets = ",".join(f"{kind}:{tmp_path / kind}" for kind in ("sugar_crepe", "aro", "colorswap"))
    return ("--sets", sets, "--unwinnable", "reference"), pairs


def test_hard_negatives(run_experiment, foils):
    options, pairs = foils
    exported = run_experiment(export_views, "hard_negatives", *options, out="views")
    assert exported.status == 0 and "texts for hard_negatives" in exported.out, exported.err
    embed(views := exported.folder)
    ended = run_experiment(hard_negatives, *options, "--embeddings", views)
    assert ended.status == 0, ended.err
    table = pyarrow.parquet.read_table(ended.folder / "scores.parquet").to_pylist()
    assert {(row["set"], row["record"]) for row in table} == {*pairs}
    shown = [(pairs[row["set"], row["record"]], row) for row in table]
    pictures = [own[row["picture"]] for (own, _), row in shown]
    texts = [own[row["text"]] for (_, own), row in shown]
    found = np.array([row["score"] for row in table])
    given = jclip.score(ENCODER, [np.asarray(picture) for picture in pictures], texts)
    np.testing.assert_allclose(100 * found, given, atol=1e-4)
    expected = cosine(ENCODER.encode_image(pictures), ENCODER.encode_text(texts))
    np.testing.assert_allclose(100 * found, expected, atol=1e-4)
    assert np.ptp(found) > 0.05
    summary = rows(ended.folder / "summary.csv")
    assert all(row["model"] == "colour histogram" and row["shuffled"] for row in summary)
    identity = json.loads((ended.folder / "run.json").read_text())["identity"]
    assert identity["fits"] == {"colour histogram": "supplied"}
    assert identity["precision"] == "supplied"
    page = (ended.folder / "report.html").read_text()
    assert "embeddings were supplied by another program: fit, resolution" in page


def test_a_model_of_ours_scores_the_same_from_outside(run_experiment, foils):
    """What is exported, boxes too, is what the experiment shows its own networks."""
    options, model = foils[0], jclip.load("demo")

    class Wrapped:
        def encode_image(self, images):
            return model.embed_images(images)

        def encode_text(self, texts):
            return model.embed_texts(texts)

    views = run_experiment(export_views, "hard_negatives", *options, out="views").folder
    jclip.embed_folder(Wrapped(), views)
    outside = run_experiment(hard_negatives, *options, "--embeddings", views, out="outside")
    own = run_experiment(hard_negatives, *options, out="own")
    found, expected = (
        pyarrow.parquet.read_table(ended.folder / "scores.parquet")["score"].to_numpy()
        for ended in (outside, own)
    )
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_foils_by_scores_that_are_no_cosine(run_experiment, foils):
    """The same numbers as `scores`; the control with other pictures is left out, and it is said."""
    options, _ = foils
    exported = run_experiment(export_views, "hard_negatives", *options, out="views")
    embed(views := exported.folder)
    files, texts = columns(views / "images.csv", "file"), columns(views / "texts.csv", "text")
    values = cosine(
        ENCODER.encode_image([Image.open(views / file) for file in files])[:, None],
        ENCODER.encode_text(texts)[None],
    )
    table = {
        "file": np.repeat(files, len(texts)),
        "text": np.tile(texts, len(files)),
        "score": values.ravel() / 100,
    }
    (views / "scored").mkdir()
    pyarrow.parquet.write_table(pa.table(table), views / "scored" / "scores.parquet")
    ended = run_experiment(hard_negatives, *options, "--embeddings", f"{views},{views / 'scored'}")
    assert ended.status == 0, ended.err
    scores = pyarrow.parquet.read_table(ended.folder / "scores.parquet")["score"].to_numpy()
    first, second = np.split(scores, 2)
    np.testing.assert_allclose(first, second, atol=1e-6)
    assert "scored: scores of captions with other pictures were not supplied" in ended.out
    summary = rows(ended.folder / "summary.csv")
    assert {row["model"]: bool(row["shuffled"]) for row in summary} == {
        "colour histogram": True,
        "scored": False,
    }
    short = {name: column[1:] for name, column in table.items()}
    pyarrow.parquet.write_table(pa.table(short), views / "scored" / "scores.parquet")
    ended = run_experiment(hard_negatives, *options, "--embeddings", views / "scored", out="short")
    assert ended.status == 2 and f"no score of {files[0]}" in ended.err


@pytest.fixture
def classes(tmp_path):
    folder, rng = tmp_path / "classes", np.random.default_rng(6)
    for name in ("red_cup", "ball", "cube", "ring", "cone", "disc", "rod"):
        for number in range(4):
            paint(folder / name / f"{number}.png", rng, size=(40, 60))
    return folder


def test_zero_shot(run_experiment, classes, tmp_path):
    options = ("--images", classes)
    exported = run_experiment(export_views, "zero_shot", *options, out="views")
    assert exported.status == 0 and "28 views and 42 texts for zero_shot" in exported.out
    embed(views := exported.folder)
    ended = run_experiment(zero_shot, *options, "--embeddings", views)
    assert ended.status == 0, ended.err
    table = pyarrow.parquet.read_table(ended.folder / "images.parquet")
    names = sorted(path.name.replace("_", " ") for path in classes.iterdir())
    files = [classes / name for name in table["image"].to_pylist()]
    scores = jclip.zero_shot(ENCODER, files, names, SIMPLE)
    assert table["predicted"].to_pylist() == [names[row] for row in scores.argmax(axis=1)]
    labels = [names.index(name) for name in table["class"].to_pylist()]
    ranks = (scores >= scores[np.arange(28), labels][:, None]).sum(axis=1)
    assert table["rank"].to_pylist() == ranks.tolist() and len({*ranks.tolist()}) > 2
    top, five = rows(ended.folder / "accuracy.csv")
    assert float(top["right"]) == pytest.approx(100 * np.mean(ranks == 1))
    assert float(five["right"]) == pytest.approx(100 * np.mean(ranks <= 5))
    # There is no other way to load what is supplied.
    assert rows(ended.folder / "loading.csv") == []
    page = (ended.folder / "report.html").read_text()
    assert "embeddings were supplied by another program: fit, resolution" in page


def test_a_checkpoint_stands_beside(run_experiment, classes):
    options = ("--images", classes)
    views = run_experiment(export_views, "zero_shot", *options, out="views").folder
    embed(views)
    model = ("--model", "tests/golden/hf_full", "--loading-check", "off")
    ended = run_experiment(zero_shot, *options, *model, "--embeddings", views)
    assert ended.status == 0, ended.err
    models = [row["model"] for row in rows(ended.folder / "accuracy.csv")]
    assert models == ["hf_full"] * 2 + ["colour histogram"] * 2


def test_the_demo_world(run_experiment):
    """Pictures that are made in the run's folder are the exported ones."""
    shared = {hard_negatives: ("--demo-scenes", 8), zero_shot: ("--demo-scenes", 64)}
    for module, options in shared.items():
        name = module.__name__.rpartition(".")[2]
        exported = run_experiment(export_views, name, *options, out=f"{name}-views")
        assert exported.status == 0, exported.err
        embed(exported.folder)
        ended = run_experiment(module, *options, "--embeddings", exported.folder, out=f"{name}-run")
        assert ended.status == 0, ended.err
        identity = json.loads((ended.folder / "run.json").read_text())["identity"]
        assert identity["models"] == {"colour histogram": "supplied"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--fit", "crop"), "fit: how images are fitted is the supplied embeddings' own"),
        (("--templates", "TEMPLATES"), "of another plan"),
        (("--adapter", "here"), "adapter: of checkpoints, and embeddings are supplied"),
        (("--embeddings", "SCORES"), "scores, and a class is the mean of its prompts' embeddings"),
    ],
)
def test_classes_refused_before_anything_is_computed(
    run_experiment, classes, tmp_path, options, words
):
    views = run_experiment(export_views, "zero_shot", "--images", classes, out="views").folder
    embed(views)
    (tmp_path / "templates.txt").write_text("a {}\n")
    (views / "scored").mkdir()
    file, text = columns(views / "images.csv", "file")[0], columns(views / "texts.csv", "text")[0]
    (views / "scored" / "scores.csv").write_text(f"file,text,score\n{file},{text},1\n")
    meant = {"TEMPLATES": tmp_path / "templates.txt", "SCORES": views / "scored"}
    options = [meant.get(option, option) for option in options]
    given = () if "--embeddings" in options else ("--embeddings", views)
    ended = run_experiment(zero_shot, "--images", classes, *given, *options)
    assert ended.status == 2 and words in ended.err and ended.err.count("\n") == 1
    assert not ended.folder.exists()


def test_foils_refused_before_anything_is_computed(run_experiment, foils, tmp_path):
    options, _ = foils
    views = run_experiment(export_views, "hard_negatives", *options, out="views").folder
    embed(views)
    run = (*options, "--embeddings", views)
    ended = run_experiment(hard_negatives, *run, "--head", tmp_path / "head.safetensors")
    assert ended.status == 2 and "head: of checkpoints, and embeddings are supplied" in ended.err
    ended = run_experiment(hard_negatives, *run, "--fit", "squash")
    assert ended.status == 2 and "how images are fitted is the supplied" in ended.err
    Image.new("RGB", (90, 90)).save(tmp_path / "colorswap" / "images" / "img_0_1.png")
    ended = run_experiment(hard_negatives, *run)
    assert ended.status == 2 and "of another plan" in ended.err
    assert not ended.folder.exists()
