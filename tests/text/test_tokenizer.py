"""Token ids equal those of transformers and of open_clip."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jclip.checkpoints import describe_checkpoint
from jclip.errors import InputError
from jclip.models import ARCHITECTURES
from jclip.text.cleaning import repaired
from jclip.text.tokenizer import load_tokenizer

GOLDEN = Path(__file__).parents[1] / "golden"
START, END = 49406, 49407
TEXT = ARCHITECTURES["ViT-B-32"].text
TRANSFORMERS_TEXT = replace(TEXT, end_of_text=END)


@pytest.fixture(scope="module")
def clip():
    return load_tokenizer(None, TEXT)


@pytest.fixture(scope="module")
def golden():
    return np.load(GOLDEN / "tokens.npz")


def test_ids_equal_both_libraries_up_to_padding(clip, golden):
    ids, truncated, _ = clip(golden["prompts"].tolist())
    assert ids.dtype == np.int32
    for library in ("transformers", "open_clip"):
        wanted = golden[library]
        ends = (wanted == END).argmax(axis=1)
        assert ((ids == END).argmax(axis=1) == ends).all()
        kept = np.arange(77) <= ends[:, None]
        assert (ids[kept] == wanted[kept]).all()
    # Pooling takes the first end of text; padding must not come before it, nor exceed it.
    assert (ids.argmax(axis=1) == ends).all()
    assert truncated.sum() == 1
    assert ids[truncated][0, -1] == END


def test_a_saved_tokenizer_is_used_and_equal(clip, golden, tmp_path):
    clip.backend.save_pretrained(tmp_path)
    assert (tmp_path / "tokenizer.json").exists()
    own = load_tokenizer(tmp_path, TRANSFORMERS_TEXT)
    prompts = golden["prompts"].tolist()
    assert (own(prompts).ids == clip(prompts).ids).all()


def test_vocabulary_and_merges_are_enough(clip, tmp_path):
    vocabulary = clip.backend.get_vocab()
    merges = [" ".join(pair) for pair in clip.backend._merges]
    (tmp_path / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    (tmp_path / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", "utf-8")
    own = load_tokenizer(tmp_path, TEXT)
    texts = ["a 360 degree view of a kitchen", "naïve café, 東京!"]
    assert (own(texts).ids == clip(texts).ids).all()


def test_the_vocabulary_is_complete(clip):
    vocabulary = clip.backend.get_vocab()
    assert len(vocabulary) == 49408
    assert (vocabulary["<|startoftext|>"], vocabulary["<|endoftext|>"]) == (START, END)
    assert vocabulary["!"] == 0
    assert sorted(vocabulary.values()) == list(range(49408))


CLEANED = json.loads((GOLDEN / "cleaned_tokens.json").read_text())


def test_texts_are_cleaned_as_open_clip_cleans_them(clip):
    own = describe_checkpoint(GOLDEN / "hf_full").tokenizer
    for text, ids in zip(CLEANED["texts"], CLEANED["ids"], strict=True):
        for tokenizer in (clip, own):
            found = tokenizer([text]).ids[0, : len(ids) + 2]
            assert found.tolist() == [START, *ids, END], ascii(text)


def test_a_bare_string_is_one_text_and_others_are_refused(clip):
    assert clip("a dog").ids.tolist() == clip(["a dog"]).ids.tolist()
    assert clip(text for text in ("a dog", "a cat")).ids.shape == (2, 77)
    for wrong, message in (
        (b"a dog", "a bytes"),
        ({"a dog": 1}, "a dict"),
        ({"a dog"}, "a set"),
        (3, "a int"),
        (["a dog", None], "a NoneType"),
        ([["a dog"]], "a list"),
        ([b"a dog"], "a bytes"),
    ):
        # The type checkers of the tests refuse some of these before the tokenizer does.
        with pytest.raises(TypeError, match=f"{message}|Type-check"):
            clip(wrong)


def test_texts_of_which_cleaning_changes_tokens_are_counted(clip):
    plain = ["a dog", "A  Dog.", "cafe\u0301", "x" * 400, "a\u00a0dog"]
    assert clip.notices(plain) == []
    (notice,) = clip.notices([*plain, "Tom &amp; Jerry", "a dog\u2019s ball"])
    assert "2 of 7 texts have other tokens" in notice
    assert "'Tom &amp; Jerry' is read as 'tom & jerry'" in notice
    assert notice.isascii()


@pytest.mark.parametrize("mark", ["<|endoftext|>", "<end_of_text>", "<|StartOfText|>"])
def test_marks_of_an_end_inside_a_text_are_noticed(clip, mark):
    (notice,) = clip.notices(["a dog", f"a dog {mark} and a cat"])
    assert "1 of 2 texts hold a mark of a text's start or end" in notice


def test_no_texts(clip):
    ids, truncated, _ = clip([])
    assert ids.shape == (0, 77)
    assert truncated.shape == (0,)


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=200))
def test_every_text_is_framed(clip, text):
    (row,), (cut,), _ = clip([text])
    first_end = (row == END).argmax()
    assert row[0] == START
    assert first_end > 0
    assert (row[first_end + 1 :] == END).all() or "<|" in text
    assert cut == (len(clip.backend(repaired(text).lower())["input_ids"]) > 77)


def test_a_short_context_cuts(clip):
    short = load_tokenizer(None, replace(TEXT, context_length=5))
    (ids, longer), truncated, _ = short(["a dog", "a dog in the kitchen"])
    assert truncated.tolist() == [False, True]
    assert ids.tolist() == [*clip(["a dog"]).ids[0, :4], END]
    assert longer.tolist() == [*clip(["a dog in"]).ids[0, :4], END]
    # Five tokens with its frame: whole, to the last place.
    (exact,), truncated, _ = short(["a dog in"])
    assert exact.tolist() == longer.tolist() and truncated.tolist() == [False]


def test_unfit_tokenizers_are_refused(tmp_path, clip):
    with pytest.raises(InputError, match=r"ends texts with token 49407.*pooled at token 5"):
        load_tokenizer(None, replace(TEXT, end_of_text=5))
    clip.backend.save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"knows 49408 tokens.*embeds 600"):
        load_tokenizer(tmp_path, replace(TEXT, vocabulary_size=600))
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match="the tokenizer cannot be read"):
        load_tokenizer(tmp_path, TEXT)


def test_a_checkpoint_without_a_tokenizer_says_so_on_use(tmp_path):
    shutil.copytree(GOLDEN / "hf_gelu", tmp_path / "small")
    description = describe_checkpoint(tmp_path / "small")
    with pytest.raises(InputError, match="vocabulary of 520 tokens is not CLIP's 49408"):
        _ = description.tokenizer
    assert describe_checkpoint(GOLDEN / "hf_full").tokenizer(["a"]).ids[0, :3].tolist() == [
        START,
        320,
        END,
    ]
