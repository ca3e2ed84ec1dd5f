"""One process writes into a folder at a time, and a killed one keeps nobody out."""

import fcntl
import json
import os
import platform
import subprocess
import sys

import pytest

from jclip.errors import InputError
from jclip.runs.lock import sole_writer

HOLD = """
import sys
from pathlib import Path
from jclip.runs.lock import sole_writer
with sole_writer(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path):
    """Another process that holds the lock of `tmp_path / "run"`, which it has made."""
    arguments = [sys.executable, "-c", HOLD, str(tmp_path / "run")]
    with subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_writer_is_refused_until_the_first_is_gone(other, tmp_path):
    folder = tmp_path / "run"
    for _ in range(2):
        with pytest.raises(InputError) as refused, sole_writer(folder):
            pytest.fail("entered")
        said = str(refused.value)
        assert said.startswith(f"{folder}: another process is writing there (process {other.pid}, ")
        assert f"machine {platform.node()}, since 20" in said and "--coordinator" in said
    other.kill()
    other.wait()
    assert (folder / "run.lock").exists()
    with sole_writer(folder):
        assert json.loads((folder / "run.lock").read_text())["process"] == os.getpid()
    assert not list(folder.iterdir())


def test_it_is_free_when_the_first_ends(other, tmp_path):
    other.stdin.close()
    other.wait()
    with sole_writer(tmp_path / "run"):
        pass


def test_an_error_inside_frees_it(tmp_path):
    with pytest.raises(KeyboardInterrupt), sole_writer(tmp_path):
        raise KeyboardInterrupt
    with sole_writer(tmp_path), pytest.raises(InputError), sole_writer(tmp_path):
        pytest.fail("entered")


def test_a_file_that_its_holder_removes_meanwhile_is_not_mistaken_for_the_lock(
    tmp_path, monkeypatch
):
    lock, real, removed = tmp_path / "run.lock", fcntl.flock, []

    def slow(file, how):
        if not removed:
            removed.append(lock.unlink())
        return real(file, how)

    monkeypatch.setattr("fcntl.flock", slow)
    with sole_writer(tmp_path):
        assert lock.exists() and len(removed) == 1


@pytest.mark.parametrize(
    ("holder", "refused"),
    [
        ({"process": os.getppid(), "machine": platform.node()}, True),
        ({"process": 1, "machine": platform.node()}, True),
        ({"process": os.getppid(), "machine": "another"}, False),
        ({"process": 2**22 + 1, "machine": platform.node()}, False),
        ({"process": "x", "machine": platform.node()}, False),
        ([], False),
    ],
)
def test_without_locks_a_living_process_of_this_machine_counts(
    tmp_path, monkeypatch, holder, refused
):
    def without(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr("fcntl.flock", without)
    (tmp_path / "run.lock").write_text(json.dumps(holder))
    if not refused:
        with sole_writer(tmp_path):
            return
    with pytest.raises(InputError, match="another process"), sole_writer(tmp_path):
        pytest.fail("entered")


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file/run: cannot be written"):
        with sole_writer(tmp_path / "file" / "run"):
            pytest.fail("entered")
