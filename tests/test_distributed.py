"""Several devices and several processes give the scores of one, and sweeps do not talk."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from noise_panoramas import write_panoramas

from experiments import extract_features, shift_sweep
from jclip.data.features import read_features
from jclip.runs.boxes import FeatureOptions
from jclip.runs.options import ImageOptions, ModelOptions, OutputOptions

ROOT = Path(__file__).parents[1]
CHECKPOINT = Path(__file__).parent / "golden" / "hf_full"
NAMES = tuple(f"{i}.png" for i in range(10))
EIGHT = "--xla_force_host_platform_device_count=8"
COMPILE = """
import sys
import jax
from jclip.checkpoints import load_checkpoint
from jclip.data.image_sets import open_image_set
from jclip.distributed import local_mesh, shard_batch
from jclip.probes.probe import score_views
from jclip.probes.shift import ShiftProbe
from jclip.probes.subjects import make_subjects
import numpy as np

checkpoint, opened, mesh = load_checkpoint(sys.argv[1]), open_image_set(sys.argv[2]), local_mesh()
assert mesh.size == 8
fits = ("crop", "squash", "tiles")
probe = ShiftProbe([64], 2, fits=fits, views_per_step=8, mirror=True)
subjects, _ = make_subjects(checkpoint, probe.fits, probe.prompts(opened))
assert [subject.fit for subject in subjects] == [*fits]
for subject in subjects:
    images = np.zeros((8, 32, 64, 3), np.uint8), subject.texts[:8]
    pixels, texts = shard_batch(mesh, images)
    score = lambda pixels, texts: score_views(probe.embed(subject, pixels), texts)
    compiled = jax.jit(score).lower(pixels, texts).compile()
    assert not any(s.is_fully_replicated for s in jax.tree.leaves(compiled.output_shardings))
    print(compiled.as_text())
"""


def run(*arguments, **environment):
    """One process to its end."""
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def run_two(*arguments):
    """Two processes of one run on this machine, to their end; what each wrote to stdout."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", *map(str, arguments), "--coordinator", f"127.0.0.1:{port}"]
    both = [
        subprocess.Popen(
            [*command, "--num-processes", "2", "--process-id", str(index)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(2)
    ]
    said = [process.communicate(timeout=240) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    return [stdout for stdout, _ in said]


def scores(folder):
    table = pq.read_table(folder / "scores.parquet")
    return np.stack([table["score"].to_numpy(), table["mirrored_score"].to_numpy()])


@pytest.fixture(scope="module")
def panoramas(tmp_path_factory):
    return write_panoramas(tmp_path_factory.mktemp("panoramas"), NAMES)


@pytest.fixture(scope="module")
def one_device(panoramas, tmp_path_factory):
    """The scores of one process on one device."""
    out = tmp_path_factory.mktemp("one") / "run"
    options = shift_sweep.Options(
        ModelOptions(models=(str(CHECKPOINT),)),
        ImageOptions(images=(str(panoramas),)),
        OutputOptions(out=out, batch_size=18),
    )
    assert shift_sweep.main(options) == 0
    return scores(out)


def arguments(panoramas, out):
    return ("experiments.shift_sweep", "--model", CHECKPOINT, "--images", panoramas, "--out", out)


def test_eight_devices_give_the_same_scores(panoramas, one_device, tmp_path):
    run("-m", *arguments(panoramas, tmp_path / "run"), XLA_FLAGS=EIGHT)
    np.testing.assert_allclose(scores(tmp_path / "run"), one_device, rtol=0, atol=1e-5)


def test_the_sweep_has_no_collective(panoramas):
    text = run("-c", COMPILE, CHECKPOINT, panoramas, XLA_FLAGS=EIGHT)
    assert text.count("ENTRY") == 3
    assert "num_partitions=8" in text
    assert not re.search(r"all-(gather|reduce|to-all)|collective|reduce-scatter", text)


def test_two_processes_give_the_same_scores(panoramas, one_device, tmp_path):
    lead, other = run_two(*arguments(panoramas, tmp_path / "run"), "--batch-size", 18)
    np.testing.assert_array_equal(scores(tmp_path / "run"), one_device)
    assert "report:" in lead
    assert "report:" not in other


def test_two_processes_extract_the_same_features(tmp_path):
    shared = ("--model", CHECKPOINT, "--coco", "demo", "--demo-scenes", 5, "--batch-size", 2)
    run_two("experiments.extract_features", *shared, "--out", tmp_path / "two")
    options = extract_features.Options(
        ModelOptions(models=(str(CHECKPOINT),)),
        OutputOptions(out=tmp_path / "one", batch_size=2),
        FeatureOptions(coco="demo", demo_scenes=5),
    )
    assert extract_features.main(options) == 0
    one, two = read_features(tmp_path / "one"), read_features(tmp_path / "two")
    np.testing.assert_array_equal(two.images, one.images)
    np.testing.assert_allclose(two.captions, one.captions, rtol=0, atol=1e-5)
    assert two.texts == one.texts
