"""JSON files as people and programs write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jclip.errors import InputError
from jclip.files.json_files import read_json, write_json


@pytest.mark.parametrize("text", ["é", "caf\udce9", "\\\udce9", "\ud83d", "\\ud83d", "\U0001f600"])
def test_every_text_comes_back(tmp_path, text):
    write_json(tmp_path / "a.json", {text: [text]})
    assert read_json(tmp_path / "a.json") == {text: [text]}
    (tmp_path / "a.json").read_text(encoding="utf-8")


def test_the_mark_of_an_editor_is_not_part_of_the_file(tmp_path):
    (tmp_path / "a.json").write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_json(tmp_path / "a.json") == {"a": 1}


@given(st.binary(max_size=40))
def test_any_bytes_are_an_object_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("json") / "a.json"
    path.write_bytes(content)
    try:
        assert isinstance(read_json(path), dict)
    except InputError as error:
        assert str(path) in str(error)
