"""Tokenizers other than CLIP's: `tokenizer.json` of any kind, and SigLIP's `spiece.model`."""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from tokenizers import models, normalizers, pre_tokenizers, processors

from jclip.errors import InputError
from jclip.models import TextConfig
from jclip.models.config import TextKind
from jclip.text.cleaning import CLEANINGS, Cleaning, TextChoice, changes_case_only, is_unicode
from jclip.text.formats import TextFormat
from jclip.text.notices import lettered, lower_lettered, text_notices
from jclip.text.tokenizer import TokenIds, listed_texts

PIECE_FILES = ("tokenizer.json", "spiece.model")
"""What a tokenizer is read from, the first that is there."""

# What CLIPS frames texts with, as its tokenizer's configuration names them.
_CLIPS_START, _CLIPS_END, _CLASS = "[unused0]", "[unused1]", "[CLS]"


class PieceTokenizer:
    """A tokenizer that cleans and frames texts as a checkpoint's training did.

    Args:
        backend: which cuts texts into pieces.
        config: the text tower.
        how: cleaning, frame and padding.
        texts: whose cleaning.
        kind: what the texts are, for networks that tell kinds apart.

    Raises:
        InputError: the tokenizer does not fit the tower: it knows more tokens than the tower
            embeds, or ends texts with another token than the tower is pooled at.
    """

    def __init__(
        self,
        backend: tokenizers.Tokenizer,
        config: TextConfig,
        how: TextFormat,
        texts: TextChoice,
        kind: TextKind = "short",
    ):
        self.backend = backend
        self.context_length = config.context_of(kind)
        self._kind: TextKind = kind
        self._how = how
        self._cleaning: Cleaning = how.cleaning(texts)
        self._clean = CLEANINGS[self._cleaning]
        if (known := backend.get_vocab_size()) > config.vocabulary_size:
            raise InputError(
                f"the tokenizer knows {known} tokens, but the text tower embeds "
                f"{config.vocabulary_size}"
            )
        self.end_of_text = self._ending()
        if config.pooling == "end" and config.end_of_text != self.end_of_text:
            raise InputError(
                f"the tokenizer ends texts with token {self.end_of_text}, but the text tower is "
                f"pooled at token {config.end_of_text}"
            )

    def _ending(self) -> int:
        if self._how.frame == "class_last":
            return self._id(_CLASS)
        ids = self.backend.encode("").ids
        if not ids:
            raise InputError("the tokenizer ends texts with no token of its own")
        return ids[-1]

    def _id(self, token: str) -> int:
        if (found := self.backend.token_to_id(token)) is None:
            raise InputError(f"the tokenizer has no token {token}")
        return found

    def __call__(self, texts: Iterable[str]) -> TokenIds:
        """Cleaned, framed, padded to the context; a text that is cut keeps its frame.

        Raises:
            TypeError: something else than texts.
            InputError: one is no Unicode, even when it is cleaned.
        """
        context, framed = self.context_length, self._how.frame != "class_last"
        cleaned = [self._clean(text) for text in listed_texts(texts)]
        for row, text in enumerate(cleaned):
            if not is_unicode(text):
                raise InputError(
                    f"texts[{row}]: half a surrogate pair, no Unicode, in {text!a:.80}"
                )
        rows = [one.ids for one in self.backend.encode_batch(cleaned, add_special_tokens=framed)]
        ids = np.full((len(rows), context), self._how.padding or 0, np.int32)
        room = context if framed else context - 3
        for target, row in zip(ids, rows, strict=True):
            if framed:
                kept = row if len(row) <= room else [*row[: room - 1], row[-1]]
            else:
                kept = [self._id(_CLIPS_START), *row[:room], self._id(_CLIPS_END)]
                target[-1] = self.end_of_text
            target[: len(kept)] = kept
        if self._how.frame == "separator_to_zero":
            ids[ids == self.end_of_text] = 0
        truncated = np.array([len(row) > room for row in rows], bool)
        return TokenIds(ids, truncated, self._kind)

    def notices(self, texts: Sequence[str]) -> list[str]:
        """How many texts have other tokens than before cleaning, or hold a token's own name.

        Lower case alone does not count: it is a choice of the run, which its page names.
        """
        name = self._cleaning
        as_it_is = None
        if not changes_case_only(name):
            as_it_is = lettered if name == "repaired" else lower_lettered
        added = self.backend.get_added_tokens_decoder().values()
        marks = [token.content for token in added if token.special]
        return text_notices(
            texts,
            self._clean,
            as_it_is,
            self._pieces,
            re.compile("|".join(map(re.escape, marks))) if marks else None,
            said=f"texts are cleaned first ({', '.join(reversed(name.split('_')))})",
            meant=f"the tokenizer takes such for tokens of its own ({', '.join(marks[:4])}, ...)",
        )

    def _pieces(self, texts: Sequence[str]) -> list[list[int]]:
        """For comparison alone, also of what is no Unicode."""
        known = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
        return [one.ids for one in self.backend.encode_batch(known)]


