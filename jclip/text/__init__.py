"""Texts: from words to token ids."""
