"""PyTorch's side of `benchmarks.throughput`; run by a Python that has it.

    python sweep_in_torch.py LIBRARY FOLDER

LIBRARY is `open_clip` or `transformers`, FOLDER a checkpoint in transformers' layout: both get the
same weights. Every line on standard input is a request in JSON, answered by a line with `seconds`
and, where there are any, `scores`:

- `sweep`: a panorama at every shift, one view after the other, its prompt embedded each time;
- `folder`: many panoramas at one shift as one batch, their prompts as another, as the papers'
  scripts take a folder of shifted images;
- `tower`: a batch of noise through the image tower.

`form` is `float32`, `autocast` (to bfloat16) or `module` (weights in bfloat16).
"""

# pyright: reportMissingImports=false
import contextlib
import copy
import functools
import importlib.metadata
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torchvision import transforms
from transformers import AutoTokenizer, CLIPModel


class Transformers(torch.nn.Module):
    """CLIP of the transformers library, with open_clip's two methods."""

    def __init__(self, folder):
        super().__init__()
        self.model = CLIPModel.from_pretrained(folder)

    def encode_image(self, pixels):
        """Not normalised."""
        vision = self.model.vision_model(pixel_values=pixels)
        return self.model.visual_projection(vision.pooler_output)

    def encode_text(self, ids):
        """Not normalised."""
        return self.model.text_projection(self.model.text_model(input_ids=ids).pooler_output)


def open_clip_model(folder, config):
    """open_clip's network with the weights of a checkpoint in transformers' layout."""
    import open_clip.model

    vision, text = config["vision_config"], config["text_config"]
    towers = [
        {
            "layers": tower["num_hidden_layers"],
            "width": tower["hidden_size"],
            "mlp_ratio": tower["intermediate_size"] / tower["hidden_size"],
        }
        for tower in (vision, text)
    ]
    towers[0] |= {name: vision[name] for name in ("patch_size", "image_size")}
    towers[0]["head_width"] = vision["hidden_size"] // vision["num_attention_heads"]
    towers[1] |= {"heads": text["num_attention_heads"], "vocab_size": text["vocab_size"]}
    towers[1]["context_length"] = text["max_position_embeddings"]
    quick = vision["hidden_act"] == "quick_gelu"
    model = open_clip.model.CLIP(config["projection_dim"], *towers, quick_gelu=quick)
    tensors = load_file(Path(folder) / "model.safetensors")
    model.load_state_dict(dict(_open_clip_tensors(tensors, towers)))
    return model


def _open_clip_tensors(tensors, towers):
    names = {
        "logit_scale": "logit_scale",
        "visual.class_embedding": "vision_model.embeddings.class_embedding",
        "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
        "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
        "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
        "positional_embedding": "text_model.embeddings.position_embedding.weight",
    }
    modules = {
        "visual.ln_pre": "vision_model.pre_layrnorm",
        "visual.ln_post": "vision_model.post_layernorm",
        "ln_final": "text_model.final_layer_norm",
    }
    blocks = {
        "attn.out_proj": "self_attn.out_proj",
        "ln_1": "layer_norm1",
        "ln_2": "layer_norm2",
        "mlp.c_fc": "mlp.fc1",
        "mlp.c_proj": "mlp.fc2",
    }
    for source, target, tower in zip(("vision", "text"), ("visual.", ""), towers, strict=True):
        for layer in range(tower["layers"]):
            ours = f"{source}_model.encoder.layers.{layer}"
            theirs = f"{target}transformer.resblocks.{layer}"
            modules |= {f"{theirs}.{name}": f"{ours}.{own}" for name, own in blocks.items()}
            for leaf in ("weight", "bias"):
                parts = [tensors[f"{ours}.self_attn.{part}_proj.{leaf}"] for part in "qkv"]
                yield f"{theirs}.attn.in_proj_{leaf}", torch.cat(parts)
    for leaf in ("weight", "bias"):
        names |= {f"{theirs}.{leaf}": f"{ours}.{leaf}" for theirs, ours in modules.items()}
    yield from ((theirs, tensors[name]) for theirs, name in names.items())
    yield "visual.proj", tensors["visual_projection.weight"].T
    yield "text_projection", tensors["text_projection.weight"].T


def main() -> None:
    """Build the model, then answer."""
    library, folder = sys.argv[1:]
    config = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
    prepared = json.loads((Path(folder) / "preprocessor_config.json").read_text(encoding="utf-8"))
    size = config["vision_config"]["image_size"]
    preprocess = transforms.Compose(
        [
            transforms.Resize(size, transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(size),
            transforms.ToTensor(),
            transforms.Normalize(prepared["image_mean"], prepared["image_std"]),
        ]
    )
    tokenizer = AutoTokenizer.from_pretrained(folder)
    length = config["text_config"]["max_position_embeddings"]
    model = open_clip_model(folder, config) if library == "open_clip" else Transformers(folder)
    model.eval()
    forms = {"float32": model, "autocast": model, "module": copy.deepcopy(model).bfloat16()}

    def scores(form, panoramas, prompts):
        model = forms[form]
        pixels = torch.stack([preprocess(panorama) for panorama in panoramas])
        ids = tokenizer(prompts, padding="max_length", max_length=length, truncation=True)
        image = model.encode_image(pixels.bfloat16() if form == "module" else pixels).float()
        text = model.encode_text(torch.tensor(ids["input_ids"])).float()
        cosine = torch.nn.functional.cosine_similarity(image, text)
        return (100 * cosine).tolist()

    def shifted(path, shift):
        pixels = np.asarray(Image.open(path).convert("RGB"))
        return Image.fromarray(np.roll(pixels, shift, axis=1))

    def answer(form, request):
        if "tower" in request:
            forms[form].encode_image(noise(request["tower"], form))
            return []
        if "sweep" in request:
            path, prompt = request["sweep"]
            views = ([shifted(path, shift)] for shift in request["shifts"])
            return [score for view in views for score in scores(form, view, [prompt])]
        paths, prompts = request["folder"]
        return scores(form, [shifted(path, request["shift"]) for path in paths], prompts)

    @functools.cache
    def noise(batch, form):
        pixels = torch.randn(batch, 3, size, size)
        return pixels.bfloat16() if form == "module" else pixels

    versions = {name: importlib.metadata.version(name) for name in ("torch", _PACKAGES[library])}
    print(json.dumps({"versions": versions, "threads": torch.get_num_threads()}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        form = request["form"]
        half = form == "autocast"
        casting = torch.autocast("cpu", torch.bfloat16) if half else contextlib.nullcontext()
        with torch.inference_mode(), casting:
            begun = time.perf_counter()
            found = answer(form, request)
            seconds = time.perf_counter() - begun
        print(json.dumps({"seconds": seconds, "scores": found}), flush=True)


_PACKAGES = {"open_clip": "open_clip_torch", "transformers": "transformers"}

if __name__ == "__main__":
    main()
