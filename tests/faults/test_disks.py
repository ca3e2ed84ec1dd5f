"""Disks that are full or read-only: a clear end, nothing lost, and the run goes on elsewhere."""

import os
import shlex
import shutil
import subprocess

import pytest
from slowed_runs import FEATURES, ROOT, SWEEP, TUNING, assert_same, command

pytestmark = pytest.mark.slow
# A mount of this process alone; what lies on it is copied out before it is gone.
SMALL = """
set -e
mount -t tmpfs -o size={size}k none {disk}
set +e
{command}
status=$?
cp -r {disk}/run {saved}
exit $status
"""
READ_ONLY = """
set -e
mount -t tmpfs -o ro none {disk}
exec {command}
"""


@pytest.fixture
def on_disk(tmp_path):
    """A function that runs an experiment on a disk of its own: (status, stderr, what was kept)."""
    allowed = shutil.which("unshare") and not subprocess.run(["unshare", "-rm", "true"]).returncode
    if not allowed:
        pytest.skip("this system lets nobody mount a small disk of their own (unshare -rm)")
    disk, saved = tmp_path / "disk", tmp_path / "saved"
    disk.mkdir()

    def go(script, run, data, **size):
        line = shlex.join(command(run, data, disk / "run"))
        script = script.format(command=line, disk=disk, saved=saved, **size)
        done = subprocess.run(
            ["unshare", "-rm", "sh", "-c", script],
            cwd=ROOT,
            env=os.environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        # Orbax may have more to say after the last word of the command.
        said = [
            line for line in done.stderr.splitlines() if line.startswith(("stopped:", "error:"))
        ]
        assert len(said) == 1, done.stderr
        return done.returncode, said[0], saved

    return go


@pytest.mark.parametrize(
    ("run", "kilobytes"),
    [(SWEEP, 60), (FEATURES, 36), (TUNING, 1500)],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_full_disk_ends_the_run_and_loses_nothing(run, kilobytes, on_disk, undisturbed):
    data, expected = undisturbed(run)
    status, said, saved = on_disk(SMALL, run, data, size=kilobytes)
    assert status == 1 and said.startswith("stopped: ") and "No space left on device" in said
    kept = [*saved.glob("parts/*.parquet"), *saved.glob("*/checkpoints/*/state")]
    assert kept, "something had been computed before the disk was full"
    assert run.main(data, saved) == 0
    assert_same(run.results(saved), expected)


def test_a_read_only_disk_is_refused_before_anything_is_computed(on_disk, tmp_path):
    data = SWEEP.write_pictures(tmp_path / "pictures")
    status, said, _ = on_disk(READ_ONLY, SWEEP, data)
    assert status == 2
    assert said.endswith("disk/run: cannot be written (Read-only file system)")
