"""Experiments as processes that can be killed, slow enough for a kill to fall into their work."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image
from safetensors.numpy import load_file

from experiments import extract_features, lora_finetune, shift_sweep
from jclip.data.features import read_features
from jclip.runs.options import ImageOptions, ModelOptions, OutputOptions

ROOT = Path(__file__).parents[2]
CHECKPOINT = str(Path(__file__).parents[1] / "golden" / "hf_full")
# Every batch is kept, every image takes a while, every epoch ends with a checkpoint.
SLOWED = """
import importlib, sys, time
import jclip.data.pipeline as pipeline, jclip.data.training_batches as training_batches
import jclip.runs.parts as parts
from jclip.runs.command import run_command
parts.SECONDS_BETWEEN_PARTS = 0
for reader in (pipeline, training_batches):
    decode = reader.decode
    reader.decode = lambda image, decode=decode: (time.sleep(0.05), decode(image))[1]
experiment = importlib.import_module(f"experiments.{sys.argv.pop(1)}")
experiment.EPOCHS_BETWEEN_CHECKPOINTS = 1
run_command(experiment.Options, experiment.main)
"""


def write_panoramas(folder, count):
    """Seeded noise of 64 x 32 pixels with captions."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(count):
        Image.fromarray(rng.integers(0, 256, (32, 64, 3), np.uint8)).save(folder / f"{i}.png")
    rows = "".join(f"{i}.png,a room number {i}\n" for i in range(count))
    (folder / "captions.csv").write_text("file,caption\n" + rows)
    return folder


class Sweep:
    """Twelve batches of two panoramas."""

    name = "shift_sweep"
    panoramas = 24

    @staticmethod
    def arguments(data, out):
        return ["--model", CHECKPOINT, "--images", data, "--batch-size", 18, "--out", out]

    @staticmethod
    def main(data, out):
        return shift_sweep.main(
            shift_sweep.Options(
                ModelOptions(models=(CHECKPOINT,)),
                ImageOptions(images=(str(data),)),
                OutputOptions(out=out, batch_size=18),
            )
        )

    @staticmethod
    def results(out):
        table = pq.read_table(out / "scores.parquet")
        return {name: table[name].to_numpy() for name in ("image", "score", "mirrored_score")}


class Features:
    """Eight photos of the demo world, two at a time, and their captions."""

    name = "extract_features"
    panoramas = 0

    @staticmethod
    def arguments(data, out):
        demo = ["--coco", "demo", "--demo-scenes", 8]
        return ["--model", CHECKPOINT, *demo, "--batch-size", 2, "--out", out]

    @staticmethod
    def main(data, out):
        return extract_features.main(
            extract_features.Options(
                ModelOptions(models=(CHECKPOINT,)),
                OutputOptions(out=out, batch_size=2),
                coco="demo",
                demo_scenes=8,
            )
        )

    @staticmethod
    def results(out):
        features = read_features(out)
        return {"images": features.images, "captions": features.captions, "texts": features.texts}


class Tuning:
    """Six epochs of two steps."""

    name = "lora_finetune"
    panoramas = 40

    @staticmethod
    def arguments(data, out):
        rest = ["--epochs", 6, "--batch-size-train", 8, "--split", "0.4,0.1,0.5"]
        return ["--model", CHECKPOINT, "--images", data, *rest, "--out", out]

    @staticmethod
    def main(data, out):
        return lora_finetune.main(
            lora_finetune.Options(
                ModelOptions(models=(CHECKPOINT,)),
                ImageOptions(images=(str(data),)),
                OutputOptions(out=out),
                epochs=6,
                batch_size_train=8,
                split=(0.4, 0.1, 0.5),
            )
        )

    @staticmethod
    def results(out):
        # Tensors, not bytes: safetensors writes its metadata in any order.
        adapter = out / "lambda-0.5-seed-0" / "adapter" / "adapter_model.safetensors"
        return {
            **load_file(adapter),
            "metrics": (out / "lambda-0.5-seed-0" / "metrics.csv").read_text(),
            "table": (out / "trade_off.csv").read_text(),
        }


def command(experiment, data, out):
    """The slowed experiment as an argument list."""
    arguments = [str(argument) for argument in experiment.arguments(data, out)]
    return [sys.executable, "-c", SLOWED, experiment.name, *arguments]


def kill_after_start(experiment, data, out, seconds):
    """Start it, let it work for some seconds after it has opened its folder, kill -9."""
    process = subprocess.Popen(
        command(experiment, data, out),
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
    return process.returncode


def assert_same(found, expected):
    """Not one bit differs."""
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        if isinstance(values, np.ndarray):
            np.testing.assert_array_equal(found[name], values, err_msg=name)
        else:
            assert found[name] == values, name
