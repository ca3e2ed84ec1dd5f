"""Texts of other families than CLIP are cleaned, cut and framed as the libraries do it."""

import dataclasses
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from jclip.checkpoints import describe_checkpoint
from jclip.checkpoints.open_clip import text_format
from jclip.errors import InputError
from jclip.files.json_files import read_json
from jclip.text.cleaning import CLEANINGS
from jclip.text.pieces import load_pieces

GOLDEN = Path(__file__).parents[1] / "golden"
IDS = [
    ("siglip", "reference", "as_transformers_gives"),
    ("siglip2_fixed", "corrected", "after_lower_case"),
    ("siglip2_fixed", "reference", "as_transformers_gives"),
    ("siglip2_naflex", "corrected", "after_lower_case"),
    ("siglip2_naflex", "reference", "as_transformers_gives"),
    ("metaclip_2", "corrected", "as_transformers_gives"),
    ("open_clip_clipa", "corrected", "as_open_clip_gives"),
    ("open_clip_siglip2", "reference", "as_open_clip_gives"),
    ("open_clip_siglip2_gopt", "reference", "as_open_clip_gives"),
]


def described(name, **options):
    return describe_checkpoint(GOLDEN / name, **options)


@pytest.mark.parametrize(("name", "texts", "key"), IDS)
def test_ids_equal_the_library(name, texts, key):
    arrays = np.load(GOLDEN / name / "tokens.npz")
    found = described(name, text_cleaning=texts).tokenizer(arrays["texts"].tolist())
    assert found.ids.dtype == np.int32
    assert (found.ids == arrays[key]).all()
    # The longest text is the last one.
    assert found.truncated[-1] or found.ids.shape[1] > 77


def test_long_texts_have_more_positions():
    arrays = np.load(GOLDEN / "fgclip2" / "expected.npz")
    texts = arrays["texts"].tolist()
    found = described("fgclip2", text_kind="long").tokenizer(texts)
    assert found.kind == "long"
    assert (found.ids == arrays["long_input_ids"]).all()
    boxes = described("fgclip2", text_kind="box").tokenizer(texts)
    assert (boxes.kind, boxes.ids.tolist()) == ("box", arrays["short_input_ids"].tolist())
    with pytest.raises(InputError, match="siglip: texts of kind 'box', but the tower knows one"):
        described("siglip", text_kind="box")


def test_siglip_was_trained_on_lower_case_with_punctuation():
    rows = json.loads((GOLDEN / "siglip" / "lower_tokens.json").read_text(encoding="utf-8"))
    tokenizer = described("siglip").tokenizer
    texts = [row["text"] for row in rows]
    for row, found in zip(rows, tokenizer(texts).ids.tolist(), strict=True):
        assert found == row["ids"] + [1] * (64 - len(row["ids"]))
    # Without punctuation it is what the evaluations saw; with it, it is not.
    arrays = np.load(GOLDEN / "siglip" / "tokens.npz")
    plain = [CLEANINGS["canonical_repaired"](text) for text in arrays["texts"].tolist()]
    assert (tokenizer(plain).ids == arrays["after_open_clip_canonicalize"]).all()
    assert (tokenizer(texts[:20]).ids != arrays["after_canonicalize"]).any()


def test_what_cleaning_changed_is_noticed():
    texts = ["a cat", "A Cat", "a &amp; b", "a dog, a cat"]
    (notice,) = described("open_clip_clipa").tokenizer.notices(texts)
    assert notice.startswith("1 of 4 texts have other tokens than their letters give")
    assert notice.endswith("cleaned first (repaired); 'a &amp; b' is read as 'a & b'.")
    (notice,) = described("siglip", text_cleaning="reference").tokenizer.notices(texts)
    assert notice.startswith("2 of 4 texts have other tokens")
    # Lower case is told as a choice of the run.
    assert described("siglip2_fixed").tokenizer.notices(texts) == []
    assert described("siglip2_fixed").tokenizer.notices([]) == []


@pytest.mark.parametrize(
    ("name", "mark"),
    [("siglip2_fixed", "<eos>"), ("metaclip_2", "</s>"), ("open_clip_clipa", "[SEP]")],
)
def test_marks_of_an_end_inside_a_text_are_noticed(name, mark):
    tokenizer = described(name).tokenizer
    (notice,) = tokenizer.notices(["a dog", f"a dog {mark} and a cat"])
    assert notice.startswith("1 of 2 texts hold a mark of a text's start or end: the tokenizer")
    ids = tokenizer.backend.encode(f"a {mark} b", add_special_tokens=False).ids
    assert tokenizer.backend.token_to_id(mark) in ids


