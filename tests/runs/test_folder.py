"""A run folder holds one run, whole parts and nothing half-written."""

import json
import os

import pyarrow as pa
import pytest

from jclip.errors import InputError
from jclip.files.atomic import replacing
from jclip.files.tables import write_table
from jclip.runs.record import confirm, default_folder, finish_run, open_run, read_parts, write_part

IDENTITY = {"settings": {"shifts": 8}, "data": "abc"}


def test_same_run_resumes_and_another_is_refused(tmp_path):
    folder = tmp_path / "run"
    open_run(folder, "sweep", IDENTITY)
    write_part(folder, pa.table({"x": [1, 2]}))
    open_run(folder, "sweep", IDENTITY)
    write_part(folder, pa.table({"x": [3]}))
    assert [t["x"].to_pylist() for t in read_parts(folder, "scores")] == [[1, 2], [3]]
    with pytest.raises(InputError, match="another run: data was 'abc', is 'abd'"):
        open_run(folder, "sweep", {**IDENTITY, "data": "abd"})
    for key in IDENTITY:
        fewer = {name: value for name, value in IDENTITY.items() if name != key}
        with pytest.raises(InputError, match=f"another run: {key} was .*, is None"):
            open_run(folder, "sweep", fewer)
    with pytest.raises(InputError, match="another run: more was None, is 1"):
        open_run(folder, "sweep", {**IDENTITY, "more": 1})
    with pytest.raises(InputError, match="another run: experiment was 'sweep'"):
        open_run(folder, "probe", IDENTITY)


def test_what_is_learnt_later_has_to_stay_the_same(tmp_path):
    open_run(tmp_path, "sweep", IDENTITY)
    confirm(tmp_path, "weights", {"a": ("x",)})
    open_run(tmp_path, "sweep", IDENTITY)
    confirm(tmp_path, "weights", {"a": ("x",)})
    with pytest.raises(InputError, match="another run: weights was"):
        confirm(tmp_path, "weights", {"a": ("y",)})


def test_a_finished_run_is_read_from_its_table(tmp_path):
    open_run(tmp_path, "sweep", IDENTITY)
    write_part(tmp_path, pa.table({"x": [1]}))
    write_table(tmp_path, "scores", pa.table({"x": [1]}))
    finish_run(tmp_path, notices=["a notice"])
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["status"] == "done" and record["notices"] == ["a notice"]
    assert record["environment"]["packages"]["jax"]
    open_run(tmp_path, "sweep", IDENTITY)
    assert [t["x"].to_pylist() for t in read_parts(tmp_path, "scores")] == [[1]]


def test_other_folders_are_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(InputError, match="not empty and not a run"):
        open_run(tmp_path, "sweep", IDENTITY)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(InputError, match=r"run.json: not the record of a run"):
        open_run(tmp_path, "sweep", IDENTITY)
    blocked = tmp_path / "thesis.tex" / "run"
    with pytest.raises(InputError, match="cannot be written"):
        open_run(blocked, "sweep", IDENTITY)


def test_truncated_parts_are_named(tmp_path):
    open_run(tmp_path, "sweep", IDENTITY)
    write_part(tmp_path, pa.table({"x": list(range(1000))}))
    part = next((tmp_path / "parts").iterdir())
    part.write_bytes(part.read_bytes()[:-10])
    with pytest.raises(InputError, match=r"000000.parquet: cannot be read as Parquet"):
        list(read_parts(tmp_path, "scores"))


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), replacing(path) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["a.txt"]


def test_default_folder_follows_the_identity():
    first = default_folder("sweep", IDENTITY)
    assert first == default_folder("sweep", dict(reversed(IDENTITY.items())))
    assert first != default_folder("sweep", {**IDENTITY, "data": "abd"})
