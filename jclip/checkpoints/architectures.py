"""The architectures known by open_clip's names, read as its configurations are.

Those of CLIP are plain (`jclip.models.ARCHITECTURES`); of the others it is said here what
open_clip's configuration of each says, so that the reader of such files makes the network of it.
"""

from typing import Any

from jclip.checkpoints import open_clip, siglip
from jclip.models import ARCHITECTURES as CLIP_ARCHITECTURES
from jclip.models import CLIPConfig
from jclip.text.formats import NAFLEX_TEXTS, TextFormat

# Width, heads and layers of a text tower.
_TEXT = {
    "B": (512, 8, 12),
    "plus": (640, 10, 12),
    "L": (768, 12, 12),
    "H": (1024, 16, 24),
    "bigG": (1280, 20, 32),
    "PE-T": (512, 8, 12),
    "PE-B": (1024, 16, 24),
    "PE-bigG": (1280, 20, 24),
}
# The same of SigLIP, and the MLP's width in units of the width.
_SIGLIP_TEXT = {
    "base": (768, 12, 12, 4.0),
    "large": (1024, 16, 24, 4.0),
    "so400m": (1152, 16, 27, 3.7362),
    "giantopt": (1152, 16, 27, 3.7362),
}
_SIGLIP_WIDTH = {"base": 768, "large": 1024, "so400m": 1152, "giantopt": 1536}
# Layers, width, width of a head and of the MLP in units of the width, of image towers.
_VISION = {
    "B": (12, 768, 64, 4.0),
    "plus": (12, 896, 64, 4.0),
    "L": (24, 1024, 64, 4.0),
    "H": (32, 1280, 80, 4.0),
    "g": (40, 1408, 88, 4.3637),
    "bigG": (48, 1664, 104, 4.9231),
}
_WORDS, _CLIPA_WORDS, _XLM_V_WORDS = 49408, 32000, 901629
_SIGLIP_WORDS = {"SigLIP": 32000, "SigLIP-i18n": 250000, "SigLIP2": 256000}
_EPSILON = {"norm_kwargs": {"eps": 1e-6}}


def _text(size: str, context: int = 77, words: int = _WORDS, **more: Any) -> dict[str, Any]:
    width, heads, layers = _TEXT[size]
    sizes = {"width": width, "heads": heads, "layers": layers}
    return {"context_length": context, "vocab_size": words} | sizes | more


def _vit(size: str, patch: int, image: int, text: dict[str, Any], **more: Any) -> dict[str, Any]:
    layers, width, head_width, ratio = _VISION[size]
    sizes = {"layers": layers, "width": width, "head_width": head_width, "mlp_ratio": ratio}
    vision = {"image_size": image, "patch_size": patch} | sizes | more
    return {"embed_dim": text["width"], "vision_cfg": vision, "text_cfg": text}


def _clipa(size: str, image: int) -> dict[str, Any]:
    flags = {"pool_type": "last", "no_causal_mask": True, "hf_tokenizer_name": "bert-base-uncased"}
    cut = {"tokenizer_kwargs": {"strip_sep_token": True}}
    text = _text(size, 32, _CLIPA_WORDS, **flags, **cut)
    mean = {"no_ln_pre": True, "pool_type": "avg", "final_ln_after_pool": True}
    return _vit(size, 14, image, text, **mean)


def _metaclip_2(size: str, image: int) -> dict[str, Any]:
    end = {"hf_tokenizer_name": "facebook/xlm-v-base", "pool_type": "eos", "eos_id": 2}
    return _vit(size, 14, image, _text(size, 77, _XLM_V_WORDS, **end))


def _trunk(name: str, image: int, embedding: int, text: dict[str, Any], **more) -> dict[str, Any]:
    vision = {"timm_model_name": name, "image_size": image}
    return {"embed_dim": embedding, "vision_cfg": vision, "text_cfg": text} | more


def _siglip(
    kind: str, size: str, patch: int, image: int, context: int = 64, *, projected: bool = True
) -> dict[str, Any]:
    width, heads, layers, ratio = _SIGLIP_TEXT[size]
    text = {
        "context_length": context,
        "vocab_size": _SIGLIP_WORDS[kind],
        "width": width,
        "heads": heads,
        "layers": layers,
        "mlp_ratio": ratio,
        "no_causal_mask": True,
        "pool_type": "last",
        "hf_tokenizer_name": f"timm/ViT-B-16-{kind}",
        "tokenizer_kwargs": {"clean": "canonicalize"},
    } | _EPSILON
    text |= {"proj_bias": True} if projected else {"proj_type": "none"}
    text |= {"act_kwargs": {"approximate": "tanh"}} if kind == "SigLIP2" else {}
    name = f"vit_{size}_patch{patch}_siglip_{image}"
    return _trunk(name, image, _SIGLIP_WIDTH[size], text, init_logit_bias=-10)


def _pe(size: str, patch: int, image: int, text: str, context: int = 32) -> dict[str, Any]:
    name = f"vit_pe_core_{size}_patch{patch}_{image}"
    return _trunk(name, image, _TEXT[text][0], _text(text, context))


