"""FG-CLIP 1 in the layout of the transformers library: CLIP, with long texts and dense features.

FG-CLIP 2 is a kind of SigLIP 2; see `jclip.checkpoints.siglip`.
"""

import dataclasses
from typing import Any

from jclip.checkpoints import transformers
from jclip.checkpoints.name_map import TensorRule
from jclip.models import CLIPConfig
from jclip.models.config import LongText

_ARCHITECTURE = "FGCLIPModel"
# The class has both as constants.
_LONG = LongText(context_length=248, kept=20, box=False)


def is_fgclip(values: dict[str, Any]) -> bool:
    """Whether a `config.json` is of FG-CLIP 1, whose `model_type` is CLIP's."""
    named = values.get("architectures")
    return isinstance(named, list) and _ARCHITECTURE in named


def read_config(values: dict[str, Any], file: str) -> CLIPConfig:
    """The network that a `config.json` describes.

    Raises:
        InputError: a field describes what is not supported, or is unknown.
    """
    # Where the authors' code is, for those who would run it.
    known = {name: value for name, value in values.items() if name != "auto_map"}
    config = transformers.read_config(known, file)
    return dataclasses.replace(
        config,
        vision=dataclasses.replace(config.vision, dense="themselves"),
        text=dataclasses.replace(config.text, long=_LONG),
    )


_POSITIONS = "text_model.embeddings.position_embedding"

RULES: tuple[TensorRule, ...] = (
    *transformers.RULES,
    TensorRule(f"{_POSITIONS}_ori.weight", "text_tower.kept_embedding"),
    TensorRule(f"{_POSITIONS}_res.weight", "text_tower.long_embedding"),
    TensorRule("text_filip_projection.weight", "text_tower.long_projection.kernel", "transposed"),
    # Scales of its other two training losses.
    TensorRule("logit_scale_finegraind", ignored=True),
    TensorRule("logit_scale_hardneg", ignored=True),
)
"""What every tensor of the layout becomes."""
