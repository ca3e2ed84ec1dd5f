"""A run keeps what was computed, whatever ends it, and tells at its end what it was."""

import csv
import dataclasses
import json
import re
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import pytest
from safetensors.numpy import load_file, save_file

from jclip.checkpoints import describe_checkpoint
from jclip.data.image_sets import open_image_set
from jclip.data.pipeline import Batch, Failure
from jclip.errors import InputError, RunStopped
from jclip.report.faults import CENTRE_CROP, TIES
from jclip.report.page import Page, Section
from jclip.runs.options import ModelOptions
from jclip.runs.record import Silent
from jclip.runs.run import open_run

GOLDEN = Path(__file__).parents[1] / "golden" / "hf_gelu"


@dataclasses.dataclass(frozen=True)
class Options:
    depth: int = 2
    workers: Annotated[int, Silent] = 1


@pytest.fixture
def opened(tmp_path):
    """A function that opens the same run, or another one, in the same folder."""

    def open_(options=None, **facts):
        return open_run("blur", options or Options(), out=tmp_path / "run", **facts)

    return open_


def batches(*indices, ending=None):
    """A stream of batches with twice their indices as what was computed, and how it ends."""
    for some in indices:
        yield Batch(tuple(some), np.zeros((len(some), 1, 1, 3), np.uint8), ()), 2 * np.array(some)
    if ending is not None:
        raise ending


def keep(run, stream, total=6, done=0):
    """Keep a stream of numbers; what was stored, by index."""
    stored = {}

    def store(batch, computed):
        if computed is not None:
            stored.update(zip(batch.indices, computed.tolist(), strict=True))

    def part(some):
        return pa.table({"i": some, "x": [stored[i] for i in some]})

    run.keep(stream, store, part, name="rooms", total=total, done=done)
    return stored


def earlier(run):
    return [table.to_pydict() for table in run.earlier("scores")]


def record(tmp_path):
    return json.loads((tmp_path / "run" / "run.json").read_text())


def test_the_same_run_goes_on_and_another_is_refused(opened):
    with opened(data="abc") as run:
        keep(run, batches([0, 1]))
    with opened(Options(workers=8), data="abc") as run:
        assert earlier(run) == [{"i": [0, 1], "x": [0, 2]}]
    for options, facts, differing in (
        (Options(depth=3), {"data": "abc"}, "depth was 2, is 3"),
        (Options(), {"data": "abd"}, "data was 'abc', is 'abd'"),
        (Options(), {}, "data was 'abc', is None"),
    ):
        with pytest.raises(InputError, match=f"another run: {differing}"), opened(options, **facts):
            pytest.fail("opened")


def test_models_and_image_sets_are_part_of_it(opened, panorama_folder, tmp_path):
    sets = [open_image_set(str(panorama_folder()))]
    models = [describe_checkpoint(str(GOLDEN), activation="quick_gelu")]
    with opened(models=models, image_sets=sets):
        pass
    identity = record(tmp_path)["identity"]
    assert identity["experiment"] == "blur" and identity["depth"] == 2
    assert identity["models"] == {"hf_gelu": "quick_gelu"}
    assert identity["image_sets"]["panoramas"] == json.loads(json.dumps(sets[0].identity))
    with (
        pytest.raises(InputError, match=r"models was \{'hf_gelu': 'quick_gelu'\}"),
        opened(models=[describe_checkpoint(str(GOLDEN))], image_sets=sets),
    ):
        pytest.fail("opened")


def test_parts_are_kept_on_the_way_and_what_ends_it_is_told(opened, tmp_path):
    full = OSError(28, "No space left on device")
    with opened() as run:
        run.seconds_between_parts = 0
        with pytest.raises(RunStopped) as stopped:
            keep(run, batches([0, 1], [3, 2], ending=full))
    assert str(stopped.value) == f"{full}; 4 of 6 images of rooms are kept in {run.folder}"
    with opened() as run:
        assert earlier(run) == [{"i": [0, 1], "x": [0, 2]}, {"i": [3, 2], "x": [6, 4]}]
        keep(run, batches([4, 5]), done=4)
        assert len(earlier(run)) == 3
        keep(run, batches(), done=6)
        assert len(earlier(run)) == 3


