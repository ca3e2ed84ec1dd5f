"""What all tests share."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

import jax
import pytest
from noise_panoramas import write_panoramas

from jclip.runs.command import run_command


def pytest_configure(config):
    """What one process compiles, all find that run tests, or a command for a test."""
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        os.environ["JAX_COMPILATION_CACHE_DIR"] = folder = tempfile.mkdtemp(prefix="jclip-tests-")
        os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    jax.config.update("jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"])
    seconds = os.environ.get("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "1")
    jax.config.update("jax_persistent_cache_min_compile_time_secs", float(seconds))


class Ended(NamedTuple):
    """How a command ended: its exit status, its folder of results, and what it printed."""

    status: int
    folder: Path
    out: str
    err: str


@pytest.fixture
def run_experiment(monkeypatch, tmp_path, capsys):
    """A function that runs an experiment, a module, as a person does on the command line.

    `run_experiment(shift_sweep, "--shifts", 4, out="again")` writes into `tmp_path / "again"`.
    """

    def run(module, *arguments, out="run"):
        folder = tmp_path / out
        typed = [*map(str, arguments), "--out", str(folder)]
        monkeypatch.setattr("sys.argv", [module.__file__, *typed])
        monkeypatch.setattr("sys.orig_argv", ["python", "-m", module.__name__, *typed])
        with pytest.raises(SystemExit) as end:
            run_command(module.Options, module.main, module.__doc__)
        return Ended(end.value.code, folder, *capsys.readouterr())

    return run


@pytest.fixture
def panorama_folder(tmp_path):
    """A function that writes panoramas of seeded noise, with `captions.csv`, into a new folder."""

    def write(names=("a.png", "b.png", "c.png"), size=(64, 32), captions=True, name="panoramas"):
        return write_panoramas(tmp_path / name, names, size, captions)

    return write
