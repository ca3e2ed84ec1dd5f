"""The demo model's tokenizer follows from the captions alone, so that training can be resumed."""

from jclip.demo.model import learned_merges, train_tokenizer
from jclip.demo.vocabulary import COLOURS


def test_merges_of_words():
    found = learned_merges(["lower", "lower", "lot", "no"])
    # (l, o) stands thrice, then three pairs twice, of which (e, r) is the first by its characters.
    assert found[:4] == [("l", "o"), ("e", "r</w>"), ("lo", "w"), ("low", "er</w>")]
    assert found[4:] == [("lo", "t</w>"), ("n", "o</w>")]


def test_a_letter_that_is_repeated():
    assert learned_merges(["aaab"]) == [("a", "a"), ("a", "b</w>"), ("aa", "ab</w>")]


def test_the_order_of_captions_changes_no_id():
    captions = ["a 360 degree view of two cups", "the photo of a cup, under a clear sky."]
    tokenizer = train_tokenizer(captions)
    assert train_tokenizer(captions[::-1]).get_vocab() == tokenizer.get_vocab()
    words = ["degree", "view", "cups", "cup", "sky", *COLOURS]
    assert all(len(ids) == 3 for ids in tokenizer(words)["input_ids"])
    assert tokenizer.eos_token_id == len(tokenizer) - 1
