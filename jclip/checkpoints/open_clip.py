"""The layout of the open_clip library: `open_clip_config.json` and the names of its state dict."""

import dataclasses
import re
from collections.abc import Collection, Mapping
from typing import Any

from jclip.checkpoints.name_map import TensorRule, linear_rules, norm_rules
from jclip.checkpoints.timm_trunk import TRUNK, read_trunk, trunk_rules
from jclip.checkpoints.unsupported import object_in, refuse_families
from jclip.files.json_fields import DEEPEST, Fields
from jclip.models import CLIPConfig, TextConfig, VisionConfig
from jclip.models.config import Activation
from jclip.text.cleaning import Cleaning
from jclip.text.formats import (
    CLIP_TEXTS,
    METACLIP2_TEXTS,
    SIGLIP2_TEXTS,
    SIGLIP_TEXTS,
    TextFormat,
)

_CLEANINGS: dict[str, Cleaning] = {
    "whitespace": "repaired",
    "canonicalize": "canonical_repaired",
}


def read_config(
    values: dict[str, Any], file: str, shapes: Mapping[str, tuple[int, ...]] | None = None
) -> CLIPConfig:
    """The network that `model_cfg` of an `open_clip_config.json` describes, with its defaults.

    Args:
        values: of `model_cfg`.
        file: its name, for messages.
        shapes: of the tensors, where they are known already; see `timm_trunk.read_trunk`.

    Raises:
        InputError: a field describes what is not supported, is unknown, or contradicts a tensor.
    """
    refuse_families(values, file)
    fields = Fields(values, "model_cfg.")
    quick = fields.take("quick_gelu", False)
    embedding_width = fields.take_positive("embed_dim", 512)
    if values.get("embed_dim") is None:
        fields.refuse("embed_dim", None, "it is required")
    vision_fields = fields.nested("vision_cfg")
    if not object_in(values, "vision_cfg").get("timm_model_name"):
        vision = _read_vision(vision_fields, quick)
    else:
        vision = read_trunk(vision_fields, embedding_width, shapes)
    text = _read_text(fields.nested("text_cfg"), quick, embedding_width)
    fields.only("nonscalar_logit_scale", False)
    bias = values.get("init_logit_bias") is not None
    # `custom_text` only says how the tensors are named; the names show that themselves.
    fields.ignore("custom_text", "init_logit_scale", "init_logit_bias", "output_dict", "cast_dtype")
    fields.finish()
    fields.raise_problems(file)
    return CLIPConfig(
        vision=VisionConfig(**vision),
        text=TextConfig(**text),
        embedding_width=embedding_width,
        logit_bias=bias,
    )


def _read_tower(fields: Fields, quick: bool, width: int) -> dict[str, Any]:
    """What both towers have; fields that change the network have to be at their defaults."""
    width = fields.take_positive("width", width)
    epsilon = fields.nested("norm_kwargs")
    tower = {
        "width": width,
        "layers": fields.take_positive("layers", 12, DEEPEST),
        "mlp_width": max(1, int(width * fields.take_positive("mlp_ratio", 4.0))),
        "activation": _read_activation(fields, quick),
        "layer_scale": fields.take("ls_init_value", -1.0) != -1.0,
        "norm_epsilon": epsilon.take_positive("eps", 1e-5),
    }
    epsilon.finish()
    fields.only("block_type", "default")
    fields.refuse_switches("qk_norm", "scaled_cosine_attn", "scale_heads", "scale_attn_inner")
    fields.refuse_switches("scale_attn", "scale_fc")
    fields.ignore("output_tokens")
    return tower


def _read_activation(fields: Fields, quick: bool) -> Activation:
    arguments = fields.nested("act_kwargs")
    if quick:
        arguments.finish()
        return "quick_gelu"
    forms: dict[str, Activation] = {"none": "gelu", "tanh": "gelu_tanh"}
    activation = arguments.choose("approximate", "none", forms)
    arguments.finish()
    return activation


def _check_heads(fields: Fields, name: str, value: int, tower: dict[str, Any]) -> None:
    if not tower["heads"] or tower["width"] % tower["heads"]:
        fields.refuse(name, value, f"it does not divide width = {tower['width']} into heads")


