"""Families that are known and not read, refused by name before any field of theirs is."""

import re
from typing import Any

from jclip.errors import InputError

# What a timm trunk is called by, and its family.
_TRUNKS = {
    r"convnext": "ConvNeXt",
    r"vitamin": "ViTamin",
    r"fastvit": "FastViT (MobileCLIP)",
    r"vit_\w+_mci": "ViT with a convolutional stem (MobileCLIP)",
    r"eva_giant": "EVA-01",
    r"eva02_enormous": "EVA-02 enormous",
    r"resnet|resnest": "ResNet",
}


def object_in(values: dict[str, Any], name: str) -> dict[str, Any]:
    """The object in a field; an empty one where there is none."""
    value = values.get(name)
    return value if isinstance(value, dict) else {}


def refuse_families(values: dict[str, Any], file: str) -> None:
    """Name the family of a network that `model_cfg` describes, if it is one that is not read.

    Raises:
        InputError: it is.
    """
    vision, text = object_in(values, "vision_cfg"), object_in(values, "text_cfg")
    trunk, family = vision.get("timm_model_name"), None
    if values.get("multimodal_cfg") is not None:
        family = "CoCa"
    elif isinstance(vision.get("layers"), list):
        family = "ResNet"
    elif isinstance(trunk, str):
        family = next((known for name, known in _TRUNKS.items() if re.match(name, trunk)), None)
    if family is None and (name := text.get("hf_model_name")):
        family = f"text tower {name!s:.60}"
    if family is not None:
        raise InputError(
            f"{file} describes a {family}, a family that is not supported; ViT towers of CLIP, "
            "SigLIP, CLIPA, MetaCLIP, PE-Core and EVA-02 are"
        )
