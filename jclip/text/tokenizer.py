"""Texts to token ids, with a checkpoint's own tokenizer or with CLIP's."""

import gzip
import importlib.resources
import os
import re
from collections.abc import Iterable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int32

from jclip.errors import InputError
from jclip.models import TextConfig
from jclip.models.config import TextKind
from jclip.text.cleaning import repaired
from jclip.text.notices import lower_lettered, text_notices

CLIP_VOCABULARY_SIZE = 49408

_START, _END = "<|startoftext|>", "<|endoftext|>"
# As OpenAI and transformers write them, and as open_clip does.
_MARKERS = re.compile(r"<\|(start|end)oftext\|>|<(start|end)_of_text>")


class TokenIds(NamedTuple):
    """Token ids `[N, L]`, and which of the N texts were cut to fit the context of L tokens.

    `kind` says what the texts are, to networks that tell kinds apart.
    """

    ids: Int32[np.ndarray, "n l"]
    truncated: Bool[np.ndarray, " n"]
    kind: TextKind = "short"


class Tokenizer:
    """A byte-pair tokenizer that frames texts as a text tower expects them.

    Its `backend` is a `transformers.CLIPTokenizer`; texts are of one `kind`.

    Raises:
        InputError: the tokenizer does not fit the tower: its end-of-text token is not the one that
            the tower is pooled at, or it knows more tokens than the tower embeds.
    """

    def __init__(self, backend: Any, config: TextConfig, kind: TextKind = "short"):
        self.backend = backend
        self.context_length = config.context_of(kind)
        self._kind: TextKind = kind
        self.end_of_text = backend.eos_token_id
        if config.end_of_text not in (None, self.end_of_text):
            raise InputError(
                f"the tokenizer ends texts with token {self.end_of_text}, but the text tower is "
                f"pooled at token {config.end_of_text}"
            )
        if len(backend) > config.vocabulary_size:
            raise InputError(
                f"the tokenizer knows {len(backend)} tokens, but the text tower embeds "
                f"{config.vocabulary_size}"
            )

    def __call__(self, texts: Iterable[str]) -> TokenIds:
        """Start of text, the text, end of text, and padding; a bare string is one text.

        Texts are cleaned as OpenAI and open_clip clean them (`repaired`, lower case). A text that
        does not fit loses its last tokens, but keeps the end of text, as in open_clip and
        transformers. Padding repeats the end of text: whether a tower is pooled at the first end of
        text or at the first largest id, that is still the right one.

        Raises:
            TypeError: something else than texts.
        """
        rows = self._pieces([repaired(text).lower() for text in listed_texts(texts)])
        ids = np.full((len(rows), self.context_length), self.end_of_text, np.int32)
        for target, row in zip(ids, rows, strict=True):
            kept = row[: self.context_length - 1]
            target[: len(kept)] = kept
        truncated = np.array([len(row) > self.context_length for row in rows], bool)
        return TokenIds(ids, truncated, self._kind)

    def _pieces(self, texts: Sequence[str]) -> list[list[int]]:
        return self.backend(list(texts), verbose=False)["input_ids"] if texts else []

    def notices(self, texts: Sequence[str]) -> list[str]:
        """How many texts have other tokens than before cleaning, or hold the mark of an end."""
        return text_notices(
            texts,
            lambda text: repaired(text).lower(),
            lower_lettered,
            self._pieces,
            _MARKERS,
            said="OpenAI and open_clip mend texts and read HTML entities first",
            meant=f"{_END} ends a text there, <end_of_text> does in open_clip",
        )


def listed_texts(texts: Any) -> list[str]:
    """Texts as a list; a bare string is one text.

    Raises:
        TypeError: something else than texts.
    """
    if isinstance(texts, str):
        return [texts]
    if isinstance(texts, Mapping | Set | bytes) or not isinstance(texts, Iterable):
        raise TypeError(f"texts: a {type(texts).__name__} where a list of texts is meant")
    found = list(texts)
    for row, text in enumerate(found):
        if not isinstance(text, str):
            raise TypeError(f"texts[{row}]: a {type(text).__name__} where a text is meant")
    return found


def load_tokenizer(folder: Path | None, config: TextConfig, kind: TextKind = "short") -> Tokenizer:
    """The tokenizer of a checkpoint's folder, or CLIP's where there is no folder or none in it.

    A folder may hold `tokenizer.json`, or `vocab.json` and `merges.txt`.

    Raises:
        InputError: the files cannot be read or do not fit the tower; or there are none, and the
            tower's vocabulary is not CLIP's.
    """
    if folder is not None and _has_tokenizer(folder):
        try:
            backend = _tokenizer_class().from_pretrained(folder, local_files_only=True)
        except Exception as error:  # the parsers raise bare Exceptions
            raise InputError(f"{folder}: the tokenizer cannot be read: {error}") from error
        return Tokenizer(backend, config, kind)
    if config.vocabulary_size != CLIP_VOCABULARY_SIZE:
        raise InputError(
            f"{folder or 'the checkpoint'} holds neither tokenizer.json nor vocab.json with "
            f"merges.txt, and its vocabulary of {config.vocabulary_size} tokens is not CLIP's "
            f"{CLIP_VOCABULARY_SIZE}: texts cannot be tokenized"
        )
    # CLIP's own; its vocabulary follows from the order of the merges.
    packed = importlib.resources.files("jclip.text") / "clip_bpe" / "merges.txt.gz"
    lines = gzip.decompress(packed.read_bytes()).decode("utf-8").splitlines()
    merges = [(left, right) for left, right in map(str.split, lines)]
    return Tokenizer(tokenizer_from_merges(merges), config, kind)


def _tokenizer_class() -> Any:
    # Imported here: it takes seconds, and a network alone is used without texts.
    # A tokenizer needs no PyTorch, which that library advises to install where there is none.
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    from transformers import CLIPTokenizer

    return CLIPTokenizer


def _has_tokenizer(folder: Path) -> bool:
    alternatives = (["tokenizer.json"], ["vocab.json", "merges.txt"])
    return any(all((folder / name).exists() for name in names) for names in alternatives)


def tokenizer_from_merges(merges: Sequence[tuple[str, str]]) -> Any:
    """A `transformers.CLIPTokenizer` whose vocabulary is all bytes, then what the merges make."""
    symbols = _byte_symbols()
    ends = (f"{symbol}</w>" for symbol in symbols)
    tokens = (*symbols, *ends, *map("".join, merges), _START, _END)
    vocabulary = {token: index for index, token in enumerate(tokens)}
    return _tokenizer_class()(vocab=vocabulary, merges=list(merges))


def _byte_symbols() -> list[str]:
    """A printable character for each of the 256 bytes, in the order of CLIP's vocabulary.

    Bytes that print in Latin-1 stand for themselves and come first; the others follow, shown as
    the code points from 256 on.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    return [*map(chr, printable), *(chr(256 + n) for n in range(256 - len(printable)))]
