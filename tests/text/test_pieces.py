"""Texts of other families than CLIP are cleaned, cut and framed as the libraries do it."""

import dataclasses
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
    ("siglip", "corrected", "after_canonicalize"),
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
    ids, _ = load_pieces(GOLDEN / name, tower, how, "reference")(arrays["texts"].tolist())
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
    ids, truncated = described("siglip").tokenizer([])
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
