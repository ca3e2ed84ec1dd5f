"""The layout of the open_clip library: `open_clip_config.json` and the names of its state dict."""

from collections.abc import Collection
from typing import Any

from jclip.checkpoints.name_map import TensorRule, linear_rules, norm_rules
from jclip.files.json_fields import DEEPEST, Fields
from jclip.models import CLIPConfig, TextConfig, VisionConfig
from jclip.models.config import Activation


def read_config(values: dict[str, Any], file: str) -> CLIPConfig:
    """The network that `model_cfg` of an `open_clip_config.json` describes, with its defaults.

    Raises:
        InputError: a field describes what is not supported, or is unknown.
    """
    fields = Fields(values, "model_cfg.")
    quick = fields.take("quick_gelu", False)
    vision = _read_vision(fields.nested("vision_cfg"), quick)
    text = _read_text(fields.nested("text_cfg"), quick)
    embedding_width = fields.take_positive("embed_dim", 512)
    if values.get("embed_dim") is None:
        fields.refuse("embed_dim", None, "it is required")
    fields.only("nonscalar_logit_scale", False)
    fields.only("init_logit_bias")
    # `custom_text` only says how the tensors are named; the names show that themselves.
    fields.ignore("custom_text", "init_logit_scale", "output_dict", "cast_dtype")
    fields.finish()
    fields.raise_problems(file)
    return CLIPConfig(
        vision=VisionConfig(**vision), text=TextConfig(**text), embedding_width=embedding_width
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
    fields.refuse_switches("scale_attn", "scale_fc", "final_ln_after_pool")
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
    fields.refuse_switches("attentional_pool", "no_ln_pre")
    fields.refuse_switches("global_average_pool", "input_patchnorm")
    fields.only("pool_type", "tok")
    # Both kinds are stored as one table of positions.
    fields.only("pos_embed_type", "learnable", "sin_cos_2d")
    fields.ignore("patch_dropout", "attn_pooler_queries", "attn_pooler_heads")
    fields.ignore("timm_model_pretrained", "timm_pool", "timm_proj", "timm_proj_bias")
    fields.ignore("timm_drop", "timm_drop_path")
    fields.finish()
    return tower


def _read_text(fields: Fields, quick: bool) -> dict[str, Any]:
    tower = _read_tower(fields, quick, width=512)
    tower["heads"] = fields.take_positive("heads", 8)
    _check_heads(fields, "heads", tower["heads"], tower)
    tower["context_length"] = fields.take_positive("context_length", 77)
    tower["vocabulary_size"] = fields.take_positive("vocab_size", 49408)
    for name in ("hf_model_name", "hf_tokenizer_name", "tokenizer_kwargs", "tokenizer_mode"):
        fields.only(name, "", {})
    fields.refuse_switches("embed_cls", "no_causal_mask", "proj_bias", "use_pad_mask")
    fields.only("pool_type", "argmax")
    fields.only("proj_type", "linear")
    fields.ignore("pad_id", "eos_id", "correct_cls_mask")
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
    return (
        TensorRule("logit_scale", "logit_scale"),
        TensorRule("visual.class_embedding", "image_tower.class_embedding"),
        TensorRule("visual.conv1.weight", "image_tower.patch_embedding.kernel", "patches"),
        TensorRule("visual.positional_embedding", "image_tower.position_embedding"),
        *norm_rules("visual.ln_pre", "image_tower.pre_norm"),
        *_blocks("visual.", "image_tower"),
        *norm_rules("visual.ln_post", "image_tower.post_norm"),
        TensorRule("visual.proj", "image_tower.projection.kernel"),
        TensorRule(f"{text}token_embedding.weight", "text_tower.token_embedding"),
        TensorRule(f"{text}positional_embedding", "text_tower.position_embedding"),
        *_blocks(text, "text_tower"),
        *norm_rules(f"{text}ln_final", "text_tower.post_norm"),
        TensorRule(f"{text}text_projection", "text_tower.projection.kernel"),
        TensorRule(f"{text}attn_mask", ignored=True),
        # What OpenAI's files say of themselves, and the library drops.
        *(TensorRule(name, ignored=True) for name in _FACTS),
    )
