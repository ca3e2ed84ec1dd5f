"""What `adapter_config.json` says of an adapter, as every version of peft writes it."""

from pathlib import Path
from typing import Any

from jclip.adapters.lora import LoRAConfig
from jclip.errors import InputError
from jclip.files.json_fields import Fields
from jclip.files.json_files import read_json

CONFIG = "adapter_config.json"

# Bookkeeping, and where adapters were put, which the tensors show by themselves.
_IGNORED = """
    auto_mapping base_model_name_or_path ensure_weight_tying eva_config exclude_modules
    corda_config inference_mode layers_pattern layers_to_transform loftq_config megatron_core
    peft_version qalora_group_size revision target_modules task_type
""".split()


def read_peft_config(path: Path) -> tuple[LoRAConfig, str | None]:
    """The adapter's settings but for its targets, and the class that peft wrapped, if it says so.

    Raises:
        InputError: it is no JSON object, or asks for more than plain LoRA.
    """
    values = read_json(path)
    # peft adds fields with every version; one that is switched off changes nothing.
    fields = Fields({name: value for name, value in values.items() if not _is_off(value)})
    fields.only("peft_type", "LORA")
    fields.only("bias", "none")
    # Other initialisations (pissa, olora, corda, loftq) change the weights beside the adapter.
    fields.only("init_lora_weights", True, "gaussian", "eva", "orthogonal")
    settings = {
        "rank": fields.take_positive("r", 8),
        "alpha": fields.take("lora_alpha", 8.0),
        "dropout": fields.take("lora_dropout", 0.0),
        "use_rslora": fields.take("use_rslora", False),
    }
    # A pattern that repeats what holds for all modules changes nothing.
    for name, value in (("rank_pattern", settings["rank"]), ("alpha_pattern", settings["alpha"])):
        pattern = fields.pop(name, {})
        if not isinstance(pattern, dict) or any(other != value for other in pattern.values()):
            fields.refuse(name, pattern, "not supported: one rank and one alpha are")
    fields.ignore(*_IGNORED)
    fields.finish()
    fields.raise_problems(str(path))
    try:
        config = LoRAConfig(**settings)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    mapping = values.get("auto_mapping")
    wrapped = mapping.get("base_model_class") if isinstance(mapping, dict) else None
    if not isinstance(wrapped, str | None):
        raise InputError(f"{path}: base_model_class is {wrapped!r:.80}, not the name of a class")
    return config, wrapped


def _is_off(value: Any) -> bool:
    """Whether a value says nothing, or holds nothing but such values."""
    if isinstance(value, dict | list):
        return all(map(_is_off, value.values() if isinstance(value, dict) else value))
    return value is None or value is False