@pytest.mark.parametrize("ending", [InputError("b.png: cannot be decoded"), KeyboardInterrupt()])
def test_what_is_not_kept_yet_is_kept_at_the_end(opened, ending):
    with opened() as run:
        expected = RunStopped if isinstance(ending, InputError) else KeyboardInterrupt
        with pytest.raises(expected):
            keep(run, batches([0, 1], [2], ending=ending))
        assert len(list((run.folder / "parts").iterdir())) == 1
        assert earlier(run) == [{"i": [0, 1, 2], "x": [0, 2, 4]}]


def test_a_finished_table_comes_before_the_parts(opened):
    with opened() as run:
        run.write("scores", pa.table({"i": [7], "x": [14]}))
        keep(run, batches([0, 1]))
        assert earlier(run) == [{"i": [7], "x": [14]}, {"i": [0, 1], "x": [0, 2]}]


def test_damaged_parts_are_named(opened):
    with opened() as run:
        keep(run, batches(range(1000)), total=1000)
    part = next((run.folder / "parts").iterdir())
    part.write_bytes(part.read_bytes()[:-10])
    with pytest.raises(InputError, match=r"000000.parquet: cannot be read as Parquet"), opened():
        run.earlier("scores")


def test_one_process_has_no_others_parts(opened):
    with opened() as run:
        keep(run, batches([0, 1]))
        assert run.joined() == []


def test_bad_input_is_refused_before_anything_was_computed_and_stops_the_run_later(opened):
    with pytest.raises(InputError, match=r"^bad$"), opened() as run:
        raise InputError("bad")
    with pytest.raises(RunStopped) as stopped, opened() as run:
        keep(run, batches([0]))
        raise InputError("bad")
    assert str(stopped.value) == f"bad; what was computed is kept in {run.folder}"
    # What an earlier run has computed counts.
    with pytest.raises(RunStopped), opened() as run:
        run.earlier("scores")
        raise InputError("bad")


def test_a_disk_that_is_full_is_told_with_the_folder(opened):
    with pytest.raises(RunStopped) as stopped, opened() as run:
        raise OSError(28, "No space left on device")
    kept = f"what was computed is kept in {run.folder}"
    assert str(stopped.value) == f"[Errno 28] No space left on device; {kept}"


