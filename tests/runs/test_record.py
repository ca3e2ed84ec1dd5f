"""A run folder holds one run, which is known by its identity."""

import dataclasses
import json
import subprocess
from pathlib import Path
from typing import Annotated

import pytest

import jclip
from jclip.errors import InputError
from jclip.runs.options import ImageOptions, ModelOptions, OutputOptions
from jclip.runs.record import (
    Silent,
    close_record,
    confirm,
    default_folder,
    environment,
    identity_of,
    open_record,
)

IDENTITY = {"settings": {"shifts": 8}, "data": "abc"}


def test_the_same_run_is_opened_again_and_another_is_refused(tmp_path):
    folder = tmp_path / "run"
    open_record(folder, "sweep", IDENTITY)
    (folder / "parts" / "kept").touch()
    open_record(folder, "sweep", IDENTITY)
    assert (folder / "parts" / "kept").exists()
    with pytest.raises(InputError, match="another run: data was 'abc', is 'abd'"):
        open_record(folder, "sweep", {**IDENTITY, "data": "abd"})
    for key in IDENTITY:
        fewer = {name: value for name, value in IDENTITY.items() if name != key}
        with pytest.raises(InputError, match=f"another run: {key} was .*, is None"):
            open_record(folder, "sweep", fewer)
    with pytest.raises(InputError, match="another run: more was None, is 1"):
        open_record(folder, "sweep", {**IDENTITY, "more": 1})
    with pytest.raises(InputError, match="another run: experiment was 'sweep'"):
        open_record(folder, "probe", IDENTITY)


def test_what_is_learnt_later_has_to_stay_the_same(tmp_path):
    open_record(tmp_path, "sweep", IDENTITY)
    confirm(tmp_path, "weights", {"a": ("x",)})
    open_record(tmp_path, "sweep", IDENTITY)
    confirm(tmp_path, "weights", {"a": ("x",)})
    with pytest.raises(InputError, match="another run: weights was"):
        confirm(tmp_path, "weights", {"a": ("y",)})


def test_a_closed_record_replaces_the_open_one_and_parts_go(tmp_path):
    open_record(tmp_path, "sweep", IDENTITY)
    opened = json.loads((tmp_path / "run.json").read_text())
    assert opened["status"] == "running" and (tmp_path / "parts").is_dir()
    assert opened["identity"] == {"experiment": "sweep", **IDENTITY}
    assert opened["environment"]["packages"]["jax"]
    close_record(tmp_path, {**opened, "status": "done"})
    assert json.loads((tmp_path / "run.json").read_text()) == {**opened, "status": "done"}
    assert not (tmp_path / "parts").exists()
    open_record(tmp_path, "sweep", IDENTITY)


def test_other_folders_are_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(InputError, match="not empty and not a run"):
        open_record(tmp_path, "sweep", IDENTITY)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(InputError, match=r"run.json: not the record of a run"):
        open_record(tmp_path, "sweep", IDENTITY)
    blocked = tmp_path / "thesis.tex" / "run"
    with pytest.raises(InputError, match="cannot be written"):
        open_record(blocked, "sweep", IDENTITY)


def test_what_a_killed_run_was_writing_goes(tmp_path):
    open_record(tmp_path, "sweep", IDENTITY)
    kept = [tmp_path / "parts" / "000-000000.parquet", tmp_path / "scores.parquet"]
    leftovers = [tmp_path / "parts" / "x.partial", tmp_path / "scores.parquet.partial"]
    for file in (*kept, *leftovers):
        file.write_text("")
    (tmp_path / "folder.partial").mkdir()
    (tmp_path / "folder.partial" / "file").touch()
    open_record(tmp_path, "sweep", IDENTITY)
    assert all(file.exists() for file in kept)
    assert not list(tmp_path.rglob("*.partial"))


def test_default_folder_follows_the_identity():
    first = default_folder("sweep", IDENTITY)
    assert first == default_folder("sweep", dict(reversed(IDENTITY.items())))
    assert first != default_folder("sweep", {**IDENTITY, "data": "abd"})


@dataclasses.dataclass(frozen=True)
class Group:
    depth: int = 2
    workers: Annotated[int, Silent] = 1


@dataclasses.dataclass(frozen=True)
class Options:
    group: Group = Group()
    names: tuple[str, ...] = ("a",)
    weights: Path | None = None
    out: Annotated[Path | None, Silent] = None
    quiet: Annotated[Group, Silent] = Group()


def test_every_option_counts_but_those_that_change_no_result():
    assert identity_of(Options()) == {"depth": 2, "names": ("a",), "weights": None}
    other = Options(Group(3, 8), ("b",), Path("x/y"), Path("out"), Group(9))
    assert identity_of(other) == {"depth": 3, "names": ("b",), "weights": "x/y"}


def test_the_shared_options_have_the_identity_of_what_they_mean():
    model = ModelOptions(models=("a",), precision="auto", adapter=Path("lora"), allow_pickle=True)
    assert identity_of(model) == {"precision": "float32", "adapter": "lora"}
    image = ImageOptions(images=("b",), prompt_prefix="A ", pixel_limit=3, on_error="record")
    assert identity_of(image) == {"prompt_prefix": "A "}
    assert identity_of(OutputOptions(Path("out"), 3)) == {}


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["/x/bin/python3", "-m", "a.b", "--c", "d e"], "python3 -m a.b --c 'd e'"),
        (["/x/bin/python", "/x/bin/jclip", "shift_sweep", "--c"], "jclip shift_sweep --c"),
        (["/x/bin/python", "-m", "a.b", "caf\udce9"], r"python -m a.b 'caf\udce9'"),
    ],
)
def test_the_command_is_told_as_it_was_typed(typed, told, monkeypatch):
    monkeypatch.setattr("sys.orig_argv", typed)
    assert environment()["command"] == told


def test_the_commit_is_that_of_the_checkout():
    checkout = Path(jclip.__file__).parents[1]
    if not (checkout / ".git").exists():
        assert environment()["commit"] is None
        return
    commit = environment()["commit"].removesuffix("-dirty")
    found = [
        subprocess.check_output(["git", "-C", checkout, "rev-parse", f"{name}^{{commit}}"])
        for name in (commit, "HEAD")
    ]
    assert found[0] == found[1]