def load_pieces(
    folder: Path,
    config: TextConfig,
    how: TextFormat,
    texts: TextChoice,
    kind: TextKind = "short",
) -> PieceTokenizer:
    """The tokenizer of a checkpoint's folder.

    Raises:
        InputError: there is none, it cannot be read, or it does not fit the tower.
    """
    path = next((folder / name for name in PIECE_FILES if (folder / name).is_file()), None)
    if path is None:
        raise InputError(
            f"{folder} holds no tokenizer ({' or '.join(PIECE_FILES)}), and its texts are not cut "
            "as CLIP's are: texts cannot be tokenized"
        )
    try:
        if path.suffix == ".json":
            backend = tokenizers.Tokenizer.from_file(str(path))
        else:
            backend = _sentence_pieces(path.read_bytes())
    except Exception as error:  # the parsers raise bare Exceptions
        raise InputError(f"{path}: the tokenizer cannot be read: {error}") from error
    backend.no_padding()
    backend.no_truncation()
    return PieceTokenizer(backend, config, how, texts, kind)


def byte_pieces(
    config: TextConfig, how: TextFormat, texts: TextChoice, kind: TextKind = "short"
) -> PieceTokenizer:
    """A tokenizer for an untrained network, of which no vocabulary is known: a token per byte."""
    end = 1 if config.end_of_text is None else config.end_of_text
    names = ["<pad>", "<unused>", "<unused2>"]
    names[end] = "</s>"
    names += [f"<0x{byte:02X}>" for byte in range(256)]
    vocabulary = {name: index for index, name in enumerate(names)}
    backend = tokenizers.Tokenizer(models.BPE(vocabulary, [], byte_fallback=True))
    backend.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", end)]
    )
    return PieceTokenizer(backend, config, how, texts, kind)


def _sentence_pieces(content: bytes) -> tokenizers.Tokenizer:
    """A unigram model of sentencepiece, which ends every text with `</s>`."""
    pieces, charsmap = [], b""
    for field, value in _fields(content):
        if field == 1:
            piece = dict(_fields(value))
            score = np.frombuffer(piece.get(2, bytes(4)), "<f4")[0]
            # No text holds a blank when it is matched: `</s>` in a text is four letters.
            hidden = "" if piece.get(3, _NORMAL) in (_NORMAL, _USER_DEFINED) else " "
            pieces.append((hidden + piece[1].decode("utf-8"), float(score)))
        elif field == 3:
            charsmap = dict(_fields(value)).get(2, b"")
    names = [name for name, _ in pieces]
    unknown, end = names.index(" <unk>"), names.index(" </s>")
    backend = tokenizers.Tokenizer(models.Unigram(pieces, unk_id=unknown, byte_fallback=False))
    if charsmap:
        backend.normalizer = normalizers.Precompiled(charsmap)
    marker = pre_tokenizers.Metaspace("▁", prepend_scheme="always")
    backend.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), marker])
    backend.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", end)]
    )
    return backend


# Kinds of pieces; the others (unknown, control, unused, bytes) stand for no letters of a text.
_NORMAL, _USER_DEFINED = 1, 4


def _fields(content: bytes) -> Iterator[tuple[int, Any]]:
    """The fields of a protobuf message: number, and bytes or a whole number."""
    at = 0

    def number() -> int:
        nonlocal at
        value, shift = 0, 0
        while True:
            byte = content[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(content):
        key = number()
        kind = key & 7
        if kind == 0:
            yield key >> 3, number()
            continue
        length = {1: 8, 5: 4}.get(kind) or number()
        yield key >> 3, content[at : at + length]
        at += length
