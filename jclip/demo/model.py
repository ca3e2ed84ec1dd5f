"""The demo model: CLIP's architecture and kind of tokenizer at the size of its world."""

import json
from typing import Any

from jclip.demo.vocabulary import ATTRIBUTES, CLASSES
from jclip.models import CLIPConfig, TextConfig, VisionConfig
from jclip.text.tokenizer import tokenizer_from_merges

IMAGE_SIZE = 64


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
            context_length=40,
            vocabulary_size=vocabulary_size,
            end_of_text=vocabulary_size - 1,
        ),
        embedding_width=128,
    )


def train_tokenizer(captions: list[str]) -> Any:
    """A `transformers.CLIPTokenizer` for which every word of the captions is one token.

    Any other text is still tokenized, byte by byte where need be.
    """
    words = sorted({word.strip(",.") for caption in captions for word in caption.lower().split()})
    words += [*CLASSES, *(word for names in ATTRIBUTES.values() for word in names)]
    trained = tokenizer_from_merges([]).train_new_from_iterator(words, 4096, show_progress=False)
    merges = json.loads(trained.backend_tokenizer.to_str())["model"]["merges"]
    return tokenizer_from_merges([(left, right) for left, right in merges])
