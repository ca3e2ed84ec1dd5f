"""The demo model's tokenizer: CLIP's byte-pair kind, with a vocabulary as small as its world."""

import json
from typing import Any

from jclip.demo.vocabulary import ATTRIBUTES, CLASSES
from jclip.text.tokenizer import tokenizer_from_merges


def train_tokenizer(captions: list[str]) -> Any:
    """A `transformers.CLIPTokenizer` for which every word of the captions is one token.

    Any other text is still tokenized, byte by byte where need be.
    """
    words = sorted({word.strip(",.") for caption in captions for word in caption.lower().split()})
    words += [*CLASSES, *(word for names in ATTRIBUTES.values() for word in names)]
    trained = tokenizer_from_merges([]).train_new_from_iterator(words, 4096, show_progress=False)
    merges = json.loads(trained.backend_tokenizer.to_str())["model"]["merges"]
    return tokenizer_from_merges([(left, right) for left, right in merges])
