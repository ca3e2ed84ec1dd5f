"""The layout of the transformers library: `config.json` and the names in `model.safetensors`."""

import dataclasses
from typing import Any

from jclip.checkpoints.name_map import TensorRule, linear_rules, norm_rules
from jclip.files.json_fields import DEEPEST, LARGEST, Fields
from jclip.models import CLIPConfig, TextConfig, VisionConfig
from jclip.models.config import Activation, TransformerConfig

ACTIVATIONS: dict[str, Activation] = {
    "quick_gelu": "quick_gelu",
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_new": "gelu_tanh",
}
_ACTIVATION_NAMES = {"gelu_tanh": "gelu_pytorch_tanh"}

METACLIP_2 = "metaclip_2"
"""`model_type` of MetaCLIP 2, whose networks and tensors are CLIP's."""

# Configs written before `eos_token_id` was right hold 2; the library then pools at the largest id.
_LEGACY_END_OF_TEXT = 2

_BOTH = {"num_hidden_layers": 12, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5}
_DEFAULTS: dict[str, dict[str, Any]] = {
    "text": {
        **_BOTH,
        "hidden_size": 512,
        "intermediate_size": 2048,
        "num_attention_heads": 8,
        "vocab_size": 49408,
        "max_position_embeddings": 77,
        "eos_token_id": 49407,
    },
    "vision": {
        **_BOTH,
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_attention_heads": 12,
        "image_size": 224,
        "patch_size": 32,
    },
}
# The whole numbers of a tower, and what they are called here.
_SIZES = {
    "hidden_size": "width",
    "num_hidden_layers": "layers",
    "num_attention_heads": "heads",
    "intermediate_size": "mlp_width",
}
_MOST = {"layers": DEEPEST}
_NUMBERS = {
    "text": _SIZES | {"vocab_size": "vocabulary_size", "max_position_embeddings": "context_length"},
    "vision": _SIZES | {"image_size": "image_size", "patch_size": "patch_size"},
}

# Bookkeeping, initialisation, training and generation: nothing that an embedding depends on.
IGNORED = """
    _attn_implementation_autoset _commit_hash _name_or_path architectures attention_dropout
    attn_implementation bad_words_ids begin_suppress_tokens bos_token_id chunk_size_feed_forward
    cross_attention_hidden_size decoder_start_token_id diversity_penalty do_sample dropout dtype
    early_stopping encoder_no_repeat_ngram_size exponential_decay_length_penalty finetuning_task
    forced_bos_token_id forced_eos_token_id gradient_checkpointing id2label initializer_factor
    initializer_range label2id length_penalty logit_scale_init_value max_length min_length
    no_repeat_ngram_size num_beam_groups num_beams num_return_sequences output_attentions
    output_hidden_states output_scores pad_token_id prefix problem_type remove_invalid_values
    repetition_penalty return_dict return_dict_in_generate sep_token_id suppress_tokens
    task_specific_params temperature tf_legacy_loss tie_encoder_decoder tie_word_embeddings
    tokenizer_class top_k top_p torch_dtype torchscript transformers_version typical_p use_bfloat16
    use_cache
""".split()


def read_config(values: dict[str, Any], file: str) -> CLIPConfig:
    """The network that a `config.json` describes, with that library's defaults.

    Raises:
        InputError: a field describes what is not supported, or is unknown.
    """
    fields = Fields(values)
    kind = values.get("model_type")
    fields.only("model_type", "clip", METACLIP_2)
    if kind is None:
        fields.refuse("model_type", None, "supported: 'clip'")
    kind = kind if kind == METACLIP_2 else "clip"
    text, vision = (
        _read_tower(_tower(fields, name, kind), name, kind) for name in ("text", "vision")
    )
    embedding_width = fields.take_positive("projection_dim", 512)
    fields.ignore("eos_token_id", *IGNORED)
    refuse_decoders(fields)
    fields.finish()
    fields.raise_problems(file)
    return CLIPConfig(
        vision=VisionConfig(**vision), text=TextConfig(**text), embedding_width=embedding_width
    )


def _tower(fields: Fields, name: str, kind: str) -> Fields:
    """The object of one tower. Older files also hold `text_config_dict`, which wins where it is."""
    values = fields.take(f"{name}_config", {})
    older = fields.take(f"{name}_config_dict", {})
    if older:
        values = values | _DEFAULTS[name] | older
    tower = Fields(values, f"{name}_config.", fields.problems)
    tower.only("model_type", f"{kind}_{name}_model")
    # The towers' own copy of this is not what the projections are built from.
    tower.ignore("projection_dim", *IGNORED)
    refuse_decoders(tower)
    return tower


def refuse_decoders(fields: Fields) -> None:
    """Refuse what every model of the library may be, and no tower here is."""
    fields.refuse_switches("is_decoder", "is_encoder_decoder", "add_cross_attention")
    fields.only("pruned_heads", {})


def _read_tower(fields: Fields, name: str, kind: str) -> dict[str, Any]:
    defaults = _DEFAULTS[name]
    tower: dict[str, Any] = {
        ours: fields.take_positive(theirs, defaults[theirs], _MOST.get(ours, LARGEST))
        for theirs, ours in _NUMBERS[name].items()
    }
    tower["activation"] = fields.choose("hidden_act", defaults["hidden_act"], ACTIVATIONS)
    tower["norm_epsilon"] = fields.take_positive("layer_norm_eps", defaults["layer_norm_eps"])
    if tower["width"] % tower["heads"]:
        reason = f"it does not divide hidden_size = {tower['width']}"
        fields.refuse("num_attention_heads", tower["heads"], reason)
    if name == "text":
        end = fields.take("eos_token_id", defaults["eos_token_id"])
        # Of MetaCLIP 2, token 2 is the end of text.
        legacy = end == _LEGACY_END_OF_TEXT and kind == "clip"
        tower["end_of_text"] = None if legacy else end
        if not 0 <= end < tower["vocabulary_size"]:
            fields.refuse("eos_token_id", end, f"vocab_size is {tower['vocabulary_size']}")
    else:
        if tower["patch_size"] > tower["image_size"]:
            fields.refuse("patch_size", tower["patch_size"], f"image_size is {tower['image_size']}")
        fields.only("num_channels", 3)
        fields.ignore("eos_token_id")
    fields.finish()
    return tower


