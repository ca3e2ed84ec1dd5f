"""An error that nobody refuses by name is one line, and says where its trace is."""

import dataclasses
import re
from pathlib import Path

import jax
import numpy as np
import pytest

from jclip.errors import InputError, RunStopped
from jclip.runs.last_resort import ending
from jclip.runs.options import OutputOptions
from jclip.runs.run import open_run
from jclip.training.lora import LoRARecipe


@dataclasses.dataclass(frozen=True)
class Options:
    output: OutputOptions = dataclasses.field(default_factory=OutputOptions)


@dataclasses.dataclass(frozen=True)
class Training(Options):
    recipe: LoRARecipe = dataclasses.field(default_factory=LoRARecipe)


def caught(error, cause=None):
    try:
        raise error from cause
    except type(error) as raised:
        return raised


def exhausted():
    try:
        np.ones(10**15)
    except MemoryError as error:
        return error


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Where temporary files go."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("sys.orig_argv", ["python", "-m", "thing"])
    return tmp_path


def test_what_nobody_foresaw_names_the_error_and_the_file_of_its_trace(temporary):
    error = caught(TypeError("two\nlines \ud83d"))
    end = ending(error, Options())
    assert isinstance(end, RunStopped)
    (file,) = temporary.iterdir()
    assert str(end).encode("utf-8", "backslashreplace").decode() == (
        f"TypeError: two lines \\ud83d; not foreseen: the trace is in {file}; what was kept is "
        "kept; to go on: python -m thing"
    )
    trace = file.read_text(encoding="utf-8")
    assert trace.startswith("Traceback") and "in caught" in trace and "\\ud83d" in trace


def test_an_open_run_keeps_the_trace_until_it_goes_on(temporary):
    folder = temporary / "run"
    with pytest.raises(RunStopped) as stopped, open_run("blur", Options(), out=folder):
        raise AssertionError
    assert f"AssertionError; not foreseen: the trace is in {folder / 'traceback.txt'}" in str(
        stopped.value
    )
    assert "AssertionError" in (folder / "traceback.txt").read_text()
    with open_run("blur", Options(), out=folder):
        assert not (folder / "traceback.txt").exists()
        assert {path.name for path in folder.iterdir()} == {"parts", "run.json", "run.lock"}


def test_a_trace_that_cannot_be_written_is_told_by_its_last_line(temporary):
    end = ending(caught(TypeError("x")), Options(), temporary / "absent")
    assert re.search(r"test_last_resort\.py, line \d+; the trace cannot be written", str(end))


@pytest.mark.parametrize(
    "error",
    [
        exhausted(),
        jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes."),
        jax.errors.JaxRuntimeError("INTERNAL: std::bad_alloc"),
        OSError(12, "Cannot allocate memory"),
        RuntimeError("can't start new thread"),
        caught(RunStopped("a.png; 4 of 6 are kept"), OSError(12, "Cannot allocate memory")),
        caught(ValueError("the step failed"), exhausted()),
    ],
    ids=repr,
)
def test_exhausted_memory_says_which_options_need_less(error, tmp_path):
    end = ending(error, Options(), tmp_path)
    assert isinstance(end, RunStopped) and not list(tmp_path.iterdir())
    assert str(end).startswith("out of memory (")
    assert f"a smaller --batch-size needs less; what was computed is kept in {tmp_path}" in str(end)
    several = str(ending(error, Training()))
    assert "a smaller --batch-size or --batch-size-train needs less" in several
    assert "a smaller --batch-size needs less" in str(ending(error, None))


def test_exhausted_memory_is_told_once(tmp_path):
    told = caught(ending(exhausted(), Options(), tmp_path), exhausted())
    assert ending(told, Options()) is told


def test_a_full_disk_is_not_exhausted_memory():
    # What Orbax says of it, and a run that kept what it had.
    full = jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: [OS error 28: No space left on device]")
    stopped = caught(RunStopped("checkpoints: cannot be written"), full)
    assert ending(stopped, Options()) is stopped


def test_an_error_that_is_its_own_cause_has_an_end():
    error = InputError("a.png: no such file")
    error.__cause__ = error
    assert ending(error, Options()) is error


def test_a_text_that_speaks_of_memory_is_not_an_error_of_memory():
    error = InputError("out of memory.png: no such file")
    assert ending(error, Options()) is error


def test_a_missing_package_is_bad_input_until_something_is_computed(tmp_path):
    error = ModuleNotFoundError("No module named 'torch'", name="torch")
    end = ending(error, Options())
    assert isinstance(end, InputError) and "package is missing" in str(end) and "torch" in str(end)
    with pytest.raises(InputError, match="torch"), open_run("a", Options(), out=tmp_path / "a"):
        raise error
    with pytest.raises(RunStopped, match=r"torch.* kept in .*b"):
        with open_run("a", Options(), out=tmp_path / "b") as run:
            run.computed = True
            raise error
    ours = ModuleNotFoundError("No module named 'jclip.x'", name="jclip.x")
    assert isinstance(ending(ours, Options(), Path(tmp_path)), RunStopped)
