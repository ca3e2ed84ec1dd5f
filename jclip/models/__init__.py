"""The networks."""

from jclip.models.clip import CLIP, cut_after_end_of_text
from jclip.models.config import ARCHITECTURES, CLIPConfig, TextConfig, VisionConfig

__all__ = [
    "ARCHITECTURES",
    "CLIP",
    "CLIPConfig",
    "TextConfig",
    "VisionConfig",
    "cut_after_end_of_text",
]
