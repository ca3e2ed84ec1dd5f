"""Templates of prompts."""

import pytest

from jclip.errors import InputError
from jclip.text.templates import SIMPLE, prompts_of, read_templates


def test_openai_are_the_eighty_each_with_one_place_for_the_class():
    templates = read_templates("openai")
    assert len(set(templates)) == len(templates) == 80
    assert all(template.count("{}") == 1 and template == template.strip() for template in templates)
    # The first and the last, and the mistakes that they have there.
    assert (templates[0], templates[-1]) == ("a bad photo of a {}.", "a tattoo of the {}.")
    assert {"a origami {}.", "itap of my {}."} < set(templates)


def test_simple_and_a_file(tmp_path):
    (tmp_path / "own.txt").write_text("one {}\n\n  two {} \n")
    assert read_templates("simple") == SIMPLE
    assert read_templates(str(tmp_path / "own.txt")) == ("one {}", "two {}")


@pytest.mark.parametrize(
    ("lines", "said"),
    [("", "no template in it"), ("a {}\nnone\n", "line 2"), ("{} {}\n", "line 1")],
)
def test_a_file_that_is_no_templates_is_refused(tmp_path, lines, said):
    (tmp_path / "own.txt").write_text(lines)
    with pytest.raises(InputError, match=said):
        read_templates(str(tmp_path / "own.txt"))


def test_an_unknown_choice_names_the_known_ones():
    with pytest.raises(InputError, match="simple, openai"):
        read_templates("oppenai")


def test_prompts_go_class_after_class():
    assert prompts_of(["a", "b"], ["x {}", "{} y"]) == ["x a", "a y", "x b", "b y"]
