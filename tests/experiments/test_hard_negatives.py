"""The command of hard negatives as a person runs it, on the demo model."""

import csv
import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from flax import nnx
from PIL import Image

from experiments import hard_negatives
from jclip.data.embedded import read_embedded, read_foil_sets
from jclip.heads import HeadConfig, create_head, save_head

LAYOUTS = Path(__file__).parents[1] / "golden" / "foils" / "layouts"


def rows(folder, name):
    with (folder / f"{name}.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def crepe(tmp_path_factory):
    """SugarCrepe's layout with small pictures beside it, and a foil that equals its caption."""
    folder = tmp_path_factory.mktemp("crepe")
    rng = np.random.default_rng(0)
    for name in ("add_att", "swap_obj"):
        records = json.loads((LAYOUTS / "sugar_crepe" / f"{name}.json").read_text())
        for record in records.values():
            pixels = rng.integers(0, 255, (40, 56, 3), np.uint8)
            Image.fromarray(pixels).save(folder / record["filename"])
        if name == "swap_obj":
            records["3"]["negative_caption"] = records["3"]["caption"]
        (folder / f"{name}.json").write_text(json.dumps(records))
    return folder


def test_sets_of_a_folder(run_experiment, crepe):
    ended = run_experiment(hard_negatives, "--sets", f"sugar_crepe:{crepe}")
    assert ended.status == 0
    found = {row["set"]: row for row in rows(ended.folder, "summary")}
    assert {name: int(row["records"]) for name, row in found.items()} == {
        "sugar_crepe/add_att": 12,
        "sugar_crepe/swap_obj": 10,
    }
    assert "swap_obj: a foil equals a right text, word for word, in 1 of 11 records: 3" in ended.out
    assert "knows rendered scenes only" in ended.out
    embedded = read_embedded(ended.folder / "embeddings" / "demo.safetensors")
    distinct = {p.name for p in crepe.glob("*.jpg")}
    assert len(embedded.pictures) == len(distinct)
    # The table of scores is what the kept embeddings give.
    first = read_foil_sets(ended.folder)[0]
    unit = [
        x / np.linalg.norm(x, axis=1, keepdims=True) for x in (embedded.pictures, embedded.texts)
    ]
    right = (unit[0][first.pictures[:, 0]] * unit[1][first.texts[:, 0]]).sum(axis=1)
    told = [
        float(row["score"])
        for row in rows(ended.folder, "scores")
        if row["set"] == first.name and row["text"] == "0"
    ]
    np.testing.assert_allclose(told, right, atol=1e-6)


def test_reference_counts_what_nobody_can_win(run_experiment, crepe):
    source = f"sugar_crepe:{crepe}/swap_obj.json"
    ended = run_experiment(hard_negatives, "--sets", source, "--unwinnable", "reference")
    assert rows(ended.folder, "summary")[0]["records"] == "11"
    assert rows(ended.folder, "summary")[0]["decided_by_ties"] == "1"
    faults = json.loads((ended.folder / "run.json").read_text())["faults"]
    assert faults[0]["choice"] == "reference"


def test_a_head_stands_beside_its_model(run_experiment, crepe, tmp_path):
    head = create_head(HeadConfig("linear", 128, "cosine"), nnx.Rngs(0))
    save_head(head, tmp_path / "mine.safetensors")
    source = ("--sets", f"sugar_crepe:{crepe}", "--head", tmp_path / "mine.safetensors")
    ended = run_experiment(hard_negatives, *source)
    compared = rows(ended.folder, "comparisons")
    assert [(row["first"], row["second"]) for row in compared] == [("demo", "demo + mine")] * 2
    assert all(float(row["holm_p"]) >= float(row["p"]) for row in compared)
    assert "Against demo, demo + mine" in ended.out
    page = (ended.folder / "report.html").read_text()
    assert "Models compared" in page
    # Again from what was kept: nothing is embedded, and the numbers stay.
    before = (ended.folder / "summary.csv").read_text()
    again = run_experiment(hard_negatives, *source)
    assert again.status == 0 and (again.folder / "summary.csv").read_text() == before


def test_a_head_of_another_model_is_refused(run_experiment, crepe, tmp_path):
    head = create_head(HeadConfig("linear", 64, "cosine"), nnx.Rngs(0))
    save_head(head, tmp_path / "narrow.safetensors")
    source = ("--sets", f"sugar_crepe:{crepe}", "--head", tmp_path / "narrow.safetensors")
    ended = run_experiment(hard_negatives, *source)
    assert ended.status == 2 and "of width 64" in ended.err and "(see --head)" in ended.err
    head = create_head(dataclasses.replace(head.config, size=128), nnx.Rngs(0))
    other = {"model": {"name": "other", "weights": {"a": "b"}}}
    save_head(head, tmp_path / "narrow.safetensors", base=other)
    ended = run_experiment(hard_negatives, *source, out="second")
    assert ended.status == 2 and "was trained on features of other" in ended.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--sets", "sugar_crepe:nowhere"), "nowhere: no such file or folder (see --sets)"),
        (("--sets", "winogrand:x"), "KIND:PATH"),
        (("--sets", "demo,aro:x"), "demo makes its own files"),
        (("--sets", f"sugar_crepe:{LAYOUTS}/sugar_crepe"), "is not below"),
        (("--sets", f"sugar_crepe:{LAYOUTS}/sugar_crepe", "--images", "no"), "no such folder"),
        (("--seed", "-1"), "-1: seeds are not negative (see --seed)"),
        (("--demo-scenes", "0"), "one scene or more (see --demo-scenes)"),
    ],
)
def test_bad_input_is_one_line(run_experiment, arguments, said):
    ended = run_experiment(hard_negatives, *arguments)
    assert ended.status == 2 and said in ended.err
    assert ended.err.count("\n") == 1
    assert not ended.folder.exists()


