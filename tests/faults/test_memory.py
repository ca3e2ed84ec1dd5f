"""Memory that is exhausted: one line that says so, parts kept, and the run goes on with less."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
CHECKPOINT = ROOT / "tests" / "golden" / "hf_full"
# Of address space: from too little for the first batch to nearly enough for all.
GIGABYTES = (2.0, 2.6, 3.0, 3.4)
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Two panoramas that decoded together take most of a gigabyte."""
    folder = tmp_path_factory.mktemp("large")
    for name in ("a.png", "b.png"):
        Image.new("RGB", (16384, 8192)).save(folder / name)
    (folder / "prompts.txt").write_text("a hall\na road\n")
    return folder


@pytest.mark.parametrize("gigabytes", GIGABYTES)
def test_exhausted_memory_is_one_line(large, tmp_path, gigabytes):
    # Set by a shell, as a fork out of a process that runs JAX may hang.
    limited = ["sh", "-c", f'ulimit -v {int(gigabytes * 1e6)} && exec "$@"', "sh", sys.executable]
    images = ["--model", str(CHECKPOINT), "--images", str(large), "--beta", "None"]
    command = ["-m", "experiments.shift_sweep", *images, "--out", str(tmp_path / "run")]
    ended = subprocess.run(
        [*limited, *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    said = ended.stderr.replace("\r", "\n")
    assert ended.returncode == 1 and "Traceback" not in said, said
    (line,) = [line for line in said.splitlines() if line.startswith(("stopped:", "error:"))]
    assert line.startswith("stopped: out of memory") and "--batch-size" in line
