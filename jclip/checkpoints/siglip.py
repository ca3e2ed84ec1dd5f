"""SigLIP, SigLIP 2 and FG-CLIP 2 in the layout of the transformers library."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, get_args

from jclip.checkpoints.name_map import TensorRule, linear_rules, norm_rules
from jclip.checkpoints.transformers import (
    ACTIVATIONS,
    IGNORED,
    block_rules,
    check_expressible,
    kept_fields,
    refuse_decoders,
    tower_values,
)
from jclip.files.json_fields import Fields
from jclip.models import CLIPConfig, TextConfig, VisionConfig
from jclip.models.config import LongText

Kind = Literal["siglip", "siglip2", "fgclip2"]
"""`model_type`: of fixed size (both generations), NaFlex, and FG-CLIP 2, which is NaFlex too."""

# What makes a tower one of SigLIP.
_TEXT: dict[str, Any] = {"causal": False, "pooling": "last", "projection": "biased"}
_VISION: dict[str, Any] = {
    "class_token": False,
    "patch_bias": True,
    "pre_norm": False,
    "pooling": "map",
    "projection": "none",
}
_TOWER = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
}
# What the library takes for fields that are absent, as they are in most files of SigLIP 2.
_VOCABULARY, _CONTEXT, _PATCH, _IMAGE, _PATCHES = 32000, 64, 16, 224, 256


def read_config(
    values: dict[str, Any], file: str, shapes: Mapping[str, tuple[int, ...]] | None
) -> CLIPConfig:
    """The network that a `config.json` describes, with that library's defaults.

    Args:
        values: of the file.
        file: its name, for messages.
        shapes: of the tensors, where they are known already: what the file or a default says is
            held against them.

    Raises:
        InputError: a field describes what is not supported, is unknown, or contradicts a tensor.
    """
    fields = Fields(values)
    kind: Kind = fields.choose("model_type", "siglip", {kind: kind for kind in get_args(Kind)})
    text, projected = _read_text(_tower(fields, "text", kind), kind)
    vision = _read_vision(_tower(fields, "vision", kind), kind)
    fields.ignore(*IGNORED)
    refuse_decoders(fields)
    fields.finish()
    config = CLIPConfig(vision=vision, text=text, embedding_width=vision.width, logit_bias=True)
    if projected != vision.width:
        reason = f"vision_config.hidden_size is {vision.width}"
        fields.refuse("text_config.projection_size", projected, reason)
    for name, value, tensor, axis in _claims(config):
        if shapes and tensor in shapes and shapes[tensor][axis] != value:
            fields.refuse(name, value, f"{tensor} is {shapes[tensor]}")
    fields.raise_problems(file)
    return config


def _tower(fields: Fields, name: str, kind: Kind) -> Fields:
    tower = Fields(fields.take(f"{name}_config", {}), f"{name}_config.", fields.problems)
    tower.only("model_type", f"{kind}_{name}_model")
    tower.ignore("eos_token_id", *IGNORED)
    refuse_decoders(tower)
    return tower


def _read_tower(fields: Fields) -> dict[str, Any]:
    sizes = {name: fields.take_positive(name, default) for name, default in _TOWER.items()}
    width, heads = sizes["hidden_size"], sizes["num_attention_heads"]
    if width % heads:
        fields.refuse("num_attention_heads", heads, f"it does not divide hidden_size = {width}")
        heads = 1
    return {
        "width": width,
        "layers": sizes["num_hidden_layers"],
        "heads": heads,
        "mlp_width": sizes["intermediate_size"],
        "activation": fields.choose("hidden_act", "gelu_pytorch_tanh", ACTIVATIONS),
        "norm_epsilon": fields.take("layer_norm_eps", 1e-6),
    }


def _read_text(fields: Fields, kind: Kind) -> tuple[TextConfig, int]:
    """The text tower, and the width of what it is projected to."""
    tower = _read_tower(fields)
    long = None
    if kind == "fgclip2":
        length, kept = (
            fields.take_positive("longtext_len", 196),
            fields.take_positive("keep_len", 20),
        )
        long = LongText(context_length=length, kept=kept, box=True)
    text = TextConfig(
        **tower,
        **_TEXT,
        vocabulary_size=fields.take_positive("vocab_size", _VOCABULARY),
        context_length=fields.take_positive("max_position_embeddings", _CONTEXT),
        long=long,
    )
    projected = fields.take_positive("projection_size", text.width)
    fields.finish()
    return text, projected


def _read_vision(fields: Fields, kind: Kind) -> VisionConfig:
    tower = _read_tower(fields)
    patch = fields.take_positive("patch_size", _PATCH)
    fields.only("num_channels", 3)
    fields.only("vision_use_head", True)
    if kind == "siglip":
        size = fields.take_positive("image_size", _IMAGE)
    else:
        patches = fields.take_positive("num_patches", _PATCHES)
        side = round(patches**0.5)
        if side**2 != patches:
            fields.refuse("num_patches", patches, "a square number is expected")
        size = side * patch
    fields.finish()
    return VisionConfig(
        **tower,
        **_VISION,
        image_size=size,
        patch_size=patch,
        pool_heads=tower["heads"],
        pool_mlp_width=tower["mlp_width"],
        flexible=kind != "siglip",
        dense="head" if kind == "fgclip2" else None,
    )


def _claims(config: CLIPConfig) -> list[tuple[str, int, str, int]]:
    """What the fields say of tensors: field, value, tensor, axis."""
    vision, text, claims = config.vision, config.text, []
    for prefix, tower in (("vision", vision), ("text", text)):
        first = f"{prefix}_model.encoder.layers.0.mlp.fc1.weight"
        claims.append((f"{prefix}_config.hidden_size", tower.width, first, 1))
        claims.append((f"{prefix}_config.intermediate_size", tower.mlp_width, first, 0))
    images, texts = "vision_model.embeddings", "text_model.embeddings"
    table = "num_patches" if vision.flexible else "image_size"
    if not vision.flexible:
        patches = f"{images}.patch_embedding.weight"
        claims.append(("vision_config.patch_size", vision.patch_size, patches, 2))
    positions = ".position_embedding.weight"
    return [
        *claims,
        (f"vision_config.{table} in patches", vision.tokens, f"{images}{positions}", 0),
        ("text_config.vocab_size", text.vocabulary_size, f"{texts}.token_embedding.weight", 0),
        ("text_config.max_position_embeddings", text.context_length, f"{texts}{positions}", 0),
    ]


def config_values(config: CLIPConfig, dtype: str) -> dict[str, Any]:
    """What `config.json` holds for a SigLIP; `dtype` is that of the stored weights.

    Raises:
        ValueError: the network has what this layout cannot express.
    """
    vision, text = config.vision, config.text
    sizes = kept_fields(vision, "image_size", "patch_size", "flexible")
    pool: dict[str, Any] = {"pool_heads": vision.heads, "pool_mlp_width": vision.mlp_width}
    plain = dataclasses.replace(
        config,
        vision=VisionConfig(**_VISION, **sizes, **pool),
        text=TextConfig(**_TEXT, **kept_fields(text, "context_length", "vocabulary_size")),
    )
    check_expressible(config, plain)
    kind = "siglip2" if vision.flexible else "siglip"
    images = tower_values(config, "vision", kind) | {"num_channels": 3}
    if vision.flexible:
        images |= {"num_patches": vision.tokens}
        del images["image_size"]
    return {
        "architectures": [f"{kind.capitalize()}Model"],
        "model_type": kind,
        "dtype": dtype,
        "text_config": tower_values(config, "text", kind)
        | {"projection_size": config.embedding_width},
        "vision_config": images,
    }


def _head_rules(source: str, target: str) -> list[TensorRule]:
    fused = [f"{target}.attention.{part}" for part in ("query", "key", "value")]
    kernels, biases = (tuple(f"{part}.{leaf}" for part in fused) for leaf in ("kernel", "bias"))
    return [
        TensorRule(f"{source}.probe", f"{target}.probe", ones=2),
        TensorRule(f"{source}.attention.in_proj_weight", kernels, "transposed"),
        TensorRule(f"{source}.attention.in_proj_bias", biases),
        *linear_rules(f"{source}.attention.out_proj", f"{target}.attention.out"),
        *norm_rules(f"{source}.layernorm", f"{target}.norm"),
        *linear_rules(f"{source}.mlp.fc1", f"{target}.mlp.up"),
        *linear_rules(f"{source}.mlp.fc2", f"{target}.mlp.down"),
    ]


def rules_for(config: CLIPConfig) -> tuple[TensorRule, ...]:
    """What every tensor of the layout becomes."""
    images, texts = "vision_model.embeddings", "text_model.embeddings"
    positions = "position_embedding"
    (patches, *_) = linear_rules(f"{images}.patch_embedding", "image_tower.patch_embedding")
    form = "transposed" if config.vision.flexible else "patches"
    return (
        TensorRule("logit_scale", "logit_scale", ones=1),
        TensorRule("logit_bias", "logit_bias", ones=1),
        dataclasses.replace(patches, form=form),
        TensorRule(f"{images}.patch_embedding.bias", "image_tower.patch_embedding.bias"),
        TensorRule(f"{images}.{positions}.weight", "image_tower.position_embedding"),
        *block_rules("vision_model", "image_tower"),
        *norm_rules("vision_model.post_layernorm", "image_tower.post_norm"),
        *_head_rules("vision_model.head", "image_tower.head"),
        *_head_rules("dense_feature_head", "image_tower.dense_head"),
        TensorRule(f"{texts}.token_embedding.weight", "text_tower.token_embedding"),
        TensorRule(f"{texts}.{positions}.weight", "text_tower.position_embedding"),
        TensorRule(f"{texts}.{positions}_ori.weight", "text_tower.kept_embedding"),
        TensorRule(f"{texts}.{positions}_res.weight", "text_tower.long_embedding"),
        *block_rules("text_model", "text_tower"),
        *norm_rules("text_model.final_layer_norm", "text_tower.post_norm"),
        *linear_rules("text_model.head", "text_tower.projection"),
        *linear_rules("boxtext_head", "text_tower.box_projection"),
        *linear_rules("longtext_head", "text_tower.long_projection"),
        TensorRule(f"{images}.position_ids", ignored=True),
        TensorRule(f"{texts}.position_ids", ignored=True),
    )