def _read_vision(fields: Fields, quick: bool) -> dict[str, Any]:
    tower = _read_tower(fields, quick, width=768)
    head_width = fields.take_positive("head_width", 64)
    tower["heads"] = tower["width"] // head_width
    _check_heads(fields, "head_width", head_width, tower)
    tower["image_size"] = fields.take_positive("image_size", 224)
    tower["patch_size"] = fields.take_positive("patch_size", 16)
    if tower["patch_size"] > tower["image_size"]:
        fields.refuse("patch_size", tower["patch_size"], f"image_size is {tower['image_size']}")
    fields.only("timm_model_name", "")
    fields.refuse_switches("attentional_pool", "global_average_pool", "input_patchnorm")
    tower["pre_norm"] = not fields.take("no_ln_pre", False)
    pooling = fields.choose("pool_type", "tok", {"tok": "class", "avg": "mean"})
    norm_last = fields.take("final_ln_after_pool", False)
    tower["pooling"] = "mean_before_norm" if pooling == "mean" and norm_last else pooling
    # Both kinds are stored as one table of positions.
    fields.only("pos_embed_type", "learnable", "sin_cos_2d")
    fields.ignore("patch_dropout", "attn_pooler_queries", "attn_pooler_heads")
    fields.ignore("timm_model_pretrained", "timm_pool", "timm_proj", "timm_proj_bias")
    fields.ignore("timm_drop", "timm_drop_path")
    fields.finish()
    return tower


def _read_text(fields: Fields, quick: bool, embedding_width: int) -> dict[str, Any]:
    tower = _read_tower(fields, quick, width=512)
    tower["heads"] = fields.take_positive("heads", 8)
    _check_heads(fields, "heads", tower["heads"], tower)
    tower["context_length"] = fields.take_positive("context_length", 77)
    tower["vocabulary_size"] = fields.take_positive("vocab_size", 49408)
    fields.only("hf_model_name", "")
    # What these say of texts is read by `text_format`.
    fields.ignore("hf_tokenizer_name", "tokenizer_kwargs", "tokenizer_mode")
    fields.refuse_switches("embed_cls", "use_pad_mask", "final_ln_after_pool")
    tower["causal"] = not fields.take("no_causal_mask", False)
    end = fields.take("eos_id", 2)
    poolings = {"argmax": ("end", None), "eos": ("end", end), "first": ("first", None)}
    tower["pooling"], tower["end_of_text"] = fields.choose(
        "pool_type", "argmax", poolings | {"last": ("last", None)}
    )
    biased = fields.take("proj_bias", False)
    tower["projection"] = fields.choose(
        "proj_type", "linear", {"linear": "biased" if biased else "plain", "none": "none"}
    )
    if tower["projection"] == "none" and tower["width"] != embedding_width:
        fields.refuse("proj_type", "none", f"width is {tower['width']}, not {embedding_width}")
    fields.ignore("pad_id", "correct_cls_mask")
    fields.ignore("hf_model_pretrained", "hf_proj_type", "hf_pooler_type")
    fields.finish()
    return tower


_FACTS = ("input_resolution", "context_length", "vocab_size")


def _blocks(source: str, target: str) -> list[TensorRule]:
    source, target = f"{source}transformer.resblocks.{{layer}}", f"{target}.transformer.blocks"
    fused = [f"{target}.attention.{part}" for part in ("query", "key", "value")]
    kernels, biases = ([f"{part}.{leaf}" for part in fused] for leaf in ("kernel", "bias"))
    return [
        *norm_rules(f"{source}.ln_1", f"{target}.attention_norm"),
        TensorRule(f"{source}.attn.in_proj_weight", tuple(kernels), "transposed"),
        TensorRule(f"{source}.attn.in_proj_bias", tuple(biases)),
        *linear_rules(f"{source}.attn.out_proj", f"{target}.attention.out"),
        TensorRule(f"{source}.ls_1.gamma", f"{target}.attention_scale"),
        *norm_rules(f"{source}.ln_2", f"{target}.mlp_norm"),
        *linear_rules(f"{source}.mlp.c_fc", f"{target}.mlp.up"),
        *linear_rules(f"{source}.mlp.c_proj", f"{target}.mlp.down"),
        TensorRule(f"{source}.ls_2.gamma", f"{target}.mlp_scale"),
    ]


