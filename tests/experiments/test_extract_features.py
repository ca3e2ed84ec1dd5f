"""Feature extraction as a person runs it."""

import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from experiments import extract_features
from jclip.checkpoints import load_checkpoint
from jclip.data.features import read_features
from jclip.images import normalise
from jclip.images.boxes import fit_square
from jclip.runs import embedded as embedded_by_runs
from jclip.runs.boxes import rendered
from jclip.runs.command import run_command

MODEL = str(Path(__file__).parents[1] / "golden" / "hf_full")
BOXES = [[2.0, 3.0, 30.5, 20.0], [0, 0, 48, 40], [10, 5, 12, 30], [1, 1, 9, 9]]


@pytest.fixture
def data(tmp_path):
    """Images, two annotation files that share boxes and captions, and a file of captions."""
    folder = tmp_path / "images"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(4):
        Image.fromarray(rng.integers(0, 256, (40, 48, 3), np.uint8)).save(folder / f"{i}.png")
    words = ["red", "blue", "green", "white", "black"]
    for name, negatives in (("1_attributes", [1, 2, 3]), ("color", [4])):
        content = {
            "images": [{"id": i, "file_name": f"{i}.png", "width": 48, "height": 40}
                       for i in range(4)],
            "annotations": [
                {"id": i, "image_id": i, "bbox": box, "category_id": 0,
                 "neg_category_ids": negatives}
                for i, box in enumerate(BOXES)
            ],
            "categories": [{"id": i, "name": f"a {w} cup"} for i, w in enumerate(words)],
        }  # fmt: skip
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    pairs = [
        {"imgid": i, "filename": f"{i}.png", "split": "test" if i else "train",
         "sentences": [{"sentid": 2 * i + j, "raw": f"a {words[i + j]} cup"} for j in (0, 1)]}
        for i in range(4)
    ]  # fmt: skip
    (tmp_path / "coco.json").write_text(json.dumps({"images": pairs}))
    return tmp_path


@pytest.fixture
def extract(monkeypatch, data, capsys):
    """Run the command; returns (exit status, folder, standard error)."""

    def run(*arguments, out="run"):
        command = ["extract_features", "--model", MODEL, "--out", str(data / out), *arguments]
        monkeypatch.setattr("sys.argv", command)
        with pytest.raises(SystemExit) as end:
            run_command(extract_features.Options, extract_features.main)
        return end.value.code, data / out, capsys.readouterr().err

    return run


@pytest.fixture
def boxes(data):
    files = ",".join(str(data / f"{name}.json") for name in ("1_attributes", "color"))
    return ["--annotations", files, "--images", str(data / "images")]


@pytest.fixture(scope="module")
def checkpoint():
    return load_checkpoint(MODEL)


def embed_box(checkpoint, path, box, fit="crop"):
    x1, y1, x2, y2 = box
    config = checkpoint.image_config
    square = fit_square(np.asarray(Image.open(path))[y1:y2, x1:x2], config.size, fit)
    pixels = normalise(jnp.asarray(square[None]), config.mean, config.std)
    return np.asarray(checkpoint.clip.encode_image(pixels))[0]


def test_boxes_and_captions_are_embedded_once(extract, boxes, data, checkpoint):
    status, out, _ = extract(*boxes)
    assert status == 0
    features = read_features(out)
    assert features.counts == {"images": 4, "captions": 5, "1_attributes": 4, "color": 4}
    sets, rows = features.boxes.sets, features.box_images
    row = rows[sets == "color"][0]
    assert row == rows[sets == "1_attributes"][0]
    expected = embed_box(checkpoint, data / "images" / "0.png", (2, 3, 33, 23))
    np.testing.assert_allclose(features.images[row], expected, atol=2e-5)
    ids = checkpoint.tokenizer(list(features.texts)).ids
    said = np.asarray(checkpoint.clip.encode_text(ids))
    np.testing.assert_allclose(features.captions, said, atol=2e-5)
    origin = features.origin
    assert list(origin.model["weights"]) == ["model.safetensors"]
    assert (origin.fit, origin.box_scale, origin.preprocessing["size"]) == ("crop", 1.0, 64)
    assert set(origin.data) == {"1_attributes", "color", "images"}
    assert json.loads((out / "run.json").read_text())["status"] == "done"


def test_fit_and_scale_change_the_squares(extract, boxes, data, checkpoint):
    _, out, _ = extract(*boxes, "--fit", "squash", "--box-scale", "2")
    features = read_features(out)
    row = features.box_images[features.boxes.sets == "color"][3]
    # 9 becomes 18, moved by 9 // 2 = 4 beyond the border.
    expected = embed_box(checkpoint, data / "images" / "3.png", (0, 0, 15, 15), "squash")
    np.testing.assert_allclose(features.images[row], expected, atol=2e-5)


