"""Texts are mended as the tokenizers of OpenAI and open_clip mend them before anything else."""

import html

import ftfy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jclip.text.cleaning import is_unicode, repaired


@given(st.text() | st.text("a &;<#\t\n\x1b[31m"))
def test_the_short_way_for_plain_texts_is_the_long_one(text):
    fixed = html.unescape(html.unescape(ftfy.fix_text(text))).strip()
    assert repaired(text) == " ".join(fixed.split())


@pytest.mark.parametrize("blank", ["", " ", "&nbsp;", "\ufeff", "\u3000\n", "&amp;nbsp;"])
def test_what_is_blank_to_a_tokenizer_is_blank(blank):
    assert repaired(blank) == ""


def test_halves_of_surrogate_pairs_are_no_unicode():
    assert is_unicode("a \U0001f600 dog") and is_unicode("")
    assert not is_unicode("a dog \ud83d") and not is_unicode("caf\udce9.png")
