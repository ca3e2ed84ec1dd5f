"""The demo model: CLIP's architecture and kind of tokenizer at the size of its world."""

import collections
import itertools
from collections.abc import Sequence
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

    Any other text is still tokenized, byte by byte where need be. The same words make the same
    tokenizer in every process, so that a run that is resumed goes on with its token ids.
    """
    words = sorted({word.strip(",.") for caption in captions for word in caption.lower().split()})
    words += [*CLASSES, *(word for names in ATTRIBUTES.values() for word in names)]
    split = tokenizer_from_merges([]).backend_tokenizer.pre_tokenizer.pre_tokenize_str
    return tokenizer_from_merges(learned_merges([p for word in words for p, _ in split(word)]))


def learned_merges(words: Sequence[str]) -> list[tuple[str, str]]:
    """The merges, in order, that make every word one token: always of the most frequent pair.

    Of pairs that are as frequent the first by its characters, since a trainer that leaves this open
    gives other ids each time.
    """
    counts = collections.Counter((*word[:-1], f"{word[-1]}</w>") for word in words)
    merges = []
    while True:
        pairs = collections.Counter()
        for symbols, count in counts.items():
            for pair in itertools.pairwise(symbols):
                pairs[pair] += count
        if not pairs:
            return merges
        merges.append(best := min(pairs, key=lambda pair: (-pairs[pair], pair)))
        counts = {_merged(symbols, best): count for symbols, count in counts.items()}


def _merged(symbols: Sequence[str], pair: tuple[str, str]) -> tuple[str, ...]:
    joined = []
    for symbol in symbols:
        if joined and (joined[-1], symbol) == pair:
            joined[-1] += symbol
        else:
            joined.append(symbol)
    return tuple(joined)
