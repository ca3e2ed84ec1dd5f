"""Full-size towers of every family beside the PyTorch libraries; needs the extra `torch`.

Weights are random and large enough for every layer to matter. One network at a time is in memory,
the largest a billion parameters: `make parity` takes some 12 GB.
"""

import gc
import json

import jax
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import save_file

from jclip.checkpoints import load_checkpoint
from jclip.checkpoints.architectures import ARCHITECTURES

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch")

# One network of every kind of tower among open_clip's, and what is changed to fit into memory.
OPEN_CLIP = {
    "ViT-B-16": {},
    "ViT-B-16-SigLIP": {},
    "ViT-B-32-SigLIP2-256": {},
    "ViT-SO400M-14-SigLIP": {},
    "ViT-L-14-CLIPA": {},
    "ViT-H-14-worldwide": {"vocab_size": 4000},
    "PE-Core-B-16": {},
    "PE-Core-S-16-384": {},
    "EVA02-B-16": {},
    "EVA02-L-14-336": {},
}
CLOSE = 1e-4


def randomised(model):
    """The same network with random values in every parameter, for inference."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.numel() == 1 and parameter.ndim < 2:
                continue
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim > 1:
                parameter.copy_(noise * (parameter[0].numel() ** -0.5))
            else:
                parameter.copy_(0.1 * noise + name.endswith("weight"))
    return model.eval()


def token_ids(context, vocabulary, end):
    """Two texts of different lengths."""
    ids = np.random.default_rng(0).integers(3, vocabulary - 1, (2, context), np.int32)
    for row, at in zip(ids, (context // 3, context - 2), strict=True):
        row[at], row[at + 1 :] = vocabulary - 1 if end is None else end, 1
    return ids


def save(model, folder, name):
    tensors = {key: tensor.numpy() for key, tensor in model.state_dict().items()}
    save_file({key: np.ascontiguousarray(t) for key, t in tensors.items()}, folder / name)


def ours(folder, images, ids, config=None):
    """Embeddings of pixels (or patches and shapes) and of token ids, not normalised."""
    clip = load_checkpoint(folder).clip
    if config is not None:
        assert clip.config == config
    graph, state = nnx.split(clip)

    def embed(state, images, ids):
        clip = nnx.merge(graph, state)
        seen = clip.encode_patches(*images) if len(images) > 1 else clip.encode_image(*images)
        return seen, clip.encode_text(ids)

    return jax.device_get(jax.jit(embed)(state, images, ids))


def agree(found, wanted):
    for own, theirs in zip(found, wanted, strict=True):
        theirs = theirs.numpy()
        assert theirs.std() > 0.05
        assert np.abs(own - theirs).max() < CLOSE * max(1, np.abs(theirs).max())


@pytest.mark.parametrize("name", OPEN_CLIP)
def test_towers_of_open_clip(tmp_path, name):
    open_clip = pytest.importorskip("open_clip")
    values = open_clip.get_model_config(name)
    values["text_cfg"] |= OPEN_CLIP[name]
    custom = values.pop("custom_text", False) or "timm_model_name" in values["vision_cfg"]
    kind = open_clip.CustomTextCLIP if custom else open_clip.CLIP
    model = randomised(kind(**values))
    expected = None if OPEN_CLIP[name] else ARCHITECTURES[name]
    text, size = values["text_cfg"], values["vision_cfg"]["image_size"]
    end = text.get("eos_id", 2) if text.get("pool_type") == "eos" else None
    ids = token_ids(text.get("context_length", 77), text.get("vocab_size", 49408), end)
    pixels = np.random.default_rng(1).standard_normal((2, 3, size, size), np.float32)
    with torch.no_grad():
        wanted = model.encode_image(torch.tensor(pixels)), model.encode_text(torch.tensor(ids))
    save(model, tmp_path, "open_clip_model.safetensors")
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": values}))
    del model
    gc.collect()
    agree(ours(tmp_path, (pixels.transpose(0, 2, 3, 1),), ids, expected), wanted)


def transformers_model(kind):
    """A full-size network of transformers, base size."""
    import transformers

    text, vision = {"vocab_size": 4000}, {}
    if kind == "longclip":
        text |= {"max_position_embeddings": 248, "eos_token_id": 3999}
        config = transformers.CLIPConfig(text_config=text, vision_config=vision)
        return transformers.CLIPModel(config)
    if kind == "metaclip_2":
        text |= {"eos_token_id": 2}
        config = transformers.MetaClip2Config(text_config=text, vision_config=vision)
        return transformers.MetaClip2Model(config)
    name = {"siglip": "Siglip", "siglip2": "Siglip2"}[kind]
    config = getattr(transformers, f"{name}Config")(text_config=text, vision_config=vision)
    return getattr(transformers, f"{name}Model")(config)


@pytest.mark.parametrize("kind", ["siglip", "siglip2", "metaclip_2", "longclip"])
def test_towers_of_transformers(tmp_path, kind):
    model = randomised(transformers_model(kind))
    text = model.config.text_config
    rng = np.random.default_rng(1)
    if kind == "siglip2":
        # Grids of two shapes, the smaller one padded.
        shapes = np.array([[12, 20], [9, 11]], np.int32)
        patches = rng.standard_normal((2, 240, 768), np.float32)
        mask = np.arange(240) < shapes.prod(axis=1)[:, None]
        patches *= mask[..., None]
        images = patches, shapes
        seen = {"pixel_values": patches, "pixel_attention_mask": mask, "spatial_shapes": shapes}
    else:
        size = model.config.vision_config.image_size
        pixels = rng.standard_normal((2, 3, size, size), np.float32)
        images, seen = (pixels.transpose(0, 2, 3, 1),), {"pixel_values": pixels}
    end = {"metaclip_2": 2, "longclip": 3999}.get(kind)
    ids = token_ids(text.max_position_embeddings, 4000, end)
    given = {name: torch.tensor(value) for name, value in seen.items()}
    with torch.no_grad():
        wanted = [
            model.get_image_features(**given).pooler_output,
            model.get_text_features(input_ids=torch.tensor(ids)).pooler_output,
        ]
    model.save_pretrained(tmp_path)
    del model
    gc.collect()
    agree(ours(tmp_path, images, ids), wanted)