def test_whole_images_of_some_splits(extract, data):
    arguments = ("--coco", str(data / "coco.json"), "--images", str(data / "images"))
    status, out, _ = extract(*arguments, "--splits", "test")
    assert status == 0
    features = read_features(out)
    assert (features.kind, features.splits) == ("coco", ("test",) * 3)
    np.testing.assert_array_equal(features.caption_images, [0, 0, 1, 1, 2, 2])
    np.testing.assert_array_equal(features.captions[1], features.captions[2])
    assert features.texts[1] == features.texts[2] == "a green cup"


def test_captions_of_an_image_can_be_cut_as_in_the_papers_code(extract, data):
    arguments = ("--coco", str(data / "coco.json"), "--images", str(data / "images"))
    status, out, said = extract(*arguments, "--splits", "test", "--captions-per-image", "1")
    assert status == 0 and "captions: 100%" in said and "captions/s" in said
    features = read_features(out)
    np.testing.assert_array_equal(features.caption_images, [0, 1, 2])
    (fault,) = json.loads((out / "run.json").read_text())["faults"]
    assert fault["choice"] == "reference" and fault["meaning"] == "at most 1 an image"


def test_an_interrupted_run_goes_on(extract, boxes, monkeypatch):
    whole = read_features(extract(*boxes, out="whole")[1])
    real, seen = embedded_by_runs.stream_square_embeddings, []

    def failing(*arguments):
        for number, (batch, values) in enumerate(real(*arguments)):
            if number == 1 and "failed" not in seen:
                seen.append("failed")
                raise OSError(28, "No space left on device")
            seen.extend(batch.indices)
            yield batch, values

    monkeypatch.setattr(embedded_by_runs, "stream_square_embeddings", failing)
    arguments = (*boxes, "--batch-size", "2")
    status, out, error = extract(*arguments)
    assert status == 1 and "2 of 4 images" in error
    assert extract(*arguments)[0] == 0
    assert seen == [0, 1, "failed", 2, 3]
    resumed = read_features(out)
    np.testing.assert_allclose(resumed.images, whole.images, atol=2e-5)
    np.testing.assert_array_equal(resumed.box_images, whole.box_images)
    assert extract(*arguments)[0] == 0
    assert len(seen) == 5
    np.testing.assert_array_equal(read_features(out).images, resumed.images)


def test_an_image_that_cannot_be_decoded(extract, boxes, data):
    path = data / "images" / "2.png"
    path.write_bytes(path.read_bytes()[:400])
    status, out, error = extract(*boxes)
    assert status == 1 and "2.png: cannot be decoded" in error
    status, out, error = extract(*boxes, "--on-error", "record")
    assert status == 3
    features = read_features(out)
    assert features.counts == {"images": 3, "captions": 5, "1_attributes": 3, "color": 3}
    color = features.boxes.sets == "color"
    np.testing.assert_array_equal(features.boxes.annotations[color], [0, 1, 3])
    assert "2.png [10.0, 5.0, 12.0, 30.0]" in (out / "failures.csv").read_text()


def test_the_demo_world_is_written_once(extract, tmp_path):
    written = []

    def write(folder):
        written.append(folder)
        folder.mkdir()

    for _ in range(2):
        assert rendered(tmp_path, write, 7) == tmp_path / "demo"
    assert len(written) == 1 and (tmp_path / "demo").is_dir()
    arguments = ("--coco", "demo", "--demo-scenes", "3", "--demo-split", "validation")
    status, out, _ = extract(*arguments)
    assert status == 0 and read_features(out).splits == ("val",) * 3
    before = (out / "demo" / "captions.json").stat()
    assert extract(*arguments)[0] == 0
    assert (out / "demo" / "captions.json").stat().st_mtime_ns == before.st_mtime_ns


def test_the_checkpoints_own_fit_is_the_default(extract, boxes):
    status, out, _ = extract(*boxes)
    assert status == 0 and read_features(out).origin.fit == "crop"
    assert json.loads((out / "run.json").read_text())["identity"]["fit"] == "crop"
    # The same run by its name.
    assert extract(*boxes, "--fit", "crop")[0] == 0
    status, _, error = extract(*boxes, "--fit", "pad")
    assert status == 2 and "fit was 'crop', is 'pad'" in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "one of both"),
        (["--annotations", "x.json"], "--images: name the folder"),
        (["--annotations", "x.json", "--images", "."], "x.json: no such annotation file"),
        (["--annotations", "gs://a/x.json", "--images", "."], "gs://a/x.json is the address"),
        (["--annotations", "x", "--images", ".", "--captions-per-image", "5"], "only of --coco"),
        (["--coco", "x", "--images", ".", "--captions-per-image", "0"], "1 or more"),
        (["--annotations", "demo,x.json"], "demo: makes its own files"),
        (["--annotations", "demo", "--splits", "test"], "takes no others"),
        (["--annotations", "x", "--images", ".", "--splits", "test"], "only --coco has splits"),
        (
            ["--annotations", "demo", "--models", f"{MODEL},random:ViT-B-32"],
            "features are of one model",
        ),
    ],
)
def test_bad_input_is_one_line(extract, arguments, message):
    status, out, error = extract(*arguments)
    assert status == 2 and error.count("\n") == 1
    assert message in error
    assert not out.exists()
