"""Parameters split over eight devices: the losses of one device, an eighth of the memory."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from noise_panoramas import write_panoramas
from safetensors.numpy import load_file

TENSORS = "adapter_model.safetensors"
ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.slow
SCRIPT = """
import dataclasses
import shutil
import sys
from pathlib import Path

import jax
import numpy as np

from jclip import distributed
from jclip.checkpoints import load_checkpoint
from jclip.data.image_sets import open_image_set
from jclip.training.lora import LORA_RECIPES, train_adapter

# The golden network is small: with the usual bound its factors would stay whole.
distributed.SMALLEST_SPLIT = 64
model, images, out = sys.argv[1:]
checkpoint, opened = load_checkpoint(model), open_image_set(images)
rows = np.random.default_rng(0).standard_normal((16, checkpoint.clip.config.embedding_width))
texts = np.float32(rows / np.linalg.norm(rows, axis=1, keepdims=True))
recipe = dataclasses.replace(LORA_RECIPES["corrected"], epochs=10, batch_size_train=8)
common = "squash", opened.images, texts, np.full(16, 20, np.float32)
settings = {"lam": 0.5, "seed": 0, "epochs_between_checkpoints": 1}


def train(name, recipe, split):
    train_adapter(checkpoint, recipe, *common, Path(out) / name, **settings, split=split)


mesh = distributed.data_mesh(8)
kernel = checkpoint.clip.image_tower.transformer.blocks.mlp.up.kernel[...]
held = distributed.split_parameters(mesh, kernel).addressable_shards[0].data
assert held.nbytes == kernel.nbytes // 8
train("whole", recipe, False)
train("split", recipe, True)
train("resumed", dataclasses.replace(recipe, epochs=4), True)
shutil.rmtree(Path(out) / "resumed" / "adapter")
train("resumed", recipe, True)
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("split")
    write_panoramas(folder / "images", [f"{i:02}.png" for i in range(16)])
    flags = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=8"}
    arguments = ["tests/golden/hf_full", str(folder / "images"), str(folder)]
    command = [sys.executable, "-c", SCRIPT, *arguments]
    done = subprocess.run(command, cwd=ROOT, env=flags, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def metrics(folder):
    return np.genfromtxt(folder / "metrics.csv", delimiter=",", names=True)


def test_the_losses_are_those_of_whole_parameters(trained):
    whole, split = metrics(trained / "whole"), metrics(trained / "split")
    assert len(whole) == 2
    for name in ("loss", "gradient_norm", "change"):
        np.testing.assert_allclose(split[name], whole[name], rtol=1e-5)


def test_the_adapters_are_the_same(trained):
    whole, split = (load_file(trained / name / "adapter" / TENSORS) for name in ("whole", "split"))
    assert whole.keys() == split.keys()
    assert any(np.abs(value).max() > 1e-3 for name, value in whole.items() if "lora_B" in name)
    for name, value in whole.items():
        np.testing.assert_allclose(split[name], value, atol=2e-4, err_msg=name)


def test_a_resumed_run_ends_with_the_same_bits(trained):
    tensors = (load_file(trained / name / "adapter" / TENSORS) for name in ("split", "resumed"))
    straight, resumed = tensors
    for name, value in straight.items():
        np.testing.assert_array_equal(resumed[name], value, err_msg=name)