def test_a_damaged_picture_stops_and_is_named(run_experiment, crepe, tmp_path):
    folder = tmp_path / "damaged"
    shutil.copytree(crepe, folder)
    victim = sorted(folder.glob("*.jpg"))[0]
    victim.write_bytes(victim.read_bytes()[:500])
    ended = run_experiment(hard_negatives, "--sets", f"sugar_crepe:{folder}")
    assert ended.status in (1, 2) and victim.name in ended.err
    assert "Traceback" not in ended.err


def test_a_run_goes_on_where_a_disk_stopped_it(run_experiment, crepe, monkeypatch):
    source = ("--sets", f"sugar_crepe:{crepe}")
    whole = run_experiment(hard_negatives, *source, out="whole")

    def full(*_):
        yield from ()
        raise OSError("No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr("jclip.runs.embedded.stream_text_embeddings", full)
        assert run_experiment(hard_negatives, *source).status == 1
    embedded = []
    monkeypatch.setattr(
        "jclip.runs.embedded.stream_square_embeddings",
        lambda batches, *_: iter([embedded.extend(batches)] and ()),
    )
    ended = run_experiment(hard_negatives, *source)
    assert ended.status == 0 and embedded == []
    for name in ("summary.csv", "scores.csv"):
        assert (ended.folder / name).read_bytes() == (whole.folder / name).read_bytes()


def test_the_demo_world_tells_objects_from_order(run_experiment):
    ended = run_experiment(hard_negatives, "--demo-scenes", 64)
    found = {
        row["set"]: row
        for row in rows(ended.folder, "summary")
        if row["metric"] in ("accuracy", "group")
    }
    assert list(found) == [
        "demo/replace_att",
        "demo/replace_obj",
        "demo/swap_att",
        "demo/swap_obj",
        "demo/order",
        "demo/two_pictures",
    ]
    assert float(found["demo/replace_obj"]["low"]) > 60
    assert float(found["demo/swap_att"]["low"]) < 50
    assert "is above chance on demo/replace_obj" in ended.out or "demo/replace_att" in ended.out
