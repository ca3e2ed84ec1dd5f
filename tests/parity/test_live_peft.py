"""Adapters that are written here load in peft and compute the same; needs the extra `torch`."""

from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx

from jclip.adapters.lora import LoRAConfig, add_adapter
from jclip.checkpoints import load_checkpoint, save_clip
from jclip.checkpoints.peft import load_adapter, save_adapter

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")

GOLDEN = Path(__file__).parents[1] / "golden"


def with_adapter(clip, targets, use_rslora):
    """An adapter that acts: B is not zero."""
    config = LoRAConfig(rank=3, alpha=5.0, use_rslora=use_rslora, targets=targets)
    adapted = add_adapter(clip, config, nnx.Rngs(0))
    graph, factors, rest = nnx.split(adapted, nnx.LoRAParam, ...)
    leaves, tree = jax.tree.flatten(factors)
    keys = jax.random.split(jax.random.key(1), len(leaves))
    drawn = [0.1 * jax.random.normal(k, x.shape) for k, x in zip(keys, leaves, strict=True)]
    return nnx.merge(graph, jax.tree.unflatten(tree, drawn), rest)


# transformers warns of how peft asks for the embeddings.
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("targets", ["all", "attention", "reference"])
@pytest.mark.parametrize("use_rslora", [False, True])
def test_a_transformers_adapter(tmp_path, targets, use_rslora):
    import transformers

    checkpoint = load_checkpoint(GOLDEN / "hf_gelu")
    adapted = with_adapter(checkpoint.clip, targets, use_rslora)
    save_clip(tmp_path / "base", checkpoint)
    save_adapter(adapted, tmp_path / "adapter")
    base = transformers.CLIPModel.from_pretrained(tmp_path / "base").eval()
    model = peft.PeftModel.from_pretrained(base, tmp_path / "adapter").eval()
    pixels = np.load(GOLDEN / "hf_gelu" / "expected.npz")["pixels"]
    with torch.no_grad():
        core = model.base_model.model
        theirs = core.visual_projection(core.vision_model(torch.tensor(pixels)).pooler_output)
    ours = np.asarray(adapted.encode_image(pixels.transpose(0, 2, 3, 1)))
    plain = np.asarray(checkpoint.clip.encode_image(pixels.transpose(0, 2, 3, 1)))
    assert np.abs(ours - plain).max() > 1e-2
    assert np.abs(ours - theirs.numpy()).max() < 1e-5


def test_an_open_clip_adapter(tmp_path):
    open_clip = pytest.importorskip("open_clip")
    import json

    from safetensors.torch import load_file

    folder = GOLDEN / "open_clip_gelu"
    clip = load_checkpoint(folder).clip
    adapted = with_adapter(clip, r"image_tower\..*\.mlp\..*", False)
    save_adapter(adapted, tmp_path / "adapter", layout="open_clip")
    config = json.loads((folder / "open_clip_config.json").read_text())["model_cfg"]
    base = open_clip.CLIP(**config)
    base.load_state_dict(load_file(folder / "open_clip_model.safetensors"))
    visual = peft.PeftModel.from_pretrained(base.eval().visual, tmp_path / "adapter").eval()
    pixels = np.load(folder / "expected.npz")["pixels"]
    with torch.no_grad():
        theirs = visual(torch.tensor(pixels)).numpy()
    ours = np.asarray(adapted.encode_image(pixels.transpose(0, 2, 3, 1)))
    assert np.abs(ours - theirs).max() < 1e-5
    again = load_adapter(clip, tmp_path / "adapter").clip
    np.testing.assert_array_equal(again.encode_image(pixels.transpose(0, 2, 3, 1)), ours)
