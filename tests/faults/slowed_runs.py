"""Experiments as processes that can be killed, slow enough for a kill to fall into their work."""

import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import tyro
from noise_panoramas import write_panoramas
from safetensors.numpy import load_file

from experiments import extract_features, lora_finetune, shift_sweep
from jclip.data.features import read_features

ROOT = Path(__file__).parents[2]
CHECKPOINT = str(Path(__file__).parents[1] / "golden" / "hf_full")


@dataclasses.dataclass(frozen=True)
class SlowedRun:
    """An experiment with its options, on so many pictures, and how to read what came out."""

    experiment: ModuleType
    options: tuple[str, ...]
    pictures: int
    results: Callable[[Path], dict[str, Any]]

    @property
    def name(self):
        return self.experiment.__name__.removeprefix("experiments.")

    def write_pictures(self, folder):
        """With captions in both forms that an experiment may read."""
        write_panoramas(folder, [f"{i}.png" for i in range(self.pictures)])
        captions = [
            {"imgid": i, "filename": f"{i}.png", "split": "test",
             "sentences": [{"sentid": 2 * i + j, "raw": f"room {i} {j}"} for j in range(2)]}
            for i in range(self.pictures)
        ]  # fmt: skip
        (folder / "captions.json").write_text(json.dumps({"images": captions}))
        return folder

    def arguments(self, data, out):
        options = [option.format(data=data) for option in self.options]
        return ["--model", CHECKPOINT, "--images", str(data), *options, "--out", str(out)]

    def main(self, data, out):
        """In this process, and not slowed."""
        options = tyro.cli(self.experiment.Options, args=self.arguments(data, out))
        return self.experiment.main(options)


def _scores(out):
    table = pq.read_table(out / "scores.parquet")
    return {name: table[name].to_numpy() for name in ("image", "score", "mirrored_score")}


def _features(out):
    features = read_features(out)
    return {"images": features.images, "captions": features.captions, "texts": features.texts}


def _tuned(out):
    # Tensors, not bytes: safetensors writes its metadata in any order.
    adapter = out / "lambda-0.5-seed-0" / "adapter" / "adapter_model.safetensors"
    return {
        **load_file(adapter),
        "metrics": (out / "lambda-0.5-seed-0" / "metrics.csv").read_text(),
        "table": (out / "trade_off.csv").read_text(),
    }


# Twelve batches of two panoramas.
SWEEP = SlowedRun(shift_sweep, ("--batch-size", "18"), 24, _scores)
# Sixteen pictures, two at a time, and their captions.
FEATURES = SlowedRun(
    extract_features,
    ("--coco", "{data}/captions.json", "--batch-size", "2"),
    16,
    _features,
)
# Six epochs of two steps, of which every other one ends with a checkpoint.
TUNING = SlowedRun(
    lora_finetune,
    ("--epochs", "6", "--batch-size-train", "8", "--split", "0.4,0.1,0.5"),
    40,
    _tuned,
)


def slowed(seconds, name, *arguments):
    """A command that takes some seconds more for every picture; its folder has to be ROOT."""
    return [sys.executable, "-m", "tests.faults.slowed", str(seconds), name, *arguments]


def command(run, data, out):
    """The slowed experiment as an argument list."""
    return slowed(0.05, run.name, *run.arguments(data, out))


def kill_after_start(run, data, out, seconds):
    """Start it, let it work for some seconds after it has opened its folder, kill -9."""
    process = subprocess.Popen(
        command(run, data, out),
        cwd=ROOT,
        env=os.environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    until = time.monotonic() + 120
    while not (out / "run.json").exists():
        assert time.monotonic() < until and process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    time.sleep(seconds)
    process.kill()
    said = process.communicate()[1]
    assert process.returncode in (-9, 0), said


def assert_same(found, expected):
    """Not one bit differs."""
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        if isinstance(values, np.ndarray):
            np.testing.assert_array_equal(found[name], values, err_msg=name)
        else:
            assert found[name] == values, name
