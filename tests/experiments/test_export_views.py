"""Any encoder goes through every probe, by an exported folder and in Python, with equal numbers."""

import csv
import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from histogram_encoder import Histogram, columns, cosine, embed
from PIL import Image

import jclip
from experiments import (
    export_views,
    fine_grained_eval,
    keyword_probe,
    retrieval_eval,
    shift_sweep,
)

ENCODER = Histogram()
# Of float32 against float64.
CLOSE = {"atol": 1e-4}


def rows(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def pictures(folder):
    return [np.asarray(Image.open(path)) for path in sorted(folder.glob("*.png"))]


@pytest.fixture
def photos(tmp_path):
    """Coloured pictures, boxes on them in FG-OVD's format, and captions in Karpathy's."""
    folder, rng = tmp_path / "photos", np.random.default_rng(3)
    folder.mkdir()
    words = ["red", "green", "blue", "grey", "white", "black", "pink", "brown", "gold"]
    images, annotations, karpathy = [], [], []
    for n in range(9):
        pixels = rng.integers(0, 40, (40, 60, 3)) + rng.integers(0, 200, 3)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{n}.png")
        images.append({"id": n, "file_name": f"{n}.png", "width": 60, "height": 40})
        annotations += [
            {"id": 10 * n + k, "image_id": n, "bbox": [3 + k, 4.5, 20.25, 30], "category_id": n,
             "neg_category_ids": [m for m in range(9) if m != n]}
            for k in range(2)
        ]  # fmt: skip
        sentences = [
            {"raw": text, "sentid": 2 * n + k, "imgid": n}
            for k, text in enumerate((f"a {words[n]} thing", f"some {words[n]} things"))
        ]
        karpathy.append({"imgid": n, "filename": f"{n}.png", "split": "test" if n < 6 else "val",
                         "sentids": [2 * n, 2 * n + 1], "sentences": sentences})  # fmt: skip
    categories = [{"id": n, "name": f"a {word} cup"} for n, word in enumerate(words)]
    coco = {"images": images, "annotations": annotations, "categories": categories}
    (tmp_path / "1_attributes.json").write_text(json.dumps(coco))
    (tmp_path / "karpathy.json").write_text(json.dumps({"images": karpathy}))
    return folder


def test_shift_sweep(run_experiment, panorama_folder):
    folder = panorama_folder([f"{i}.png" for i in range(8)], size=(66, 32))
    options = ("--images", folder, "--shifts", 4, "--beta", "flip")
    exported = run_experiment(export_views, "shift_sweep", *options, out="views")
    assert exported.status == 0 and "40 views and 8 texts for shift_sweep" in exported.out
    embed(exported.folder)
    ended = run_experiment(shift_sweep, *options, "--embeddings", exported.folder)
    assert ended.status == 0, ended.err
    table = pyarrow.parquet.read_table(ended.folder / "scores.parquet")
    assert set(table["model"].to_pylist()) == {"colour histogram"}
    assert set(table["fit"].to_pylist()) == {"supplied"}
    found = table["score"].to_numpy().reshape(8, 4)
    captions = [f"This is {text}" for text in columns(folder / "captions.csv", "caption")]
    given = jclip.shift_scores(ENCODER, pictures(folder), captions, shifts=4)
    np.testing.assert_allclose(found, given, **CLOSE)
    texts = ENCODER.encode_text(captions)
    turned = [np.roll(pixels, k * 66 // 4, axis=1) for pixels in pictures(folder) for k in range(4)]
    expected = cosine(ENCODER.encode_image(turned).reshape(8, 4, -1), texts[:, None])
    np.testing.assert_allclose(found, expected, **CLOSE)
    flipped = ENCODER.encode_image([pixels[:, ::-1] for pixels in pictures(folder)])
    mirrored = table["mirrored_score"].to_numpy(zero_copy_only=False)[::4]
    np.testing.assert_allclose(mirrored, cosine(flipped, texts), **CLOSE)
    assert np.ptp(found, axis=1).max() > 0.1
    page = (ended.folder / "report.html").read_text()
    assert "Its embeddings were supplied by another program: fit, resolution" in page
    record = json.loads((ended.folder / "run.json").read_text())
    identity = record["identity"]
    assert identity["models"] == {"colour histogram": "supplied"}
    assert identity["precision"] == identity["fits"] == "supplied"
    # Neither was a choice of this run's.
    faults = {fault["fault"] for fault in record["faults"]}
    assert not faults & {"the centre crop keeps half of a panorama",
                         "activation other than the checkpoint's own"}  # fmt: skip
    assert len(rows(ended.folder / "statistics.csv")) == 3


def test_keyword_probe(run_experiment, panorama_folder):
    folder = panorama_folder([f"{i}.png" for i in range(3)])
    options = ("--images", folder, "--identifiers", "a 360 photo of,a panorama of",
               "--generics", "a photo of")  # fmt: skip
    exported = run_experiment(export_views, "keyword_probe", *options, out="views")
    assert "3 views and 9 texts" in exported.out
    embed(exported.folder)
    ended = run_experiment(keyword_probe, *options, "--embeddings", exported.folder)
    assert ended.status == 0, ended.err
    table = pyarrow.parquet.read_table(ended.folder / "scores.parquet")
    contents = columns(folder / "captions.csv", "caption")
    for number, words in enumerate(("a 360 photo of", "a panorama of", "a photo of")):
        prompts = [f"This is {words} {content}" for content in contents]
        given = jclip.score(ENCODER, pictures(folder), prompts)
        np.testing.assert_allclose(table["score"].to_numpy()[number::3], given, **CLOSE)
    assert (ended.folder / "report.html").stat().st_size > 10_000


def test_ranks(run_experiment, photos, tmp_path):
    annotations = tmp_path / "1_attributes.json"
    options = ("fine_grained_eval", "--annotations", annotations, "--images", photos)
    exported = run_experiment(export_views, *options, out="views")
    assert exported.status == 0 and "18 views and 9 texts" in exported.out, exported.err
    embed(exported.folder)
    ended = run_experiment(fine_grained_eval, "--embeddings", exported.folder)
    assert ended.status == 0, ended.err
    found = pyarrow.parquet.read_table(ended.folder / "ranks.parquet").to_pylist()
    coco = json.loads(annotations.read_text())
    texts = [category["name"] for category in coco["categories"]]
    for box in coco["annotations"]:
        own = [texts[box["category_id"]], *(texts[n] for n in box["neg_category_ids"])]
        image = photos / f"{box['image_id']}.png"
        (rank,) = jclip.caption_ranks(ENCODER, image, [box["bbox"]], [own])
        kept = [row["rank_ties_averaged"] for row in found if row["annotation"] == box["id"]]
        assert kept[-1] == rank
    assert "colour histogram · supplied: mean rank" in ended.out
    assert len({row["rank"] for row in found}) > 2


def test_retrieval(run_experiment, photos, tmp_path):
    options = ("retrieval_eval", "--coco", tmp_path / "karpathy.json", "--images", photos)
    exported = run_experiment(export_views, *options, out="views")
    assert exported.status == 0 and "9 views and 18 texts" in exported.out, exported.err
    jclip.embed_folder(ENCODER, exported.folder)
    ended = run_experiment(retrieval_eval, "--embeddings", exported.folder)
    assert ended.status == 0, ended.err
    images = ENCODER.encode_image(pictures(photos)[:6])
    texts = ENCODER.encode_text(columns(exported.folder / "texts.csv", "text")[:12])
    scores = cosine(images[:, None], texts[None])
    own = np.repeat(np.eye(6, dtype=bool), 2, axis=1)
    best = np.where(own, scores, -np.inf).max(axis=1)
    to_text = 1 + ((scores >= best[:, None]) & ~own).sum(axis=1)
    right = scores.T[np.arange(12), np.arange(12) // 2]
    to_image = (scores.T >= right[:, None]).sum(axis=1)
    assert [float(row["mean_rank"]) for row in rows(ended.folder / "retrieval.csv")] == (
        pytest.approx([to_text.mean(), to_image.mean()])
    )


def test_scores_that_are_no_cosine(run_experiment, photos, panorama_folder, tmp_path):
    """The same numbers as `scores`: every probe finds the same."""
    folder = panorama_folder(["0.png", "1.png"])
    karpathy, boxes = tmp_path / "karpathy.json", tmp_path / "1_attributes.json"
    probes = {
        shift_sweep: ("--images", folder, "--shifts", 3, "--beta", "None"),
        fine_grained_eval: ("--annotations", boxes, "--images", photos),
        retrieval_eval: ("--coco", karpathy, "--images", photos),
    }
    tables = {shift_sweep: "scores", fine_grained_eval: "ranks", retrieval_eval: "retrieval"}
    for number, (module, options) in enumerate(probes.items()):
        name = module.__name__.rpartition(".")[2]
        exported = run_experiment(export_views, name, *options, out=f"views-{number}")
        assert exported.status == 0, exported.err
        embed(views := exported.folder)
        files, texts = columns(views / "images.csv", "file"), columns(views / "texts.csv", "text")
        values = cosine(
            ENCODER.encode_image([Image.open(views / file) for file in files])[:, None],
            ENCODER.encode_text(texts)[None],
        ).astype(np.float32)
        scored = views / "scored"
        scored.mkdir()
        table = {
            "file": np.repeat(files, len(texts)),
            "text": np.tile(texts, len(files)),
            "score": values.ravel(),
        }
        pyarrow.parquet.write_table(pa.table(table), scored / "scores.parquet")
        more = options if module is shift_sweep else ()
        ended = run_experiment(
            module, *more, "--embeddings", f"{views},{scored}", out=f"run-{number}"
        )
        assert ended.status == 0, ended.err + "".join(
            p.read_text() for p in ended.folder.glob("tr*")
        )
        found = pyarrow.parquet.read_table(ended.folder / f"{tables[module]}.parquet").to_pylist()
        first, second = found[: len(found) // 2], found[len(found) // 2 :]
        assert first[0]["model"].startswith("colour histogram")
        assert second[0]["model"].startswith("scored") and len(first) == len(second)
        for one, other in zip(first, second, strict=True):
            assert one | {"model": ""} == pytest.approx(other | {"model": ""}, abs=1e-4)
        assert "Its scores, which need be no cosine, were supplied" in ended.out


def test_a_model_of_ours_scores_the_same_from_outside(run_experiment, panorama_folder, tmp_path):
    """What is exported is what the sweep shows its own networks."""
    model = jclip.load("demo")

    class Wrapped:
        name = "wrapped"

        def encode_image(self, images):
            return model.embed_images(images, fit="squash")

        def encode_text(self, texts):
            return model.embed_texts(texts)

    folder = panorama_folder([f"{i}.png" for i in range(4)])
    options = ("--images", folder, "--shifts", 4, "--beta", "None")
    views = run_experiment(export_views, "shift_sweep", *options, out="views").folder
    jclip.embed_folder(Wrapped(), views, views / "wrapped")
    outside = run_experiment(
        shift_sweep, *options, "--embeddings", views / "wrapped", out="outside"
    )
    own = run_experiment(shift_sweep, *options, "--fits", "squash", out="own")
    found, expected = (
        pyarrow.parquet.read_table(ended.folder / "scores.parquet")["score"].to_numpy()
        for ended in (outside, own)
    )
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_a_checkpoint_stands_beside(run_experiment, panorama_folder):
    folder = panorama_folder()
    options = ("--images", folder, "--shifts", 2, "--beta", "None")
    views = run_experiment(export_views, "shift_sweep", *options, out="views").folder
    embed(views)
    model = "tests/golden/hf_full"
    ended = run_experiment(
        shift_sweep, *options, "--model", model, "--fits", "squash", "--embeddings", views
    )
    assert ended.status == 0, ended.err
    labels = [(row["model"], row["fit"]) for row in rows(ended.folder / "summary.csv")]
    assert labels == [("hf_full", "squash"), ("colour histogram", "supplied")]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--shifts", "3"), "of another plan"),
        (("--prompt-prefix", "Look: "), "of another plan"),
        (("--fits", "crop"), "fits: how images are fitted is the supplied embeddings' own"),
        (("--orbit", "2"), "orbit: means over it are not made of views that are exported"),
        (("--adapter", "here"), "adapter: of checkpoints, and embeddings are supplied"),
    ],
)
def test_refused_before_anything_is_computed(run_experiment, panorama_folder, options, words):
    folder = panorama_folder()
    shared = ("--images", folder, "--shifts", 2, "--beta", "None")
    views = run_experiment(export_views, "shift_sweep", *shared, out="views").folder
    embed(views)
    ended = run_experiment(shift_sweep, *shared, *options, "--embeddings", views)
    assert ended.status == 2 and words in ended.err and ended.err.count("\n") == 1
    assert not ended.folder.exists()


def test_a_changed_picture_is_another_plan(run_experiment, panorama_folder):
    folder = panorama_folder()
    options = ("--images", folder, "--shifts", 2, "--beta", "None")
    views = run_experiment(export_views, "shift_sweep", *options, out="views").folder
    embed(views, metadata={"model": "h"})
    Image.fromarray(np.zeros((32, 64, 3), np.uint8)).save(folder / "a.png")
    ended = run_experiment(shift_sweep, *options, "--embeddings", views)
    assert ended.status == 2 and "plan.json: of another plan" in ended.err


def test_other_embeddings_into_the_same_run_are_refused(run_experiment, panorama_folder):
    folder = panorama_folder()
    options = ("--images", folder, "--shifts", 2, "--beta", "None")
    views = run_experiment(export_views, "shift_sweep", *options, out="views").folder
    embed(views)
    run = ("--embeddings", views)
    assert run_experiment(shift_sweep, *options, *run).status == 0
    assert run_experiment(shift_sweep, *options, *run).status == 0
    lines = (views / "texts.csv").read_text().splitlines()
    (views / "texts.csv").write_text("\n".join([lines[0], *lines[:0:-1]]) + "\n")
    ended = run_experiment(shift_sweep, *options, *run)
    assert ended.status == 2 and "embeddings of colour histogram was" in ended.err


def test_plans_of_another_kind_are_refused(run_experiment, photos, panorama_folder, tmp_path):
    folder = panorama_folder(["0.png", "1.png"])
    options = ("shift_sweep", "--images", folder, "--shifts", 2)
    views = run_experiment(export_views, *options, out="views").folder
    embed(views)
    ended = run_experiment(fine_grained_eval, "--embeddings", views)
    assert ended.status == 2 and "holds no plan of boxes or captions" in ended.err
    options = ("retrieval_eval", "--coco", tmp_path / "karpathy.json", "--images", photos)
    exported = run_experiment(export_views, *options, out="whole")
    assert exported.status == 0, exported.err
    embed(whole := exported.folder)
    ended = run_experiment(fine_grained_eval, "--embeddings", whole)
    assert ended.status == 2 and "boxes with negatives are needed" in ended.err
    shutil.rmtree(whole / "plan")
    ended = run_experiment(retrieval_eval, "--embeddings", whole)
    assert ended.status == 2 and "holds no plan of boxes or captions" in ended.err
