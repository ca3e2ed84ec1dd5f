"""Live comparison with the PyTorch libraries; needs the extra `torch` (`make parity`)."""

from pathlib import Path

import numpy as np
import pytest

from jclip.checkpoints import REGISTRY, load_checkpoint, save_clip

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch")

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.mark.parametrize("name", ["hf_quick_gelu", "hf_full", "open_clip_gelu"])
def test_what_is_saved_loads_in_transformers(tmp_path, name):
    import transformers

    checkpoint = load_checkpoint(GOLDEN / name)
    save_clip(tmp_path / "saved", checkpoint)
    model, loading = transformers.CLIPModel.from_pretrained(
        tmp_path / "saved", output_loading_info=True
    )
    assert not any(loading.values()), loading
    model = model.eval()
    arrays = np.load(GOLDEN / name / "expected.npz")
    pixels, ids = arrays["pixels"], arrays["input_ids"]
    with torch.no_grad():
        image = model.visual_projection(model.vision_model(torch.tensor(pixels)).pooler_output)
        text = model.text_projection(model.text_model(torch.tensor(ids)).pooler_output)
    ours = checkpoint.clip.encode_image(pixels.transpose(0, 2, 3, 1))
    assert np.abs(np.asarray(ours) - image.numpy()).max() < 1e-5
    ours = checkpoint.clip.encode_text(ids.astype(np.int32))
    assert np.abs(np.asarray(ours) - text.numpy()).max() < 1e-5
    assert model.logit_scale.item() == float(checkpoint.clip.logit_scale[...])


def test_saved_preprocessing_and_tokenizer_load_in_transformers(tmp_path):
    from transformers import CLIPImageProcessor, CLIPTokenizer

    checkpoint = load_checkpoint(GOLDEN / "hf_full")
    save_clip(tmp_path / "saved", checkpoint)
    processor = CLIPImageProcessor.from_pretrained(tmp_path / "saved")
    assert tuple(processor.image_mean) == checkpoint.image_config.mean
    assert tuple(processor.image_std) == checkpoint.image_config.std
    tokenizer = CLIPTokenizer.from_pretrained(tmp_path / "saved")
    prompts = np.load(GOLDEN / "tokens.npz")["prompts"].tolist()
    ids = tokenizer(prompts, padding="max_length", max_length=77, truncation=True)["input_ids"]
    assert np.array_equal(ids, checkpoint.tokenizer(prompts).ids)


@pytest.mark.parametrize("name", REGISTRY)
def test_registry_agrees_with_open_clip(name):
    open_clip = pytest.importorskip("open_clip")
    entry = REGISTRY[name]
    architecture, tag = name.split("/")
    facts = open_clip.get_pretrained_cfg(architecture, tag)
    assert facts["hf_hub"].rstrip("/") == entry.hub_id
    assert facts.get("quick_gelu", False) == (entry.activation == "quick_gelu")
    assert (tuple(facts["mean"]), tuple(facts["std"])) == (entry.mean, entry.std)
    resize_mode = {"crop": "shortest", "squash": "squash"}[entry.fit]
    assert (facts["interpolation"], facts["resize_mode"]) == (entry.interpolation, resize_mode)
    from jclip.checkpoints.open_clip import read_config

    model = read_config(open_clip.get_model_config(architecture), name)
    assert entry.with_activation(model) == entry.config
