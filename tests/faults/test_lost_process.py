"""One of two processes is killed: the other ends with a clear error, and the run goes on later."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from noise_panoramas import write_panoramas
from slowed import SILENCE_SECONDS
from slowed_runs import slowed

from experiments import shift_sweep
from jclip.distributed import HEARTBEAT_SECONDS
from jclip.runs.options import ImageOptions, ModelOptions, OutputOptions

ROOT = Path(__file__).parents[2]
CHECKPOINT = Path(__file__).parents[1] / "golden" / "hf_full"
PANORAMAS = 12
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    names = [f"{i}.png" for i in range(PANORAMAS)]
    folder = write_panoramas(tmp_path_factory.mktemp("panoramas"), names)
    return ("--model", str(CHECKPOINT), "--images", str(folder), "--batch-size", "9")


@pytest.fixture(scope="module")
def undisturbed(command, tmp_path_factory):
    """The scores of one process that nobody kills."""
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    model, images = command[1], command[3]
    options = shift_sweep.Options(
        ModelOptions(models=(model,)),
        ImageOptions(images=(images,)),
        OutputOptions(out=out, batch_size=9),
    )
    assert shift_sweep.main(options) == 0
    return scores(out)


def start_two(*arguments):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = [*arguments, "--coordinator", f"127.0.0.1:{port}", "--num-processes", "2"]
    return [
        subprocess.Popen(
            slowed(1, "shift_sweep", *shared, "--process-id", str(index)),
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(2)
    ]


def scores(folder):
    return pq.read_table(folder / "scores.parquet")["score"].to_numpy()


@pytest.mark.parametrize("victim", [0, 1])
def test_the_other_ends_and_the_run_goes_on_alone(command, undisturbed, victim, tmp_path):
    both = start_two(*command, "--out", str(tmp_path / "run"))
    parts = tmp_path / "run" / "parts"
    until = time.monotonic() + 120
    while len(list(parts.glob("000-*.parquet"))) < 2 or not list(parts.glob("001-*.parquet")):
        assert time.monotonic() < until
        assert both[victim].poll() is None, both[victim].communicate()[1]
        time.sleep(0.1)
    both[victim].kill()
    killed_at = time.monotonic()
    _, said = both[1 - victim].communicate(timeout=60)
    assert time.monotonic() - killed_at < 2 * HEARTBEAT_SECONDS
    assert SILENCE_SECONDS <= HEARTBEAT_SECONDS <= 30
    assert both[1 - victim].returncode == 1
    last = said.strip().splitlines()[-1]
    assert last.startswith("stopped: this process was ended by SIGABRT (another process died")
    both[victim].communicate(timeout=60)
    kept = {path.name: path.read_bytes() for path in parts.glob("*.parquet")}
    assert len(kept) >= 3

    alone = [sys.executable, "-m", "experiments.shift_sweep", *command]
    flags = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    resumed = subprocess.run(
        [*alone, "--out", str(tmp_path / "run")],
        cwd=ROOT,
        env=flags,
        capture_output=True,
        text=True,
    )
    assert resumed.returncode == 0, resumed.stderr
    np.testing.assert_allclose(scores(tmp_path / "run"), undisturbed, rtol=0, atol=1e-5)