def check_expressible(config: CLIPConfig, plain: CLIPConfig) -> None:
    """Refuse what a family of the library has not.

    Args:
        config: what is to be written.
        plain: the member of that family with the same sizes.

    Raises:
        ValueError: they differ, in the field that is named.
    """
    for name in ("vision", "text"):
        ours, theirs = getattr(config, name), getattr(plain, name)
        for field in dataclasses.fields(ours):
            if getattr(ours, field.name) != getattr(theirs, field.name):
                what = field.name.replace("_", " ")
                raise ValueError(
                    f"{what} ({name} tower) cannot be expressed in the transformers layout"
                )


def kept_fields(tower: TransformerConfig, *more: str) -> dict[str, Any]:
    """Sizes, activation and epsilon of a tower, which every family says itself, and more fields."""
    names = (*_SIZES.values(), "activation", "norm_epsilon", *more)
    return {name: getattr(tower, name) for name in names}


def config_values(config: CLIPConfig, dtype: str) -> dict[str, Any]:
    """What `config.json` holds for a network; `dtype` is that of the stored weights.

    Raises:
        ValueError: the network has what this layout cannot express, such as layer scale.
    """
    vision = VisionConfig(**kept_fields(config.vision, "image_size", "patch_size"))
    sizes = kept_fields(config.text, "context_length", "vocabulary_size", "end_of_text")
    check_expressible(config, dataclasses.replace(config, vision=vision, text=TextConfig(**sizes)))
    end = config.text.end_of_text
    # Of CLIP, the library takes 2 for something else.
    two = end == _LEGACY_END_OF_TEXT
    kind, model = (METACLIP_2, "MetaClip2Model") if two else ("clip", "CLIPModel")
    width = {"projection_dim": config.embedding_width}
    more = {"eos_token_id": _LEGACY_END_OF_TEXT if end is None else end} | width
    return {
        "architectures": [model],
        "model_type": kind,
        "dtype": dtype,
        "projection_dim": config.embedding_width,
        "text_config": tower_values(config, "text", kind) | more,
        "vision_config": tower_values(config, "vision", kind) | {"num_channels": 3} | width,
    }


def tower_values(config: CLIPConfig, name: str, kind: str) -> dict[str, Any]:
    """What `config.json` holds for a tower of any family."""
    tower = getattr(config, name)
    return {
        "model_type": f"{kind}_{name}_model",
        **{theirs: getattr(tower, ours) for theirs, ours in _NUMBERS[name].items()},
        "hidden_act": _ACTIVATION_NAMES.get(tower.activation, tower.activation),
        "layer_norm_eps": tower.norm_epsilon,
    }


def block_rules(source: str, target: str) -> list[TensorRule]:
    """Those of one tower's blocks, which are named alike for CLIP and SigLIP."""
    source, target = f"{source}.encoder.layers.{{layer}}", f"{target}.transformer.blocks"
    return [
        *norm_rules(f"{source}.layer_norm1", f"{target}.attention_norm"),
        *linear_rules(f"{source}.self_attn.q_proj", f"{target}.attention.query"),
        *linear_rules(f"{source}.self_attn.k_proj", f"{target}.attention.key"),
        *linear_rules(f"{source}.self_attn.v_proj", f"{target}.attention.value"),
        *linear_rules(f"{source}.self_attn.out_proj", f"{target}.attention.out"),
        *norm_rules(f"{source}.layer_norm2", f"{target}.mlp_norm"),
        *linear_rules(f"{source}.mlp.fc1", f"{target}.mlp.up"),
        *linear_rules(f"{source}.mlp.fc2", f"{target}.mlp.down"),
    ]


_VISION, _TEXT = "vision_model.embeddings", "text_model.embeddings"

RULES: tuple[TensorRule, ...] = (
    TensorRule("logit_scale", "logit_scale"),
    TensorRule(f"{_VISION}.class_embedding", "image_tower.class_embedding"),
    TensorRule(
        f"{_VISION}.patch_embedding.weight", "image_tower.patch_embedding.kernel", "patches"
    ),
    TensorRule(f"{_VISION}.position_embedding.weight", "image_tower.position_embedding"),
    # The misspelling is the library's.
    *norm_rules("vision_model.pre_layrnorm", "image_tower.pre_norm"),
    *block_rules("vision_model", "image_tower"),
    *norm_rules("vision_model.post_layernorm", "image_tower.post_norm"),
    TensorRule("visual_projection.weight", "image_tower.projection.kernel", "transposed"),
    TensorRule(f"{_TEXT}.token_embedding.weight", "text_tower.token_embedding"),
    TensorRule(f"{_TEXT}.position_embedding.weight", "text_tower.position_embedding"),
    *block_rules("text_model", "text_tower"),
    *norm_rules("text_model.final_layer_norm", "text_tower.post_norm"),
    TensorRule("text_projection.weight", "text_tower.projection.kernel", "transposed"),
    TensorRule(f"{_VISION}.position_ids", ignored=True),
    TensorRule(f"{_TEXT}.position_ids", ignored=True),
)
"""What every tensor of the layout becomes."""