def test_sentencepiece_takes_no_letters_for_its_marks():
    tokenizer = described("siglip").tokenizer
    assert tokenizer.notices(["a dog </s> and a cat"]) == []
    ids = tokenizer(["a dog </s> and a cat"]).ids[0].tolist()
    assert ids[ids.index(1) :] == [1] * (64 - ids.index(1))
    assert ids.index(1) > 8


def test_halves_of_surrogate_pairs_are_mended_or_refused():
    texts = ["a dog", "a dog \ud83d"]
    with pytest.raises(InputError, match=r"texts\[1\]: half a surrogate pair, no Unicode"):
        described("siglip").tokenizer(texts)
    mending = described("open_clip_clipa").tokenizer
    assert (mending(texts).ids == mending(["a dog", "a dog \ufffd"]).ids).all()
    (notice,) = mending.notices(texts)
    assert notice.endswith(r"'a dog \ud83d' is read as 'a dog \ufffd'.")


@pytest.mark.parametrize("name", ["open_clip_clips", "open_clip_siglip"])
def test_ids_of_configurations_without_weights(name):
    values = read_json(GOLDEN / name / "open_clip_config.json")["model_cfg"]["text_cfg"]
    how = text_format(values, "file")
    tower = dataclasses.replace(
        described("siglip").config.text,
        context_length=values["context_length"],
        vocabulary_size=values["vocab_size"],
    )
    arrays = np.load(GOLDEN / name / "tokens.npz")
    ids = load_pieces(GOLDEN / name, tower, how, "reference")(arrays["texts"].tolist()).ids
    assert (ids == arrays["as_open_clip_gives"]).all()


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"hf_tokenizer_name": "bert"}, "text_cfg.hf_tokenizer_name = 'bert'"),
        ({"hf_tokenizer_name": "xlm-v", "tokenizer_mode": "x"}, "text_cfg.tokenizer_mode = 'x'"),
        (
            {"hf_tokenizer_name": "SigLIP", "tokenizer_kwargs": {"clean": "x"}},
            "text_cfg.tokenizer_kwargs.clean = 'x'",
        ),
        (
            {"hf_tokenizer_name": "SigLIP", "tokenizer_kwargs": {"language": "x"}},
            "text_cfg.tokenizer_kwargs.language = 'x'",
        ),
    ],
)
def test_other_tokenizers_are_refused_by_name(values, named):
    with pytest.raises(InputError, match=re.escape(named)):
        text_format(values, "file")


def test_open_clip_cleans_what_transformers_does_not():
    arrays = np.load(GOLDEN / "metaclip_2" / "open_clip_tokens.npz")
    plain = described("metaclip_2")
    texts = dataclasses.replace(plain.text_format, corrected="repaired")
    ids = dataclasses.replace(plain, text_format=texts).tokenizer(arrays["texts"].tolist()).ids
    assert (ids == arrays["as_open_clip_gives"]).all()


def test_cleaned_texts_equal_those_of_open_clip():
    arrays = np.load(GOLDEN / "siglip2_fixed" / "tokens.npz")
    for text, wanted in zip(arrays["texts"], arrays["open_clip_clean_texts"], strict=True):
        assert CLEANINGS["canonical_repaired"](str(text)) == wanted


def test_an_empty_text_is_all_padding():
    assert (described("siglip").tokenizer([""]).ids == 1).all()


def test_no_texts():
    ids, truncated, _ = described("siglip").tokenizer([])
    assert ids.shape == (0, 64)
    assert truncated.shape == (0,)


def test_a_missing_tokenizer_is_not_replaced_by_that_of_clip(tmp_path):
    folder = Path(shutil.copytree(GOLDEN / "siglip", tmp_path / "copy"))
    (folder / "spiece.model").unlink()
    with pytest.raises(InputError, match=r"holds no tokenizer \(tokenizer.json or spiece.model\)"):
        _ = describe_checkpoint(folder).tokenizer


def test_a_damaged_tokenizer_is_named(tmp_path):
    folder = Path(shutil.copytree(GOLDEN / "siglip", tmp_path / "copy"))
    (folder / "spiece.model").write_bytes(b"\x0a\xff\xff")
    with pytest.raises(InputError, match=r"spiece\.model: the tokenizer cannot be read"):
        _ = describe_checkpoint(folder).tokenizer


def test_a_tokenizer_that_does_not_fit_is_named():
    model = described("siglip")
    small = dataclasses.replace(model.config.text, vocabulary_size=100)
    config = dataclasses.replace(model.config, text=small)
    with pytest.raises(InputError, match="knows 244 tokens, but the text tower embeds 100"):
        _ = dataclasses.replace(model, config=config).tokenizer
    model = described("metaclip_2")
    other = dataclasses.replace(model.config.text, end_of_text=7)
    config = dataclasses.replace(model.config, text=other)
    with pytest.raises(InputError, match=r"ends texts with token 2, but .* pooled at token 7"):
        _ = dataclasses.replace(model, config=config).tokenizer
