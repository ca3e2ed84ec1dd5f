"""Whatever the terminal, the locale and the reader of the output, a command runs and ends."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMAND = """
import dataclasses, sys, threading
from pathlib import Path
from jclip.runs.command import run_command

@dataclasses.dataclass(frozen=True)
class Options:
    word: str = "a"
    folder: Path = Path(".")

def main(options):
    {body}
    return 3

run_command(Options, main)
"""


@pytest.fixture
def command(tmp_path):
    """A function that makes a command of a body, and runs it with a shell line around it."""

    def run(body, line="{command}", *arguments, **environment):
        script = tmp_path / "command.py"
        script.write_text(COMMAND.format(body=body), encoding="utf-8")
        started = " ".join([f"{sys.executable} {script}", *arguments])
        return subprocess.run(
            ["bash", "-o", "pipefail", "-c", line.format(command=started)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            capture_output=True,
        )

    return run


WRITE = 'for i in range(9999): print(f"{i:99}", flush=True)'


@pytest.mark.parametrize("line", ["{command} | head -1", "{command} 2>&1 | head -1"])
def test_a_reader_that_has_enough_ends_nothing(command, line):
    ended = command(WRITE + '\n    Path("done").touch()', line)
    assert ended.returncode == 3 and ended.stderr == b""
    assert len(ended.stdout.splitlines()) == 1


def test_help_that_nobody_reads_to_its_end_is_no_error(command):
    ended = command("pass", "{command} | head -1", "--help")
    assert (ended.returncode, ended.stderr) == (0, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_an_output_that_cannot_be_written_is_told_once(command):
    ended = command('print("x")', "{command} > /dev/full")
    assert ended.returncode == 1 and ended.stderr.count(b"\n") == 1
    assert ended.stderr.startswith(b"stopped: ") and b"No space left" in ended.stderr


def test_an_output_that_is_closed_from_the_start_is_no_error(command):
    assert command('print("x")', "{command} >&- 2>&-").returncode == 3


@pytest.mark.parametrize("locale", ["C", "POSIX"])
def test_the_locale_changes_nothing(command, tmp_path, locale):
    body = (
        'print(options.word); (options.folder / "é").write_text(open(options.folder / "ü.txt")'
        ".read())"
    )
    folder = tmp_path / "ö"
    folder.mkdir()
    (folder / "ü.txt").write_text("ß", encoding="utf-8")
    environment = {"LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    ended = command(body, "{command}", "--word", "café", "--folder", "ö", **environment)
    assert (ended.returncode, ended.stderr) == (3, b"")
    assert ended.stdout.decode("utf-8") == "café\n"
    assert (folder / "é").read_text(encoding="utf-8") == "ß"


def test_bytes_that_are_no_utf8_are_refused_in_texts_and_taken_in_names(command, tmp_path):
    os.mkdir(os.fsencode(tmp_path) + b"/caf\xe9")
    refused = command("pass", "{command}", "--word", "$'\\xe9a'")
    assert refused.returncode == 2
    assert refused.stderr == rb"error: --word: \udce9a: not UTF-8" + b"\n"
    taken = command("print(options.folder)", "{command}", "--folder", "$'caf\\xe9'")
    assert (taken.returncode, taken.stdout) == (3, b"caf\\udce9\n")


def test_a_thread_that_never_ends_does_not_keep_a_finished_command_alive(command):
    body = (
        "import jclip.runs.terminal as t; t.ENDS_WITHIN = 0.5\n"
        "    threading.Thread(target=threading.Event().wait).start()"
    )
    assert command(body, "timeout 60 {command}").returncode == 3


@pytest.mark.parametrize("platform", ["cuda", "nonsense"])
def test_a_platform_that_is_not_there_is_named(command, platform):
    ended = command("pass", "{command}", JAX_PLATFORMS=platform)
    assert ended.returncode == 2 and ended.stderr.count(b"\n") == 1
    assert ended.stderr.startswith(f"error: JAX_PLATFORMS={platform}: JAX finds no ".encode())


def test_what_cannot_be_imported_is_one_line(tmp_path):
    (tmp_path / "tyro.py").write_text("import a_package_that_is_not_there")
    ended = subprocess.run(
        [sys.executable, "-m", "experiments.prepare_dataset", "--help"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 2 and ended.stderr.count("\n") == 1
    assert ended.stderr.startswith("error: ModuleNotFoundError") and "not_there" in ended.stderr
