"""The command `jclip`, from a checkout and from a wheel."""

import ast
import importlib
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from jclip import __main__ as jclip_command

ROOT = Path(__file__).parents[1]
EXPERIMENTS = sorted(path for path in (ROOT / "experiments").glob("[!_]*.py"))


@pytest.fixture
def jclip(monkeypatch, capsys):
    """A function that runs the command, and returns its status, stdout and stderr."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["/somewhere/bin/jclip", *arguments])
        with pytest.raises(SystemExit) as end:
            jclip_command.main()
        return end.value.code, *capsys.readouterr()

    return run


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_all_experiments_are_listed_with_their_questions(jclip, arguments):
    status, output, complaint = jclip(*arguments)
    assert (status, complaint) == (0, "")
    listed = [line.split() for line in output.splitlines()[2:]]
    assert [words[0] for words in listed] == [path.stem for path in EXPERIMENTS]
    question = "Does the CLIP score of a panorama survive horizontal circular shifts?"
    assert f"shift_sweep        {question}\n" in output


def test_an_unknown_command_is_refused_in_one_line(jclip):
    status, output, complaint = jclip("shift_swep", "--help")
    assert (status, output) == (2, "")
    assert complaint == "error: shift_swep: no such command; jclip --help lists them\n"


def test_the_help_of_an_experiment_speaks_of_the_command(jclip):
    status, output, _ = jclip("prepare_dataset", "--help")
    assert status == 0
    assert "usage: jclip prepare_dataset" in output and "--data-dir" in output
    assert "    jclip prepare_dataset --kind" in output and "python -m" not in output


def test_what_an_experiment_refuses_is_its_status(jclip):
    status, _, complaint = jclip("prepare_dataset", "--test", "0")
    assert status == 2 and complaint.startswith("error: ") and complaint.count("\n") == 1


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_experiment_can_be_run_under_either_name(path):
    module = ast.parse(path.read_text())
    names = {node.name for node in module.body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    assert {"Options", "main"} <= names
    # In a wheel the package is jclip.experiments, so they know each other as neighbours only.
    imports = [node for node in ast.walk(module) if isinstance(node, ast.ImportFrom | ast.Import)]
    assert not [node for node in imports if "experiments" in ast.unparse(node)]


def test_a_wheel_has_the_command_and_holds_the_experiments_inside(tmp_path):
    wheel = pytest.importorskip("hatchling.builders.wheel")
    (built,) = wheel.WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(built) as file:
        names = file.namelist()
        (entries,) = (name for name in names if name.endswith("entry_points.txt"))
        assert "jclip = jclip.__main__:main" in file.read(entries).decode()
    tops = {name.split("/")[0] for name in names}
    assert tops == {"jclip", entries.split("/")[0]}
    assert {f"jclip/experiments/{path.name}" for path in EXPERIMENTS} <= {*names}
    assert "jclip/data/samples/captions.csv" in names and "jclip/report/page.html" in names


def test_the_installed_command_is_there():
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    module, _, function = scripts["jclip"].partition(":")
    assert getattr(importlib.import_module(module), function) is jclip_command.main
