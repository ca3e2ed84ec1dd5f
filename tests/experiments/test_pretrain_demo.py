"""A few steps of pre-training on the demo world: the loss falls, a checkpoint comes out."""

import csv

import numpy as np
import pytest

from experiments import pretrain_demo
from jclip.checkpoints import load_checkpoint
from jclip.runs.command import run_command


def test_twenty_steps_lower_the_loss_and_write_a_checkpoint(monkeypatch, tmp_path):
    arguments = ["--cycles", "20", "--warmup-steps", "4", "--log-every", "1"]
    arguments += ["--panoramas", "8", "--photos", "8", "--close-ups", "16"]
    monkeypatch.setattr("sys.argv", ["pretrain_demo", *arguments, "--out", str(tmp_path / "run")])
    with pytest.raises(SystemExit) as end:
        run_command(pretrain_demo.Options, pretrain_demo.main)
    assert end.value.code == 0
    with (tmp_path / "run" / "metrics.csv").open() as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    assert len(losses) == 20
    assert np.mean(losses[-5:]) < np.mean(losses[:5])
    checkpoint = load_checkpoint(tmp_path / "run" / "checkpoint")
    assert checkpoint.clip.config.vision.image_size == 64
    assert not checkpoint.tokenizer(["a 360 degree view of two red balls"]).truncated.any()
