"""Texts: from words to token ids."""

from jclip.text.tokenizer import TokenIds, Tokenizer, load_tokenizer

__all__ = ["TokenIds", "Tokenizer", "load_tokenizer"]
