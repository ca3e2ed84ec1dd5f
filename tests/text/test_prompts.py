"""Format words before contents, and contents out of prompts."""

import pytest

from jclip.text.prompts import GENERICS, IDENTIFIERS, content_of, make_prompts

WORDS = (*IDENTIFIERS, *GENERICS)


def test_every_content_after_every_word():
    assert make_prompts(["a bridge", "two rooms"], ["a photo of", "a 360 photo of"]) == [
        ["This is a photo of a bridge", "This is a 360 photo of a bridge"],
        ["This is a photo of two rooms", "This is a 360 photo of two rooms"],
    ]
    assert make_prompts(["x"], ["a view of"], prefix="") == [["a view of x"]]


@pytest.mark.parametrize(
    ("prompt", "content"),
    [
        ("a 360 degree view of a bathroom with a toilet", "a bathroom with a toilet"),
        ("This is a 360 degree view of  a bathroom", "a bathroom"),
        ("360 photo of a forest", "a forest"),
        ("A Panorama of a city", "a city"),
        ("an image of an image of a tree", "an image of a tree"),
        ("  picture of dunes ", "dunes"),
        ("This is a 360-degree view of room 0", "room 0"),
        ("a 360\u00b0 view of a room", "a room"),
        ("A 360\u2011Degrees view of a room", "a room"),
        ("a 360&deg; view of a room", "a room"),
        ("This is \u201ca 360-degree view of\u201d the hall", "the hall"),
        ('"a photo of a cat".', "a cat"),
        ("a photo of: dogs", "dogs"),
        ("a photo of a 'cat'", "a 'cat'"),
        ("This is a (360-photo) of dunes", "dunes"),
    ],
)
def test_content_stands_behind_a_known_word(prompt, content):
    assert content_of(prompt, WORDS) == content


@pytest.mark.parametrize(
    "prompt", ["a bathroom", "a photograph of a room", "a photo of", "photos of x"]
)
def test_prompts_without_a_known_word(prompt):
    assert content_of(prompt, WORDS) is None


def test_the_longest_word_is_taken_whole():
    assert (
        content_of("a photo of a view of a park", ("a photo of a view of", "a photo of"))
        == "a park"
    )
