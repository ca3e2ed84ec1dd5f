"""Zero-shot classification as a person runs it, on the demo model."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

import jclip
from experiments import zero_shot
from jclip.demo.class_photos import write_class_photos
from jclip.text.templates import SIMPLE


def rows(folder, name):
    with (folder / f"{name}.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    write_class_photos(folder, 0, 64, size=64)
    return folder


def test_the_command_is_the_face_in_a_folder(run_experiment, photos):
    ended = run_experiment(zero_shot, "--images", photos)
    assert ended.status == 0
    files = sorted(photos.rglob("*.png"))
    classes = sorted(p.name for p in photos.iterdir())
    scores = jclip.zero_shot(jclip.load("demo"), files, classes, SIMPLE)
    labels = [classes.index(file.parent.name) for file in files]
    expected = 100 * np.mean(scores.argmax(axis=1) == labels)
    (top, five) = rows(ended.folder, "accuracy")
    assert float(top["right"]) == pytest.approx(expected)
    assert expected > 70 and float(five["right"]) >= expected
    (checked,) = rows(ended.folder, "loading")
    assert checked["loaded"].startswith("activation ") and checked["model"] == "demo"
    told = json.loads((ended.folder / "run.json").read_text())
    assert told["status"] == "done"
    assert "Is the model loaded as it was trained?" in (ended.folder / "report.html").read_text()
    assert len(list((ended.folder / "embeddings").iterdir())) == 2


def test_templates_of_a_file_and_no_check(run_experiment, photos, tmp_path):
    (tmp_path / "templates.txt").write_text("a blurry photo of a {}\n\nthe {} in a field\n")
    given = ("--images", photos, "--templates", tmp_path / "templates.txt")
    ended = run_experiment(zero_shot, *given, "--loading-check", "off")
    assert ended.status == 0 and rows(ended.folder, "loading") == []
    page = (ended.folder / "report.html").read_text()
    assert "a blurry photo of a {}" in page and "loaded as it was trained" not in page


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--templates", "oppenai"), "neither simple, openai nor a file of templates"),
        (("--images", "nowhere"), "no such folder of images (see --images)"),
        (("--seed", "-1"), "-1: seeds are not negative (see --seed)"),
        (("--demo-scenes", "3"), "64 scenes or more"),
    ],
)
def test_bad_input_is_one_line(run_experiment, arguments, said):
    ended = run_experiment(zero_shot, *arguments)
    assert ended.status == 2 and said in ended.err and ended.err.count("\n") == 1


def test_templates_without_a_place_for_the_class(run_experiment, photos, tmp_path):
    (tmp_path / "templates.txt").write_text("a photo of a {}\na photo\n")
    given = ("--images", photos, "--templates", tmp_path / "templates.txt")
    ended = run_experiment(zero_shot, *given)
    assert ended.status == 2 and "line 2: 'a photo' does not hold one {}" in ended.err


def test_an_empty_class_is_named(run_experiment, photos, tmp_path):
    for name in ("full", "empty"):
        (tmp_path / "set" / name).mkdir(parents=True)
    Image.new("RGB", (30, 30)).save(tmp_path / "set" / "full" / "a.png")
    ended = run_experiment(zero_shot, "--images", tmp_path / "set")
    assert ended.status == 2 and "empty: no image of this class" in ended.err
