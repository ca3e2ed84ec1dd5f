"""The rotation sweep as a person runs it: every turn is scored and tested, or refused by name."""

import csv
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image

import jclip
from experiments import rotation_sweep
from jclip.images import sphere_views
from jclip.images.sphere import plan_rotations

MODEL = str(Path(__file__).parents[1] / "golden" / "hf_full")


@pytest.fixture
def sweep(run_experiment):
    """Run the command; returns how it ended."""

    def run(*arguments, out="run"):
        return run_experiment(rotation_sweep, "--model", MODEL, *arguments, out=out)

    return run


def test_every_turn_is_scored_and_told(sweep, panorama_folder):
    names = [f"{i}.png" for i in range(8)]
    folder = panorama_folder(names)
    angles = ("--yaws", "2", "--pitches", "20", "--rolls", "90")
    ended = sweep("--images", folder, *angles, "--fits", "crop,tiles")
    assert ended.status == 0, ended.err
    table = pyarrow.parquet.read_table(ended.folder / "scores.parquet")
    columns = ["yaw 0", "yaw 180", "pitch -20", "pitch 20", "roll -90", "roll 90", "mirrored"]
    assert table["column"].to_pylist()[:7] == columns
    model = jclip.load(MODEL)
    pixels = np.asarray(Image.open(folder / names[0]).convert("RGB"))[None]
    seen = np.asarray(
        sphere_views(pixels, plan_rotations(32, 64, [(0.0, 20.0, 0.0), (0.0, 0.0, 90.0)]))
    )[0]
    captions = list(csv.DictReader((folder / "captions.csv").read_text().splitlines()))
    caption = {row["file"]: row["caption"] for row in captions}[names[0]]
    expected = jclip.score(model, list(seen), [f"This is {caption}"] * 2, fit="crop")
    scores = table["score"].to_numpy()[:7]
    np.testing.assert_allclose(scores[[3, 5]], expected, atol=2e-3)
    rows = list(csv.DictReader((ended.folder / "statistics.csv").read_text().splitlines()))
    assert [row["axis"] for row in rows] == [*("yaw", "pitch", "pitch", "roll", "roll")] * 2
    # Half a turn swaps the tiles.
    assert [row["stable"] == "" for row in rows] == [False] * 5 + [True] + [False] * 4
    assert "pitch by up to a median of" in (ended.folder / "report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--pitches", "200"), "200 degrees: between 0 and 180, to both sides (see --pitches)"),
        (("--rolls", "15,15"), "an angle is given twice (see --rolls)"),
        (("--yaws", "0"), "0 yaws"),
        (("--beta", "-1.0"), "-1.0"),
    ],
)
def test_impossible_turns_are_refused(sweep, panorama_folder, arguments, said):
    ended = sweep("--images", panorama_folder(), *arguments)
    assert ended.status == 2
    assert said in ended.err


def test_what_is_no_whole_sphere_is_refused(sweep, panorama_folder):
    ended = sweep("--images", panorama_folder(size=(64, 48)))
    assert ended.status == 2
    assert "64 x 48 pixels" in ended.err and "a.png" in ended.err