def rules_for(names: Collection[str]) -> tuple[TensorRule, ...]:
    """What every tensor of the layout becomes; the text tower's names may begin with `text.`."""
    text = "text." if "text.token_embedding.weight" in names else ""
    projection = TensorRule(f"{text}text_projection", "text_tower.projection.kernel")
    if f"{text}text_projection.weight" in names:
        projection, *_ = linear_rules(f"{text}text_projection", "text_tower.projection")
    vision = _VISION_RULES
    if any(name.startswith(TRUNK) for name in names):
        vision = trunk_rules(gated=any(".mlp.fc1_g." in name for name in names))
    return (
        TensorRule("logit_scale", "logit_scale"),
        TensorRule("logit_bias", "logit_bias"),
        *vision,
        TensorRule(f"{text}token_embedding.weight", "text_tower.token_embedding"),
        TensorRule(f"{text}positional_embedding", "text_tower.position_embedding"),
        *_blocks(text, "text_tower"),
        *norm_rules(f"{text}ln_final", "text_tower.post_norm"),
        projection,
        TensorRule(f"{text}text_projection.bias", "text_tower.projection.bias"),
        TensorRule(f"{text}attn_mask", ignored=True),
        # What OpenAI's files say of themselves, and the library drops.
        *(TensorRule(name, ignored=True) for name in _FACTS),
    )


_VISION_RULES = (
    TensorRule("visual.class_embedding", "image_tower.class_embedding"),
    TensorRule("visual.conv1.weight", "image_tower.patch_embedding.kernel", "patches"),
    TensorRule("visual.positional_embedding", "image_tower.position_embedding"),
    *norm_rules("visual.ln_pre", "image_tower.pre_norm"),
    *_blocks("visual.", "image_tower"),
    *norm_rules("visual.ln_post", "image_tower.post_norm"),
    TensorRule("visual.proj", "image_tower.projection.kernel"),
)


def text_format(text_cfg: dict[str, Any], file: str) -> TextFormat:
    """How texts are cleaned and framed, by what `text_cfg` says of the tokenizer.

    Without `hf_tokenizer_name` it is CLIP's own.

    Raises:
        InputError: the tokenizer is one that is not supported.
    """
    name = str(text_cfg.get("hf_tokenizer_name") or "")
    if not name:
        only_clip = Fields(text_cfg, "text_cfg.")
        for field in ("tokenizer_kwargs", "tokenizer_mode"):
            only_clip.only(field, "", {})
        only_clip.raise_problems(file)
        return CLIP_TEXTS
    fields = Fields(object_in(text_cfg, "tokenizer_kwargs"), "text_cfg.tokenizer_kwargs.")
    clean = fields.choose("clean", "whitespace", _CLEANINGS)
    separator = fields.take("strip_sep_token", False)
    fields.finish()
    mode = Fields({"tokenizer_mode": text_cfg.get("tokenizer_mode")}, "text_cfg.", fields.problems)
    mode.only("tokenizer_mode", "clips", "")
    bert = separator or text_cfg.get("tokenizer_mode")
    if not bert and not re.search("SigLIP|xlm-v", name):
        reason = "supported: those of SigLIP, of MetaCLIP 2 (xlm-v), of CLIPA and of CLIPS"
        mode.refuse("hf_tokenizer_name", name, reason)
    fields.raise_problems(file)
    if text_cfg.get("tokenizer_mode"):
        return TextFormat(frame="class_last", padding=0, corrected=clean, reference=clean)
    if separator:
        return TextFormat(frame="separator_to_zero", padding=0, corrected=clean, reference=clean)
    if "SigLIP" in name:
        trained = SIGLIP2_TEXTS if "SigLIP2" in name else SIGLIP_TEXTS
        return dataclasses.replace(trained, reference=clean)
    return dataclasses.replace(METACLIP2_TEXTS, corrected=clean, reference=clean)
