"""Exit statuses and the single line that goes with them."""

import dataclasses
import io
import os
import signal

import pytest

from jclip.errors import InputError, RunStopped
from jclip.runs.command import run_command
from jclip.runs.options import Integers, Names, split_sources


@dataclasses.dataclass(frozen=True)
class Options:
    """Do a thing."""

    models: Names = ("demo",)
    """Checkpoints."""
    shift_pixels: Integers = ()
    """Pixels."""
    beta: float | None = None
    """A bound."""


def status_of(monkeypatch, arguments, main=lambda options: 0):
    monkeypatch.setattr("sys.argv", ["thing", *arguments])
    with pytest.raises(SystemExit) as end:
        run_command(Options, main)
    return end.value.code


def test_a_path_that_is_there_is_one_part_whatever_commas_it_has(tmp_path, monkeypatch):
    home = tmp_path / "home"
    for name in ("Rome, Italy", "a", "a,b", " c", "x=y, z"):
        (home / name).mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home)
    for argument, parts in (
        ("Rome, Italy", ["Rome, Italy"]),
        ("a,Rome, Italy,demo", ["a", "Rome, Italy", "demo"]),
        ("mine=Rome, Italy, a", ["mine=Rome, Italy", "a"]),
        ("a,b", ["a,b"]),
        (" c", [" c"]),
        ("a, c,demo", ["a", " c", "demo"]),
        ("a, b", ["a", "b"]),
        ("x=y, z,a", ["x=y, z", "a"]),
        ("~/a,~/Rome, Italy", [f"{home}/a", f"{home}/Rome, Italy"]),
        ("mine=~/a,demo", [f"mine={home}/a", "demo"]),
        ("~nobody-of-that-name/x", ["~nobody-of-that-name/x"]),
        ("ViT-B-32/openai,demo:480", ["ViT-B-32/openai", "demo:480"]),
    ):
        assert split_sources(argument) == parts, argument
    for empty in ("", "a,,b", "a,", ","):
        with pytest.raises(ValueError, match="has an empty part"):
            split_sources(empty)


def test_lists_are_separated_by_commas(monkeypatch):
    seen = []
    arguments = ["--models", "a, b", "--shift-pixels", "1,-2"]
    assert status_of(monkeypatch, arguments, lambda o: seen.append(o) or 3) == 3
    assert seen == [Options(models=("a", "b"), shift_pixels=(1, -2))]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--modles", "a"], ["--modles", "Perhaps you meant: --models"]),
        (["--shift-pixels", "1,x"], ["--shift-pixels", "'x'"]),
        (["--beta", "wide"], ["--beta", "'wide'"]),
    ],
)
def test_typing_errors_are_one_line_and_status_2(monkeypatch, capsys, arguments, words):
    assert status_of(monkeypatch, arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    assert captured.err.startswith("error: ") and all(word in captured.err for word in words)


def test_a_typing_error_reads_the_same_without_unicode(monkeypatch, capsys):
    said = []
    for encoding in ("utf-8", "ascii"):
        out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        monkeypatch.setattr("sys.stdout", out)
        assert status_of(monkeypatch, ["--shift-pixels", "1,x"]) == 2
        said.append(capsys.readouterr().err)
    assert said[0] == said[1] and said[0].startswith("error: Error parsing --shift-pixels: ")


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (InputError("a.csv, line 2:\n bad"), 2, "error: a.csv, line 2: bad\n"),
        (InputError("9 pixels", "pixel_limit"), 2, "error: 9 pixels (see --pixel-limit)\n"),
        (RunStopped("disk full"), 1, "stopped: disk full\n"),
        (KeyboardInterrupt(), 1, "stopped: interrupted; to go on: python -m thing 'a b'\n"),
        (
            OSError(28, "No space left on device"),
            1,
            "stopped: [Errno 28] No space left on device; what was kept is kept, to go on: "
            "python -m thing 'a b'\n",
        ),
    ],
)
def test_exceptions_become_statuses(monkeypatch, capsys, error, status, line):
    monkeypatch.setattr("sys.orig_argv", ["python", "-m", "thing", "a b"])

    def main(_):
        raise error

    assert status_of(monkeypatch, [], main) == status
    assert capsys.readouterr().err == line


def test_sigterm_unwinds_says_how_to_go_on_and_is_status_143(monkeypatch, capsys):
    saved = []
    monkeypatch.setattr("sys.orig_argv", ["python", "-m", "thing"])

    def main(_):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()
        finally:
            saved.append("kept")

    before = signal.getsignal(signal.SIGTERM)
    try:
        assert status_of(monkeypatch, [], main) == 143
    finally:
        signal.signal(signal.SIGTERM, before)
    assert saved == ["kept"]
    line = "stopped: ended by SIGTERM, results are kept; to go on: python -m thing\n"
    assert capsys.readouterr().err == line