def test_the_default_folder_is_of_the_experiment_and_its_identity(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with open_run("blur", Options()) as first:
        assert re.fullmatch(r"runs/blur-[0-9a-f]{10}", str(first.folder))
    with open_run("blur", Options(workers=3)) as same:
        assert same.folder == first.folder
    with open_run("blur", Options(3)) as other:
        assert other.folder != first.folder


def test_weights_are_confirmed_and_notices_given_once(opened, tmp_path):
    copy = tmp_path / "model"
    copy.mkdir()
    for path in GOLDEN.glob("*.*"):
        if path.suffix in (".json", ".txt", ".safetensors"):
            (copy / path.name).write_bytes(path.read_bytes())
    options = ModelOptions(models=(str(copy),), activation="quick_gelu")
    models = [describe_checkpoint(str(copy), activation="quick_gelu")]
    with opened(models=models) as run:
        (checkpoint,) = run.load(options, models)
        assert checkpoint.identity.name == "model"
        assert record(tmp_path)["confirmed"]["weights of model"] == dict(checkpoint.identity.sha256)
        notices = [n for n in run.notices if "model: Runs with quick_gelu although" in n]
        run.load(options, models)
        assert len(notices) == 1 and run.notices.count(notices[0]) == 1
    tensors = load_file(copy / "model.safetensors")
    tensors["logit_scale"] = np.asarray(2 * tensors["logit_scale"])
    save_file(tensors, copy / "model.safetensors")
    with (
        pytest.raises(InputError, match="another run: weights of model was"),
        opened(models=models),
    ):
        run.load(options, models)


def test_notices_are_told_once(opened, panorama_folder):
    folder = panorama_folder(captions=False)
    (folder / "prompts.txt").write_text("a\nb\nc\n")
    sets = [open_image_set(str(folder))]
    with opened(image_sets=sets) as run:
        assert run.notices == list(dict.fromkeys(sets[0].notices))
        run.note("one", "other", "one")
        run.note("other", "third")
        assert run.notices[len(sets[0].notices) :] == ["one", "other", "third"]


def test_a_second_run_into_the_folder_is_refused_and_the_first_goes_on(opened):
    with opened() as run:
        with pytest.raises(InputError, match=r"run: another process is writing there"), opened():
            pytest.fail("opened")
        keep(run, batches([0, 1]))
        assert len(earlier(run)) == 1
    with opened() as run:
        assert len(earlier(run)) == 1


def test_a_task_of_many_is_told_so_in_its_record(opened, tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_NTASKS", "4")
    monkeypatch.setenv("SLURM_PROCID", "1")
    with opened() as run:
        run.publish(None, [])
    assert "--coordinator" in record(tmp_path)["notices"][0]


def test_exhausted_memory_keeps_what_was_computed(opened):
    with (
        pytest.raises(RunStopped, match=r"out of memory .*--batch-size.* kept in"),
        opened() as run,
    ):
        keep(run, batches([0, 1], ending=MemoryError()))
    with opened() as run:
        assert earlier(run) == [{"i": [0, 1], "x": [0, 2]}]


def test_publishing_writes_page_and_record_and_prints_the_result(opened, tmp_path, capsys):
    page = Page("Blur", "A finding.", (Section("Numbers"),))
    with opened(data="abc") as run:
        run.note("Random weights.")
        run.confirm("weights", {"a": "x"})
        keep(run, batches([0, 1]))
        run.write("scores", pa.table({"x": [1.5]}))
        faults = [CENTRE_CROP.choose(True, "fits: crop"), TIES.choose(False, "averaged")]
        assert run.publish(page, ["a line", "another"], faults, memory={"state": "1 MiB"}) == 0
    found = record(tmp_path)
    assert found["status"] == "done" and found["started"] <= found["finished"]
    assert found["notices"] == ["Random weights."] and found["failures"] == 0
    assert found["memory"] == {"state": "1 MiB"} and found["confirmed"] == {"weights": {"a": "x"}}
    assert [(f["fault"], f["choice"]) for f in found["faults"]] == [
        ("the centre crop keeps half of a panorama", "reference"),
        ("ties count against the right caption", "corrected"),
    ]
    written = (run.folder / "report.html").read_text()
    status = re.search(r">status</td>\s*<td[^>]*>([^<]*)</td>", written)
    assert status and status[1] == "done"
    assert "A finding." in written and '<p class="notice" role="alert">Random' in written
    assert "repeats: the centre crop keeps half of a panorama." in written
    assert not (run.folder / "parts").exists() and not (run.folder / "failures.csv").exists()
    assert (run.folder / "scores.csv").exists() and (run.folder / "figures").is_dir()
    assert capsys.readouterr().out.splitlines() == [
        "a line",
        "another",
        "note: Random weights.",
        f"report: {run.folder}/report.html",
    ]
    with opened(data="abc") as run:
        assert [table["x"].to_pylist() for table in run.earlier("scores")] == [[1.5]]


def test_images_that_failed_are_listed_and_change_the_status(opened, tmp_path, capsys):
    pixels = np.zeros((1, 1, 1, 3), np.uint8)
    lost = Failure(2, "c.png", "c.png: cannot be decoded"), Failure(1, "b.png", "b.png: truncated")
    stream = [
        (Batch((0,), pixels, (lost[1],)), np.array([0])),
        (Batch((), pixels, (lost[0],)), None),
    ]
    with opened() as run:
        keep(run, stream, total=3)
        assert run.publish(None, []) == 3
    rows = list(csv.DictReader((run.folder / "failures.csv").read_text().splitlines()))
    assert rows == [
        {"image_set": "rooms", "image": "b.png", "reason": "b.png: truncated"},
        {"image_set": "rooms", "image": "c.png", "reason": "c.png: cannot be decoded"},
    ]
    assert record(tmp_path)["failures"] == 2
    (notice,) = record(tmp_path)["notices"]
    assert notice.startswith("2 images could not be decoded") and "failures.csv" in notice
    assert capsys.readouterr().out.splitlines() == [f"note: {notice}", f"results: {run.folder}"]
    assert not (run.folder / "report.html").exists()


def test_a_folder_whose_name_is_no_utf_8_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"caf\\xe9: the name is not UTF-8"):
        with open_run("blur", Options(), out=tmp_path / "caf\udce9"):
            pass
    assert not any(tmp_path.iterdir())