def _eva(size: str, patch: int, image: int, text: str) -> dict[str, Any]:
    name = f"eva02_{size}_patch{patch}_clip_{image}"
    return _trunk(name, image, _TEXT[text][0], _text(text))


_MODEL_CONFIGS: dict[str, dict[str, Any]] = {
    "ViT-B-32-256": _vit("B", 32, 256, _text("B")),
    "ViT-B-16-plus-240": _vit("plus", 16, 240, _text("plus")),
    "ViT-H-14-378": _vit("H", 14, 378, _text("H")),
    "ViT-g-14": _vit("g", 14, 224, _text("H")),
    "ViT-B-16-SigLIP": _siglip("SigLIP", "base", 16, 224),
    **{f"ViT-B-16-SigLIP-{n}": _siglip("SigLIP", "base", 16, n) for n in (256, 384, 512)},
    "ViT-B-16-SigLIP-i18n-256": _siglip("SigLIP-i18n", "base", 16, 256),
    **{f"ViT-L-16-SigLIP-{n}": _siglip("SigLIP", "large", 16, n) for n in (256, 384)},
    "ViT-SO400M-14-SigLIP": _siglip("SigLIP", "so400m", 14, 224, 16),
    **{f"ViT-SO400M-14-SigLIP-{n}": _siglip("SigLIP", "so400m", 14, n) for n in (378, 384)},
    "ViT-SO400M-16-SigLIP-i18n-256": _siglip("SigLIP-i18n", "so400m", 16, 256, projected=False),
    "ViT-B-32-SigLIP2-256": _siglip("SigLIP2", "base", 32, 256),
    "ViT-B-16-SigLIP2": _siglip("SigLIP2", "base", 16, 224),
    **{f"ViT-B-16-SigLIP2-{n}": _siglip("SigLIP2", "base", 16, n) for n in (256, 384, 512)},
    **{f"ViT-L-16-SigLIP2-{n}": _siglip("SigLIP2", "large", 16, n) for n in (256, 384, 512)},
    "ViT-SO400M-14-SigLIP2": _siglip("SigLIP2", "so400m", 14, 224),
    "ViT-SO400M-14-SigLIP2-378": _siglip("SigLIP2", "so400m", 14, 378),
    **{f"ViT-SO400M-16-SigLIP2-{n}": _siglip("SigLIP2", "so400m", 16, n) for n in (256, 384, 512)},
    **{f"ViT-gopt-16-SigLIP2-{n}": _siglip("SigLIP2", "giantopt", 16, n) for n in (256, 384)},
    **{f"ViT-{size}-14-CLIPA": _clipa(size, 224) for size in ("L", "H", "bigG")},
    **{f"ViT-{size}-14-CLIPA-336": _clipa(size, 336) for size in ("L", "H", "bigG")},
    **{f"ViT-{size}-14-worldwide": _metaclip_2(size, 224) for size in ("H", "bigG")},
    **{f"ViT-{size}-14-worldwide-378": _metaclip_2(size, 378) for size in ("H", "bigG")},
    "PE-Core-T-16-384": _pe("tiny", 16, 384, "PE-T"),
    "PE-Core-S-16-384": _pe("small", 16, 384, "PE-T"),
    "PE-Core-B-16": _pe("base", 16, 224, "PE-B"),
    "PE-Core-L-14-336": _pe("large", 14, 336, "PE-B"),
    "PE-Core-bigG-14-448": _pe("gigantic", 14, 448, "PE-bigG", 72),
    "EVA02-B-16": _eva("base", 16, 224, "B"),
    "EVA02-L-14": _eva("large", 14, 224, "L"),
    "EVA02-L-14-336": _eva("large", 14, 336, "L"),
}
# NaFlex as transformers describes it: what differs from that library's defaults.
_NAFLEX_WORDS = {"vocab_size": 256000}
_NAFLEX: dict[str, dict[str, Any]] = {
    "ViT-B-16-SigLIP2-naflex": {},
    "ViT-SO400M-16-SigLIP2-naflex": {
        "hidden_size": 1152,
        "intermediate_size": 4304,
        "num_attention_heads": 16,
        "num_hidden_layers": 27,
    },
}

ARCHITECTURES: dict[str, CLIPConfig] = {
    **CLIP_ARCHITECTURES,
    **{name: open_clip.read_config(values, name) for name, values in _MODEL_CONFIGS.items()},
    **{
        name: siglip.read_config(
            {
                "model_type": "siglip2",
                "text_config": sizes | _NAFLEX_WORDS,
                "vision_config": sizes,
            },
            name,
            None,
        )
        for name, sizes in _NAFLEX.items()
    },
}
"""Networks by name."""


def text_format_of(name: str) -> TextFormat:
    """How texts become token ids in front of an architecture, whichever its activation."""
    name = name.removesuffix("-quickgelu")
    if name in _NAFLEX:
        return NAFLEX_TEXTS
    return open_clip.text_format(_MODEL_CONFIGS.get(name, {}).get("text_cfg", {}), name)
