"""The demo model: CLIP's architecture at the size of its world."""

from jclip.models import CLIPConfig, TextConfig, VisionConfig

IMAGE_SIZE = 64
CONTEXT_LENGTH = 40


def demo_config(vocabulary_size: int) -> CLIPConfig:
    """About 3.4 million parameters: 64-pixel images in patches of 16, 5 + 2 layers of width 192.

    Pooled at the largest id, which is the end of text in a vocabulary made like CLIP's.
    """
    width, heads = 192, 3
    shared = {"width": width, "heads": heads, "mlp_width": 4 * width, "activation": "quick_gelu"}
    return CLIPConfig(
        vision=VisionConfig(**shared, layers=5, image_size=IMAGE_SIZE, patch_size=16),
        text=TextConfig(
            **shared,
            layers=2,
            context_length=CONTEXT_LENGTH,
            vocabulary_size=vocabulary_size,
            end_of_text=vocabulary_size - 1,
        ),
        embedding_width=128,
    )
