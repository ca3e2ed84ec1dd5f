"""What is wrong with the models of a command is found before anything is computed or written."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from jclip.errors import InputError
from jclip.runs.models import describe_models
from jclip.runs.options import ModelOptions

GOLDEN = Path(__file__).parents[1] / "golden"
WEIGHTS, FACTORS = "model.safetensors", "adapter_model.safetensors"


def copied(source, to, change):
    """A folder with all files of another one, its tensors changed."""
    to.mkdir()
    for path in source.iterdir():
        if path.suffix == ".json":
            (to / path.name).write_bytes(path.read_bytes())
        elif path.suffix == ".safetensors":
            save_file(change(load_file(path)), to / path.name)
    return to


def test_weights_of_another_network_are_refused_when_they_are_described(tmp_path):
    folder = copied(GOLDEN / "hf_full", tmp_path / "model", lambda t: t | {"x": np.ones(3)})
    with pytest.raises(InputError, match="does not hold the network it describes; unexpected: x"):
        describe_models(ModelOptions(models=(str(folder),)))


def test_adapters_of_another_network_are_refused_when_they_are_described(tmp_path):
    source, name = GOLDEN / "hf_full" / "peft_adapter", str(GOLDEN / "hf_full")
    rank = json.loads((source / "adapter_config.json").read_text())["r"]
    more = {
        f"base_model.model.visual_projection.lora_{factor}.weight": np.ones(shape, np.float32)
        for factor, shape in (("A", (rank, 64)), ("B", (32, rank)))
    }
    folder = copied(source, tmp_path / "adapter", lambda tensors: tensors | more)
    with pytest.raises(InputError, match="adapts visual_projection, which is not supported"):
        describe_models(ModelOptions(models=(name,), adapter=folder))
    (described,) = describe_models(ModelOptions(models=(name,), adapter=source))
    assert described.identity.name.endswith("+peft_adapter")
    # Without weights to look at, an adapter is held against the architecture.
    with pytest.raises(InputError, match="is for another architecture"):
        describe_models(ModelOptions(models=("random:ViT-L-14",), adapter=source))


def test_a_file_alone_is_a_model(tmp_path):
    options = ModelOptions(models=(str(GOLDEN / "hf_full" / WEIGHTS),), architecture="ViT-B-32")
    with pytest.raises(InputError, match="it has blocks up to number"):
        describe_models(options)
    assert describe_models(ModelOptions(models=(str(GOLDEN / "hf_full" / WEIGHTS),)))
